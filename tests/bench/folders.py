"""Folders with the models that all sides load, made on the first run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODELS = HERE / ".model"


def model_folder(name: str, script: str, environment: dict[str, str]) -> Path:
    """Return the folder of a model in float32, which a script writes where it is missing.

    The work is done in a process of its own: the peak memory of a parent that had loaded a model
    would count as the peak of the processes that it starts later.

    Parameters
    ----------
    name : str
        Name of the folder.
    script : str
        File of this folder that gets the folder to write as its argument.
    environment : dict of str to str
        Environment variables of that process.

    Raises
    ------
    RuntimeError
        If the model cannot be made or saved.
    """
    folder = MODELS / name
    if not folder.is_dir():
        print(f"Saving a model to {folder} (once)", file=sys.stderr)
        partial = folder.with_name(folder.name + ".partial")
        save = [sys.executable, str(HERE / script), str(partial)]
        if subprocess.run(save, env=environment, stdout=sys.stderr, check=False).returncode != 0:
            raise RuntimeError(f"could not save the model {name}")
        partial.rename(folder)
    return folder

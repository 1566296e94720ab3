"""The demo model as a plain folder, which both sides can load: `python demo_model.py FOLDER`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = "smollm2-135m-instruct"
FOLDER = HERE / ".model" / NAME


def model_folder(environment: dict[str, str]) -> Path:
    """Return the folder with the demo model in float32, written by the project on the first run.

    The work is done in a process of its own: the peak memory of a parent that had loaded a model
    would count as the peak of the processes that it starts later.

    Parameters
    ----------
    environment : dict of str to str
        Environment variables of that process.

    Raises
    ------
    RuntimeError
        If the project cannot load or save the model.
    """
    if not FOLDER.is_dir():
        print(f"Saving the demo model to {FOLDER} (once)", file=sys.stderr)
        partial = FOLDER.with_name(FOLDER.name + ".partial")
        save = [sys.executable, __file__, str(partial)]
        if subprocess.run(save, env=environment, stdout=sys.stderr, check=False).returncode != 0:
            raise RuntimeError(f"could not save the demo model {NAME}")
        partial.rename(FOLDER)
    return FOLDER


def save(folder: Path) -> None:
    """Write weights, configuration and tokenizer of the demo model to a folder."""
    import inseq_widget

    loaded = inseq_widget.load_model(f"demo:{NAME}")
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    save(Path(sys.argv[1]))

"""The demo model as a plain folder, which all sides can load: `python demo_model.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

NAME = "smollm2-135m-instruct"


def save(folder: Path) -> None:
    """Write weights, configuration and tokenizer of the demo model to a folder."""
    import inseq_widget

    loaded = inseq_widget.load_model(f"demo:{NAME}")
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    save(Path(sys.argv[1]))

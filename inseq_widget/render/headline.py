"""What is said above a heatmap: method, model, size, and what a score is."""

from __future__ import annotations

from inseq_widget.explore.protocol import FigureSpec, SequenceSpec, Side, TokenSpec
from inseq_widget.render.numbers import counted
from inseq_widget.render.visible import shown, visible_text


def headline(spec: FigureSpec) -> str:
    """Say what is explained, by which method."""
    method = spec["method"].replace("_", " ")
    function = spec["attributed_fn"]
    return method if function is None else f"{method} of {shown(function).replace('_', ' ')}"


def provenance(spec: FigureSpec) -> str:
    """Say which model, and how its features were reduced, if there were any."""
    model, reduction = shown(spec["model"]), spec["reduction"]
    return model if reduction is None else f"{model} · {reduction} reduction"


def size(sequence: SequenceSpec) -> str:
    """Say how large the matrix is."""
    inputs, steps = len(sequence["inputs"]), len(sequence["steps"])
    return f"{counted(inputs, 'input')} × {counted(steps, 'step')}"


def opening(sequence: SequenceSpec, most: int = 48) -> str:
    """Give the first words of a text: of its source or of its prompt."""
    _, first = text_blocks(sequence)[0]
    tokens = [token for _, token in first[:40] if not token["special"]]
    text = " ".join("".join(map(visible_text, tokens)).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def text_blocks(sequence: SequenceSpec) -> list[tuple[str, list[tuple[int, TokenSpec]]]]:
    """Split the running text into its sides.

    Parameters
    ----------
    sequence : SequenceSpec

    Returns
    -------
    list of (str, list of (int, TokenSpec))
        The name of each side, and its tokens with their index; sides without tokens are left out.
    """
    names: dict[Side, str]
    if sequence["architecture"] == "encoder_decoder":
        names = {"source": "Source", "prompt": "Target prefix", "target": "Target"}
    else:
        names = {"prompt": "Prompt", "target": "Generated"}
    blocks = [
        (
            name,
            [(at, token) for at, token in enumerate(sequence["tokens"]) if token["side"] == side],
        )
        for side, name in names.items()
    ]
    return [(name, tokens) for name, tokens in blocks if tokens]

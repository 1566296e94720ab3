"""Writes the table of what every method makes of every architecture into the documentation."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from tests.architectures.models import ARCHITECTURES, made
from tests.architectures.outcomes import methods, outcome

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"
# Layers get embeddings of their own, made of the ids.
READS_IDS_AGAIN = {"Gemma 3n"}
HEAD = """# Architectures

There is no list of supported architectures: whatever `transformers` loads as a causal or
encoder-decoder model is traced, and attention is seen at the place where all models call it. This
table is made by running every method on a tiny random model of each class (`make table`), and a
test fails where it is out of date.

✓ says that the method gives a number for every input that comes before a step, that not all of
them are zero, and that the model is left as it was. For all classes, tests in double precision
show more of some methods: `saliency`, `input_x_gradient`, `integrated_gradients`, `occlusion` and,
where it has a tick, `layer_gradient_x_activation` equal a plain loop over the steps; `attention`
equals the weights that the model reports itself, where it has attention at all (RWKV and Mamba have
none); a batch gives `saliency` and `attention` of each text as if it were alone. What is explained
is the model that generates: the logits of the trace equal those of the plain model for every prefix
alone. The other methods are compared with plain loops on fewer classes (`tests/parity`).

A number is the reason why a method does not work, under the table.

\\* Every layer of Gemma 3n gets a second embedding, made of the ids, which stays where the first is
replaced. Methods that take tokens away, or integrate from a baseline, so explain what the first
embedding does, and a token that is taken away is not gone altogether.
"""


def page() -> str:
    """Run everything, and give the text of the page."""
    reasons: dict[str, int] = {}
    blocks = [HEAD]
    for title, encoder_decoder in (("Causal", False), ("Encoder-decoder", True)):
        names = [n for n, a in ARCHITECTURES.items() if a.encoder_decoder == encoder_decoder]
        blocks.append(f"## {title}\n")
        blocks.append(_table(names, reasons))
    blocks.append("## Reasons\n")
    blocks.append("".join(f"{number}. {_one_line(reason)}\n" for reason, number in reasons.items()))
    return "\n".join(blocks)


def _table(names: list[str], reasons: dict[str, int]) -> str:
    columns = methods()
    lines = [
        "| architecture | class | " + " | ".join(f"`{name}`" for name in columns) + " |",
        "| --- | --- |" + " :-: |" * len(columns),
    ]
    for name in names:
        kind = type(made(name, torch.float32)).__name__
        cells = []
        for method in columns:
            refusal = outcome(name, method).refusal
            cells.append(str(reasons.setdefault(refusal, len(reasons) + 1)) if refusal else "✓")
        mark = " \\*" if name in READS_IDS_AGAIN else ""
        lines.append(f"| {name}{mark} | `{kind}` | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _one_line(reason: str) -> str:
    return " ".join(reason.removeprefix("method: ").split())


if __name__ == "__main__":
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        PAGE.write_text(page(), encoding="utf-8")

"""How long a text may be for a model that has a fixed number of positions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from inseq_widget.models.trace import Stack


def position_limits(stacks: dict[Stack, nn.Module]) -> dict[Stack, int]:
    """Find how many positions each stack has a vector for, where it is a fixed number.

    Parameters
    ----------
    stacks : dict of str to torch.nn.Module

    Returns
    -------
    dict of str to int
        Without the stacks that take any number: those with rotary, relative or linearly biased
        attention.
    """
    limits = {}
    for name, stack in stacks.items():
        counts = [count for module in stack.modules() for count in _counts(module)]
        if counts:
            limits[name] = min(counts)
    return limits


def _counts(module: nn.Module) -> list[int]:
    """Count the vectors of tables of positions that a module holds."""
    counts = []
    longest = getattr(module, "max_seq_length", None)  # of a table of linear biases
    if isinstance(longest, int):
        counts.append(longest)
    for name, child in module.named_children():
        fixed = not hasattr(child, "make_weight")  # such a table grows with its texts
        if isinstance(child, nn.Embedding) and fixed and (name == "wpe" or "position" in name):
            # Some classes leave the first ones out, for padding.
            counts.append(child.num_embeddings - int(getattr(child, "offset", 0)))
    for name, buffer in module.named_buffers(recurse=False):
        if name == "embed_positions" and isinstance(buffer, Tensor):
            counts.append(len(buffer))
    return counts


def check_length(
    limits: dict[Stack, int],
    lengths: dict[Stack, int],
    number: int,
    text: Sequence[str],
    argument: str = "input_texts",
) -> None:
    """Refuse a text with more tokens than there are positions.

    Parameters
    ----------
    limits : dict of str to int
        By stack, where there is one.
    lengths : dict of str to int
        Numbers of tokens by stack.
    number : int
        The text's place among all.
    text : sequence of str
        Its tokens.
    argument : str
        Where it was given, as the error calls it.

    Raises
    ------
    ValueError
    """
    for stack, limit in limits.items():
        if lengths.get(stack, 0) > limit:
            joined = "".join(text)
            shown = joined if len(joined) <= 60 else joined[:59] + "…"
            part = {"source": " of its source", "target": ""}[stack]
            raise ValueError(
                f"{argument}: text {number} ({shown!r}) has {lengths[stack]} tokens{part}, but "
                f"the model has {limit} positions; shorten it, or explain a part of it with "
                "attr_pos_end."
            )

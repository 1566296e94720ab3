"""Takes an attention block apart into one vector from each token, and measures what they bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from inseq_widget.methods.zeroing import Observed
from inseq_widget.models.attention import AttentionCall
from inseq_widget.models.attention_call import Kind
from inseq_widget.models.precision import at_least_single
from inseq_widget.models.recording import RecordedLayer, close, hidden_states

_NUMBERS_AT_ONCE = 2**25  # of what rows get from tokens: 128 MB in single precision
_ROUNDING = 16  # units of rounding in a sum over features
_ROUNDED = 1e-5  # many norms compute in single precision, whatever the model's is


@dataclass(frozen=True)
class AttentionBlock:
    """Attention, residual and the norms behind them, as a sum of vectors.

    Attributes
    ----------
    weights : torch.Tensor, (head, position, token)
        The factors of norms included.
    projected : torch.Tensor, (head, token, feature)
        Values, as the block's output has them before they are weighted.
    own : torch.Tensor, (position, feature)
        What the block's output has of the residual.
    leaving : torch.Tensor, (position, feature)
        The block's output: all vectors, and biases.
    renormalised : bool
        Whether the output went through a norm together with the residual.
    """

    weights: Tensor
    projected: Tensor
    own: Tensor
    leaving: Tensor
    renormalised: bool

    def shares_within(self) -> Tensor:
        """Give the share of each token where a stack attends to itself.

        Returns
        -------
        torch.Tensor, (position, token)
            A position's residual belongs to its own token. Rows sum to 1.
        """
        near = []
        for positions, vectors in self._vectors():
            vectors[torch.arange(len(positions)), positions] += self.own[positions]
            near.append(_nearness(vectors, self.leaving[positions]))
        return _normalised(torch.cat(near), torch.arange(len(self.own), device=self.own.device))

    def shares_across(self) -> tuple[Tensor, Tensor]:
        """Give the shares where a stack attends to another.

        Returns
        -------
        kept : torch.Tensor, (position, 1)
            The residual's.
        taken : torch.Tensor, (position, token)
            The tokens' of the other stack; with ``kept``, rows sum to 1.
        """
        near = []
        for positions, vectors in self._vectors():
            every = torch.cat([self.own[positions, None], vectors], 1)
            near.append(_nearness(every, self.leaving[positions]))
        shares = _normalised(torch.cat(near), torch.zeros_like(self.own[:, 0], dtype=torch.long))
        return shares[:, :1], shares[:, 1:]

    def _vectors(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give positions, and what each gets from every token, (position, token, feature)."""
        at_once = max(1, _NUMBERS_AT_ONCE // self.projected[0].numel())
        numbers = torch.arange(len(self.own), device=self.own.device)
        for positions in numbers.split(at_once):
            weights = self.weights[:, positions]
            yield positions, torch.einsum("hij,hjd->ijd", weights, self.projected)


def _nearness(vectors: Tensor, whole: Tensor) -> Tensor:
    """Say how much nearer to a sum each vector is than nothing, (position, vector)."""
    size = whole.abs().sum(1, keepdim=True)
    near = size - (whole[:, None] - vectors).abs().sum(2)
    # Sums of the same numbers may differ in their last digits, which must not become shares.
    return torch.where(near > _ROUNDING * torch.finfo(near.dtype).eps * size, near, 0)


def _normalised(near: Tensor, own: Tensor) -> Tensor:
    """Make rows sum to 1; a position that no vector comes near keeps its own, (position,)."""
    sums = near.sum(1, keepdim=True)
    kept = nn.functional.one_hot(own, near.shape[1]).to(near.dtype)
    return torch.where(sums > 0, near, kept) / torch.where(sums > 0, sums, 1)


class HeldNorm:
    """A norm as a linear map, the number held fixed by which it divides each position.

    Parameters
    ----------
    norm : callable
        Divides (position, feature), with or without its mean, and scales each feature.
    hidden : torch.Tensor, (position, feature)
        What it got.

    Attributes
    ----------
    gave : torch.Tensor, (position, feature)
        What it gave.
    factor : torch.Tensor, (position, 1)
        What :meth:`linear` leaves out.
    fits : bool
        Whether this is all that it does, but for a bias.
    """

    def __init__(self, norm: Callable[[Tensor], Tensor], hidden: Tensor) -> None:
        probe = torch.ones_like(hidden[:1])
        probe[:, ::2] = -1
        shift = norm(torch.zeros_like(probe))
        self.gave = norm(hidden)
        self._centre = close(norm(probe + 1), norm(probe), _ROUNDED)
        self._scales = at_least_single(torch.ones_like(probe))
        self._scales = at_least_single(norm(probe) - shift) / self.linear(at_least_single(probe))
        normed = at_least_single(self.gave - shift)
        plain = self.linear(at_least_single(hidden))
        squares = (plain * plain).sum(1, keepdim=True)
        # A position without any features has no say.
        self.factor = (normed * plain).sum(1, keepdim=True) / torch.where(squares > 0, squares, 1)
        self.fits = close((plain * self.factor).to(hidden.dtype), self.gave - shift, _ROUNDED)

    def linear(self, vectors: Tensor) -> Tensor:
        """Apply the norm to vectors, (..., feature), but for each position's factor."""
        return self._centred(vectors) * self._scales

    def against(self, directions: Tensor) -> Tensor:
        """Turn directions behind the norm into those before it, (position, feature)."""
        return self._centred(directions * self._scales * self.factor)

    def _centred(self, vectors: Tensor) -> Tensor:
        return vectors - vectors.mean(-1, keepdim=True) if self._centre else vectors


class _Attended:
    """What one attention call gave, as its module projects it."""

    def __init__(self, layer: RecordedLayer, call: AttentionCall, observed: Observed) -> None:
        attending = [part for part in layer.parts if part.layer is call.module]
        if len(attending) != 1:
            raise cannot(layer, "does not attend in a module of its own")
        self.weights = call.weights()[0]
        self.gave = _rows(attending[0].output)
        self.zero, self.projected = _projected(call, attending[0], observed)
        again = self.zero + torch.einsum("hij,hjd->id", self.weights, self.projected)
        if not close(again, self.gave):
            raise cannot(layer, "does more than project what attention gives")


@dataclass(frozen=True)
class _Arrangement:
    """A guess at what comes behind an attention: a norm, the residual, another norm."""

    attended: _Attended
    entering: Tensor
    before: HeldNorm | None
    after: HeldNorm | None
    leaving: Tensor

    def block(self) -> AttentionBlock:
        """Push the norms into values, weights and residual."""
        weights = at_least_single(self.attended.weights)
        projected = at_least_single(self.attended.projected)
        own = at_least_single(self.entering)
        for norm in (self.before, self.after):
            if norm is not None:
                projected, weights = norm.linear(projected), weights * norm.factor
        if self.after is not None:
            own = self.after.linear(own) * self.after.factor
        leaving = at_least_single(self.leaving)
        return AttentionBlock(weights, projected, own, leaving, self.after is not None)


def attention_blocks(
    layer: RecordedLayer, kinds: Sequence[Kind], observed: Observed
) -> list[AttentionBlock]:
    """Take the attention blocks of a layer apart.

    Where residuals and norms are is found in what the parts of the layer got and gave.

    Parameters
    ----------
    layer : RecordedLayer
        With its parts.
    kinds : sequence of {"encoder", "decoder", "cross"}
        The attention that it must have, in this order.
    observed : Observed
        Watches the model.

    Returns
    -------
    list of AttentionBlock

    Raises
    ------
    NotImplementedError
        When the layer does anything else.
    """
    calls = [recorded.call for recorded in layer.calls]
    if [call.kind for call in calls] != list(kinds):
        attends = _attends([call.kind for call in calls]) or "no token that can be told"
        raise cannot(layer, f"attends to {attends}, where it should to {_attends(kinds)}")
    attended = [_Attended(layer, call, observed) for call in calls]
    found = _arranged(layer, attended, _rows(layer.given))
    if found is None:
        raise cannot(layer, "does not add what attention gives to what it gets")
    return [arrangement.block() for arrangement in found[1]]


def _attends(kinds: Sequence[Kind]) -> str:
    read: dict[Kind, str] = {
        "encoder": "the source",
        "decoder": "the target",
        "cross": "the encoder",
    }
    return " and ".join(read[kind] for kind in kinds)


def _arranged(
    layer: RecordedLayer, attended: Sequence[_Attended], entering: Tensor
) -> tuple[float, list[_Arrangement]] | None:
    """Find the arrangement of blocks that fits what the layer gave best, if any does."""
    best: tuple[float, list[_Arrangement]] | None = None
    for guess in _guesses(layer, attended[0], entering):
        if len(attended) == 1:
            misfit = _misfit(layer, guess.leaving)
            fits = misfit <= torch.finfo(entering.dtype).eps ** (2 / 3)
            found = (misfit, [guess]) if fits else None
        else:
            found = _arranged(layer, attended[1:], guess.leaving)
            found = found and (found[0], [guess, *found[1]])
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    return best


def _guesses(layer: RecordedLayer, attended: _Attended, entering: Tensor) -> Iterator[_Arrangement]:
    """Guess what comes behind an attention, the simplest first."""
    sums: list[tuple[HeldNorm | None, Tensor]] = [(None, attended.gave + entering)]
    # Some attention modules add the residual themselves; what is left of what they give without
    # values is then their bias.
    bias = attended.zero - entering
    if close(bias, bias.mean(0).expand_as(bias)):
        sums.append((None, attended.gave))
    sums += [(norm, norm.gave + entering) for norm in _norms(layer, attended.gave)]
    for before, total in sums:
        yield _Arrangement(attended, entering, before, None, total)
        for after in _norms(layer, total):
            yield _Arrangement(attended, entering, before, after, after.gave)


def _norms(layer: RecordedLayer, hidden: Tensor) -> Iterator[HeldNorm]:
    """Give the norms among a layer's parts that got hidden states, (position, feature)."""
    for part in layer.parts:
        alike = part.output.numel() == hidden.numel() and not list(part.layer.children())
        if alike and _is(part.given, hidden):
            norm = HeldNorm(partial(_run, part), hidden)
            if norm.fits:
                yield norm


def _run(part: RecordedLayer, rows: Tensor) -> Tensor:
    return part.run(rows[None])[0]


def _misfit(layer: RecordedLayer, leaving: Tensor) -> float:
    """Say how far the rest of a layer is from adding a part's output to what leaves attention.

    The sum is what the layer gives, or what its last norm gets.
    """
    ends = [layer.output]
    ends += [part.given for part in layer.parts if _is(part.output, _rows(layer.output))]
    misfits = [torch.inf]
    for end in ends:
        for part in layer.parts:
            if end.numel() == part.output.numel() == leaving.numel():
                expected = end.reshape(leaving.shape)
                away = leaving + part.output.reshape(leaving.shape) - expected
                # Some positions have features far larger than all others have.
                size = torch.maximum(leaving.abs().amax(1), expected.abs().amax(1))
                shares = away.abs().amax(1) / torch.where(size > 0, size, 1)
                misfits.append(float(shares.max()))
    return min(misfits)


def _rows(hidden: Tensor) -> Tensor:
    """Give one text's hidden states as (position, feature), whatever dimensions they have."""
    return hidden.reshape(-1, hidden.shape[-1])


def _is(hidden: Tensor, states: Tensor) -> bool:
    """Say whether hidden states, of whatever shape, are these, (position, feature)."""
    return hidden.numel() == states.numel() and close(hidden.reshape(states.shape), states)


def _projected(
    call: AttentionCall, attending: RecordedLayer, observed: Observed
) -> tuple[Tensor, Tensor]:
    """Run an attention module on one head's values at a time.

    Gives also what it makes of no values, (position, feature), beside (head, token, feature).
    """
    values = call.values[0]
    n_heads, n_tokens, features = values.shape
    n_positions = _rows(attending.output).shape[0]

    def module_of(head: int | None, tokens: slice) -> Tensor:
        output = values.new_zeros(1, n_positions, n_heads, features)
        if head is not None:
            placed = values[head, tokens]
            output[0, : len(placed), head] = placed
        with observed.by(lambda _: output, 1):
            return _rows(hidden_states(attending.run(attending.given)))

    zero = module_of(None, slice(0))
    # Tokens stand in the places of positions, of which there may be fewer.
    parts = [slice(first, first + n_positions) for first in range(0, n_tokens, n_positions)]
    heads = [
        torch.cat([module_of(head, tokens) - zero for tokens in parts])[:n_tokens]
        for head in range(n_heads)
    ]
    return zero, torch.stack(heads)


def cannot(layer: RecordedLayer, why: str) -> NotImplementedError:
    """Say why a layer cannot be taken apart, and what works instead.

    Parameters
    ----------
    layer : RecordedLayer
    why : str
        What the layer does.

    Returns
    -------
    NotImplementedError
    """
    return NotImplementedError(
        f"method: 'alti_logit' takes attention apart, but {type(layer.layer).__name__} {why}; "
        "'attention' and gradient methods such as 'saliency' work."
    )

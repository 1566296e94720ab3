"""What the model predicts under contrastive inputs, step by step beside the regular ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inseq_widget.models import Example, TextInput, Trace, TraceableModel
from inseq_widget.results import Token
from inseq_widget.scores.alignment import AUTO, Pairs, edit_aligned, paired, right_aligned
from inseq_widget.scores.arguments import StepFunctionArgs
from inseq_widget.scores.embedding_alignment import AlignmentEncoder
from inseq_widget.scores.foils import (
    Foil,
    FoilToken,
    most_likely_ids,
    token_at,
    tokens_at_steps,
)

Target = str | Mapping[int, FoilToken] | Foil
"""One foil of a text: another text, a token for some steps, or one to be found for all."""


@dataclass(frozen=True)
class ContrastRequest:
    """What a user wants to contrast with, text by text.

    Attributes
    ----------
    sources : list of str or None, (text,)
        Contrastive source texts; the regular ones where None.
    targets : list of list of Target or None, (text, foil)
        What each text is contrasted with, one after the other; its own target where None.
    alignments : "auto", list of list of tuple of int (foil, pair), or None
        Which contrastive token belongs to which target token; from the ends where None. The
        foils of all texts are counted through.
    force_inputs : bool
        Whether an attributed function, too, sees what is predicted under the contrastive input.
    encoder : AlignmentEncoder or None
        Aligns in place of edits.
    """

    sources: list[str] | None = None
    targets: list[list[Target]] | None = None
    alignments: str | list[Pairs] | None = None
    force_inputs: bool = False
    encoder: AlignmentEncoder | None = None

    def examples(
        self, model: TraceableModel, given: TextInput, example: Example, number: int
    ) -> list[ContrastExample]:
        """Make the contrastive sides of a text, and find the place of each step in them.

        Parameters
        ----------
        model : TraceableModel
        given : str or messages
            The regular input.
        example : Example
            The regular text.
        number : int
            Its place among all texts.

        Returns
        -------
        list of ContrastExample, (foil,)

        Raises
        ------
        ValueError
            When a step has no counterpart, a foil is no token at its step, or a text is too long
            for the model.
        """
        source = None if self.sources is None else self.sources[number]
        side = None  # what is read where the target stays: the same for all foils by step
        if source is not None:
            other = model.contrast_example(example, given, source, None)
            side = replace(other, start=example.start, end=example.end)
            model.check_length(side, number, "contrast_sources")
        places = list(range(example.start, example.end))
        own = list(example.target[example.start : example.end])
        foils: Sequence[Target | None] = [None]
        first = 0
        if self.targets is not None:
            foils = self.targets[number]
            first = sum(map(len, self.targets[:number]))
        members = []
        for nth, foil in enumerate(foils, first):
            if isinstance(foil, str):
                other = model.contrast_example(example, given, source, foil)
                members.append(self._member(model, example, other, number, nth, foil))
                continue
            tokens = own if foil is None else tokens_at_steps(model, example, number, foil)
            members.append(ContrastExample(side, places, list(tokens), foil))
        return members

    def _member(
        self,
        model: TraceableModel,
        example: Example,
        other: Example,
        number: int,
        nth: int,
        foil: str,
    ) -> ContrastExample:
        """Find the places of the steps in a contrastive text, the ``nth`` of all."""
        model.check_length(other, number, "contrast_targets")
        places = self._places(example, other, nth)[example.start : example.end]
        for step, place in enumerate(places):
            if not 1 <= place < len(other.target):
                token = example.target[example.start + step]
                raise ValueError(
                    f"contrast_targets: {token.label!r} (position {token.position}) of text "
                    f"{number} has no counterpart among the {len(other.target)} contrastive "
                    'tokens, counted from the end; pass contrast_targets_alignments="auto" or '
                    "pairs, or explain fewer tokens with attr_pos_start."
                )
        reaching = replace(other, start=min(places), end=max(places) + 1)
        return ContrastExample(reaching, places, [other.target[place] for place in places], foil)

    def _places(self, example: Example, other: Example, nth: int) -> list[int]:
        if self.alignments == AUTO and self.encoder is not None:
            return self.encoder.aligned(example.target, other.target)
        if self.alignments == AUTO:
            return edit_aligned(
                [token.id for token in example.target], [token.id for token in other.target]
            )
        sizes = len(example.target), len(other.target)
        if self.alignments is None or isinstance(self.alignments, str):
            return right_aligned(*sizes)
        return paired(*sizes, self.alignments[nth])


@dataclass(frozen=True)
class ContrastExample:
    """One contrastive side of a text.

    Attributes
    ----------
    example : Example or None
        What the model has to read for it, as far as the places of all steps; None where that is
        the regular text.
    places : list of int, (step,)
        The position in it that belongs to each step of the regular text.
    tokens : list of Token or Foil, (step,)
        The contrastive token of each step.
    foil : str, mapping, Foil or None
        What the user gave; None for another source alone.
    """

    example: Example | None
    places: list[int]
    tokens: list[Token | Foil]
    foil: Target | None = None

    def described(self, tokens: Sequence[Token]) -> str | None:
        """Say in words what the text is contrasted with.

        Parameters
        ----------
        tokens : sequence of Token, (step,)
            The contrastive tokens, those that had to be found among them.

        Returns
        -------
        str or None
        """
        if isinstance(self.foil, Foil):
            return self.foil.value
        if self.foil is None or isinstance(self.foil, str):
            return self.foil
        steps = sorted(step % len(tokens) for step in self.foil)
        return ", ".join(f"{tokens[step].label!r} at step {step}" for step in steps)


@dataclass(frozen=True)
class Contrast:
    """What the model predicts under the contrastive inputs of a batch.

    Attributes
    ----------
    logits : torch.Tensor, (batch, step, vocabulary)
    target_ids : torch.Tensor of int, (batch, step)
    tokens : list of list of Token, (batch, step)
        The contrastive tokens, those of each text alone.
    force_inputs : bool
        Whether an attributed function sees those logits.
    """

    logits: Tensor
    target_ids: Tensor
    tokens: list[list[Token]]
    force_inputs: bool

    def of_text(self, number: int) -> Contrast:
        """Give the contrast of one text of the batch, (1, step)."""
        one = slice(number, number + 1)
        return replace(
            self,
            logits=self.logits[one],
            target_ids=self.target_ids[one],
            tokens=self.tokens[one],
        )

    def beside(
        self, args: StepFunctionArgs, first_step: int, *, explained: bool
    ) -> StepFunctionArgs:
        """Put the contrastive side beside the regular one.

        Parameters
        ----------
        args : StepFunctionArgs
            Of shape (row, step): the rows are the texts of the batch, or runs of one text.
        first_step : int
            The step that the first of them is.
        explained : bool
            Whether the function is explained, and not only reported: then the input stays the
            regular one unless the contrastive one is forced.

        Returns
        -------
        StepFunctionArgs
        """
        shape = args.target_ids.shape
        steps = slice(first_step, first_step + shape[-1])
        ids = self.target_ids[:, steps].to(args.target_ids.device).expand(shape)
        logits = args.logits
        if not explained or self.force_inputs:
            logits = self.logits[:, steps].to(args.logits.device).expand(*shape, -1)
        return replace(args, contrast_logits=logits, contrast_target_ids=ids)


def traced_contrasts(
    model: TraceableModel,
    trace: Trace,
    rounds: Sequence[Sequence[ContrastExample]],
    force_inputs: bool,
) -> list[Contrast]:
    """Run the model once over all contrastive texts of a batch.

    Parameters
    ----------
    model : TraceableModel
    trace : Trace
        Of the regular texts.
    rounds : sequence of sequence of ContrastExample, (foil, batch)
        One foil of each text after the other.
    force_inputs : bool

    Returns
    -------
    list of Contrast, (foil,)
    """
    every = [m.example for members in rounds for m in members if m.example is not None]
    to_read = list({id(example): example for example in every}.values())
    row_of = {id(example): row for row, example in enumerate(to_read)}
    other = model.trace(to_read) if to_read else None
    contrasts = []
    for members in rounds:
        tokens = [
            _found(model, trace, number, member.tokens) for number, member in enumerate(members)
        ]
        ids = torch.zeros_like(trace.step_ids)
        for row, found in zip(ids, tokens, strict=True):
            row[: len(found)] = torch.tensor([token.id for token in found])
        logits = trace.logits.detach()
        if other is not None:
            logits = torch.stack(
                [
                    own
                    if member.example is None
                    else _at_places(other.logits[row_of[id(member.example)]], member, len(own))
                    for own, member in zip(logits, members, strict=True)
                ]
            )
        contrasts.append(Contrast(logits, ids, tokens, force_inputs))
    return contrasts


def _at_places(logits: Tensor, member: ContrastExample, n_steps: int) -> Tensor:
    """Take what is predicted at the places of a text's steps, (step, vocabulary)."""
    assert member.example is not None
    rows = torch.zeros(n_steps, dtype=torch.long)
    rows[: len(member.places)] = torch.tensor(member.places) - member.example.start
    return logits[rows.to(logits.device)]


def _found(
    model: TraceableModel, trace: Trace, number: int, tokens: Sequence[Token | Foil]
) -> list[Token]:
    """Put the most probable other tokens where those are wanted, (step,)."""
    example = trace.examples[number]

    def most_likely(step: int) -> Token:
        ids = most_likely_ids(trace.logits[number, step], trace.step_ids[number, step])
        return token_at(model, example, step, int(ids))

    return [
        most_likely(step) if isinstance(token, Foil) else token for step, token in enumerate(tokens)
    ]

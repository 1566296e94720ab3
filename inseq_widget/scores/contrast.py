"""What the model predicts under contrastive inputs, step by step beside the regular ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inseq_widget.models import Example, TextInput, TraceableModel
from inseq_widget.scores.alignment import AUTO, Pairs, edit_aligned, paired, right_aligned
from inseq_widget.scores.arguments import StepFunctionArgs


@dataclass(frozen=True)
class ContrastRequest:
    """What a user wants to contrast with, text by text.

    Attributes
    ----------
    sources, targets : list of str or None, (text,)
        Contrastive source texts and target texts; the regular ones where None.
    alignments : "auto", list of list of tuple of int (text, pair), or None
        Which contrastive token belongs to which target token; from the ends where None.
    force_inputs : bool
        Whether an attributed function, too, sees what is predicted under the contrastive input.
    """

    sources: list[str] | None = None
    targets: list[str] | None = None
    alignments: str | list[Pairs] | None = None
    force_inputs: bool = False

    def example(
        self, model: TraceableModel, given: TextInput, example: Example, number: int
    ) -> ContrastExample:
        """Tokenise the contrastive side of a text, and find the place of each step in it.

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
        ContrastExample

        Raises
        ------
        ValueError
            When a step has no place in it, or it is too long for the model.
        """
        other = model.contrast_example(
            example,
            given,
            None if self.sources is None else self.sources[number],
            None if self.targets is None else self.targets[number],
        )
        model.check_length(other, number, "contrast_targets")
        places = self._places(example, other, number)[example.start : example.end]
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
        argument = "contrast_sources" if self.targets is None else "contrast_targets"
        model.check_length(reaching, number, argument)
        return ContrastExample(reaching, places)

    def _places(self, example: Example, other: Example, number: int) -> list[int]:
        if self.alignments == AUTO:
            return edit_aligned(
                [token.id for token in example.target], [token.id for token in other.target]
            )
        sizes = len(example.target), len(other.target)
        if self.alignments is None or isinstance(self.alignments, str):
            return right_aligned(*sizes)
        return paired(*sizes, self.alignments[number])


@dataclass(frozen=True)
class ContrastExample:
    """The contrastive side of a text.

    Attributes
    ----------
    example : Example
        It reaches over the places of all steps.
    places : list of int, (step,)
        The position that belongs to each step of the regular text.
    """

    example: Example
    places: list[int]


@dataclass(frozen=True)
class Contrast:
    """What the model predicts under the contrastive inputs of a batch.

    Attributes
    ----------
    logits : torch.Tensor, (batch, step, vocabulary)
    target_ids : torch.Tensor of int, (batch, step)
    force_inputs : bool
        Whether an attributed function sees those logits.
    """

    logits: Tensor
    target_ids: Tensor
    force_inputs: bool

    @classmethod
    def traced(
        cls,
        model: TraceableModel,
        members: Sequence[ContrastExample],
        n_steps: int,
        force_inputs: bool,
    ) -> Contrast:
        """Run the model once over the contrastive side of a batch.

        Parameters
        ----------
        model : TraceableModel
        members : sequence of ContrastExample, (batch,)
        n_steps : int
            Steps of the regular batch, padding included.
        force_inputs : bool

        Returns
        -------
        Contrast
        """
        trace = model.trace([member.example for member in members])
        rows = torch.zeros(len(members), n_steps, dtype=torch.long)
        for number, member in enumerate(members):
            first = member.example.start
            rows[number, : len(member.places)] = torch.tensor(member.places) - first
        rows = rows.to(trace.logits.device)
        at_steps = rows[..., None].expand(-1, -1, trace.logits.shape[-1])
        ids = trace.step_ids.gather(1, rows.to(trace.step_ids.device))
        return cls(trace.logits.gather(1, at_steps), ids, force_inputs)

    def of_text(self, number: int) -> Contrast:
        """Give the contrast of one text of the batch, (1, step)."""
        one = slice(number, number + 1)
        return replace(self, logits=self.logits[one], target_ids=self.target_ids[one])

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

"""Explains texts that are tokens already: batch by batch, each with what was asked of it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import chain

from torch import Tensor

from inseq_widget.asked import StepFunctions
from inseq_widget.methods import AttributionMethod
from inseq_widget.methods.assembly import labelled_scores
from inseq_widget.methods.base import BatchScores
from inseq_widget.methods.jobs import JobMaker, with_their_foils
from inseq_widget.methods.memory import in_halves
from inseq_widget.models import Example, TextInput, TraceableModel
from inseq_widget.models.batching import batches
from inseq_widget.models.precision import at_least_single
from inseq_widget.progress import Advance
from inseq_widget.results import (
    FeatureAttributionOutput,
    FeatureAttributionSequenceOutput,
    Info,
)
from inseq_widget.results.deriving import cloned
from inseq_widget.results.tokens import joined
from inseq_widget.scores import StepFunction, StepFunctionArgs
from inseq_widget.scores.contrast import ContrastExample, ContrastRequest


@dataclass(frozen=True)
class Explainer:
    """What one call wants explained, and how.

    Parameters
    ----------
    model : TraceableModel
    method : AttributionMethod
    functions : StepFunctions
    contrast : ContrastRequest or None
    attribute_target : bool
        Whether the target prefix of an encoder-decoder model counts.
    """

    model: TraceableModel
    method: AttributionMethod
    functions: StepFunctions
    contrast: ContrastRequest | None
    attribute_target: bool

    def contrasted(
        self, inputs: Sequence[TextInput], examples: Sequence[Example]
    ) -> tuple[list[Example], list[ContrastExample] | None]:
        """Tokenise what the texts are contrasted with, and repeat each for its foils.

        Parameters
        ----------
        inputs : sequence of str or messages, (text,)
        examples : sequence of Example, (text,)

        Returns
        -------
        examples : list of Example, (result,)
            One for each result, text by text and foil by foil; those of one text are one object.
        others : list of ContrastExample or None, (result,)

        Raises
        ------
        ValueError
            When a step has no place in the other text.
        """
        if self.contrast is None:
            return list(examples), None
        repeated: list[Example] = []
        others: list[ContrastExample] = []
        for number, (given, example) in enumerate(zip(inputs, examples, strict=True)):
            foils = self.contrast.examples(self.model, given, example, number)
            repeated += [example] * len(foils)
            others += foils
        return repeated, others

    def info(
        self,
        model_name: str,
        examples: Sequence[Example],
        generation_args: Mapping[str, object],
        *,
        forced: bool,
    ) -> Info:
        """Say what the results are of.

        Parameters
        ----------
        model_name : str
        examples : sequence of Example, (text,)
        generation_args : mapping
        forced : bool
            Whether the targets were given.

        Returns
        -------
        Info
        """
        method, model = self.method, self.model
        return Info(
            model_name=model_name,
            model_revision=getattr(model.model.config, "_commit_hash", None),
            model_class=type(model.model).__name__,
            tokenizer_name=str(model.tokenizer.name_or_path or type(model.tokenizer).__name__),
            tokenizer_class=type(model.tokenizer).__name__,
            attribution_method=method.name,
            method_args={key: repr(value) for key, value in vars(method).items()},
            attributed_fn=self.functions.name if method.explains_output else None,
            reduction=method.reduction,
            score_label=method.score_label,
            signed=method.is_signed,
            step_scores=list(self.functions.reported),
            attribute_target=self.attribute_target,
            constrained_decoding=forced,
            generation_args={key: repr(value) for key, value in generation_args.items()},
            input_texts=[joined(e.source or e.target[: e.n_given]) for e in examples],
            generated_texts=[joined(e.target) for e in examples],
            exec_time=0.0,
            versions=_versions(),
            aggregation=[],
        )

    def explained(
        self,
        examples: Sequence[Example],
        others: Sequence[ContrastExample] | None,
        output: FeatureAttributionOutput,
        batch_size: int | None,
        advance: Advance,
        feature_bytes: float,
    ) -> Iterator[tuple[int, FeatureAttributionSequenceOutput]]:
        """Explain texts, in batches that memory holds.

        Parameters
        ----------
        examples : sequence of Example, (result,)
        others : sequence of ContrastExample or None, (result,)
        output : FeatureAttributionOutput
            Where they will belong.
        batch_size : int or None
        advance : callable
            Counts finished texts.
        feature_bytes : float
            How many bytes the scores of a text may take with all their features.

        Yields
        ------
        number : int
            The place of a result among all.
        sequence : FeatureAttributionSequenceOutput
        """
        make_job = JobMaker(
            self.model,
            self.functions.explained,
            self.attribute_target,
            feature_bytes,
            advance,
            self.contrast is not None and self.contrast.force_inputs,
        )

        def explain(numbers: Sequence[int]) -> list[FeatureAttributionSequenceOutput]:
            found: dict[int, FeatureAttributionSequenceOutput] = {}
            with make_job.taken_back_if_it_fails() as counted:
                for texts in with_their_foils(numbers, examples):
                    members = [examples[foils[0]] for foils in texts]
                    rounds = list(zip(*texts, strict=True))
                    beside = [[others[n] for n in each] for each in rounds] if others else []
                    made = self._sequences(members, beside, counted, output)
                    found.update(zip(chain(*rounds), made, strict=True))
            return [found[number] for number in numbers]

        for batch in batches(examples, batch_size):
            for numbers, sequences in in_halves(batch, explain):
                yield from zip(numbers, sequences, strict=True)

    def _sequences(
        self,
        members: list[Example],
        rounds: Sequence[Sequence[ContrastExample]],
        make_job: JobMaker,
        output: FeatureAttributionOutput,
    ) -> Iterator[FeatureAttributionSequenceOutput]:
        """Explain texts that are traced together, one foil of each after the other."""
        scores: BatchScores | None = None
        for nth, job in enumerate(make_job(self.method.trace(self.model, members), rounds)):
            args = job.reported_args()
            reported = self.functions.reported
            values = {name: _reported(name, fn, args) for name, fn in reported.items()}
            if scores is None or self.method.explains_output:
                scores = self.method.attribute(job)
            else:  # they are the same whatever the foil is
                job.advance(1.0)
            values.update(scores.step_scores)
            for number, example in enumerate(members):
                tokens = None if job.contrast is None else job.contrast.tokens[number]
                between = scores.sequence_scores[number] if scores.sequence_scores else {}
                yield FeatureAttributionSequenceOutput(
                    source=list(example.source or example.target[: example.n_given]),
                    target=list(example.target),
                    kept=labelled_scores(scores, example, number),
                    reduction=self.method.reduction,
                    attr_pos_start=example.start,
                    attr_pos_end=example.end,
                    architecture=self.model.architecture,
                    info=output.info,
                    live_model=output.live_model,
                    step_scores={n: row[number, : example.n_steps] for n, row in values.items()},
                    sequence_scores=cloned(between) if nth else between,
                    step_aggregates=self.functions.aggregates,
                    foil=None if tokens is None else rounds[nth][number].described(tokens),
                    foil_tokens=tokens,
                )


def _versions() -> dict[str, str]:
    packages = ("inseq-widget", "torch", "transformers", "captum")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


@cache
def _version(package: str) -> str:
    return version(package)  # reads the package's files each time


def _reported(name: str, fn: StepFunction, args: StepFunctionArgs) -> Tensor:
    values = fn(args)
    if values.shape != args.target_ids.shape:
        raise ValueError(
            f"step_scores: {name} gave the shape {tuple(values.shape)} for "
            f"{tuple(args.target_ids.shape)} (batch, step) tokens."
        )
    return at_least_single(values).cpu()

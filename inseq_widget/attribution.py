"""Text in, method chosen, result out: the model that explains what it writes."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inseq_widget.alternatives import most_probable
from inseq_widget.arguments import (
    check_count,
    check_generation_args,
    check_position,
    read_contrast,
    read_inputs,
    read_step_scores,
    read_targets,
)
from inseq_widget.asked import step_functions
from inseq_widget.explainer import Explainer, joined
from inseq_widget.methods import AttributionMethod, list_methods, make_method
from inseq_widget.methods.base import METHODS, keywords_of_method
from inseq_widget.models import TextInput, TraceableModel, load
from inseq_widget.progress import progress_bar
from inseq_widget.results import (
    FeatureAttributionOutput,
    FeatureAttributionSequenceOutput,
)
from inseq_widget.results.alternatives import StepAlternatives
from inseq_widget.scores import (
    StepFunction,
)
from inseq_widget.scores.alignment import Pairs

_LOCKS: WeakKeyDictionary[PreTrainedModel, threading.RLock] = WeakKeyDictionary()


class AttributionInterrupted(KeyboardInterrupt):
    """A keyboard interrupt in the middle of an attribution.

    Attributes
    ----------
    partial : FeatureAttributionOutput or None
        The texts that were finished; None where none was.
    """

    def __init__(self, partial: FeatureAttributionOutput | None) -> None:
        count = 0 if partial is None else len(partial)
        super().__init__(f"interrupted; {count} finished texts are in the exception's .partial")
        self.partial = partial


class AttributionModel:
    """A model that explains what it writes. Made by :func:`load_model`.

    Attributes
    ----------
    attribution_method : str or None
        The default method; it can be changed.
    attributed_fn : str or callable
        The default step function to explain; it can be changed.
    lock : threading.RLock
        Held while the model is in use.
    """

    def __init__(
        self,
        traceable: TraceableModel,
        attribution_method: str | None = None,
        **method_kwargs: object,
    ) -> None:
        if attribution_method is not None:
            make_method(attribution_method, method_kwargs)
        elif method_kwargs:
            raise TypeError(
                f"{', '.join(method_kwargs)}: keywords of a method need attribution_method; "
                f"there are {', '.join(list_methods())}."
            )
        self._traceable = traceable
        self._loaded_with = (attribution_method, method_kwargs)
        self.attribution_method = attribution_method
        self.attributed_fn: str | StepFunction = "probability"
        # One for each transformers model, however often it is wrapped.
        self.lock = _LOCKS.setdefault(traceable.model, threading.RLock())

    @property
    def model(self) -> PreTrainedModel:
        """The transformers model."""
        return self._traceable.model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        return self._traceable.tokenizer

    @property
    def model_name(self) -> str:
        """Name of the model: its hub id or folder, else its class."""
        return str(self.model.config.name_or_path or type(self.model).__name__)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.model_name} ({self._traceable.architecture}), "
            f"{self.attribution_method or 'no default method'}>"
        )

    def attribute(
        self,
        input_texts: TextInput | Sequence[TextInput],
        generated_texts: str | Sequence[str] | None = None,
        method: str | None = None,
        *,
        attr_pos_start: int | None = None,
        attr_pos_end: int | None = None,
        show_progress: bool = True,
        attribute_target: bool = False,
        step_scores: str | Sequence[str] = (),
        attributed_fn: str | StepFunction | None = None,
        contrast_sources: str | Sequence[str] | None = None,
        contrast_targets: str | Sequence[str] | None = None,
        contrast_targets_alignments: str | Sequence[Pairs] | Pairs | None = None,
        contrast_force_inputs: bool = False,
        batch_size: int | None = None,
        generation_args: Mapping[str, object] | None = None,
        attribution_args: Mapping[str, object] | None = None,
        attributed_fn_args: Mapping[str, object] | None = None,
        step_scores_args: Mapping[str, object] | None = None,
        granular: bool = False,
        **kwargs: object,
    ) -> FeatureAttributionOutput:
        """Explain the tokens that the model writes, or that it is made to write.

        Parameters
        ----------
        input_texts : str, messages, or a sequence of them
            Source texts or prompts. Messages are a list of ``{"role": …, "content": …}`` and go
            through the tokenizer's chat template.
        generated_texts : str or sequence of str, optional
            Forced targets, one for each input. For a decoder-only model each begins with its
            prompt; after messages it is the reply alone. The model generates if there is none,
            and its ids are explained as they are.
        method : str, optional
            Name of the method for this call; the default method otherwise.
        attr_pos_start, attr_pos_end : int, optional
            Positions of the decoder's tokens to explain: from start up to, not including, end.
            Negative ones count from the end. All generated tokens by default.
        show_progress : bool, default True
            Whether to show a bar with an estimate.
        attribute_target : bool, default False
            Encoder-decoder models: also attribute to the target prefix. The prefix of a
            decoder-only model always counts.
        step_scores : str or sequence of str, optional
            Step functions to report for every generated token. ``"probability"`` is always there.
        attributed_fn : str or callable, optional
            What is explained: a step function's name (see
            :func:`~inseq_widget.list_step_functions`), ``"probability"`` by default, or a
            function of :class:`~inseq_widget.scores.StepFunctionArgs`.
        contrast_sources : str or sequence of str, optional
            Encoder-decoder models: another source for each input, for contrastive step functions.
        contrast_targets : str or sequence of str, optional
            Another target for each input. For a decoder-only model it begins with a prompt,
            which may be another one.
        contrast_targets_alignments : "auto" or sequence of tuple of int, optional
            Which position of the target belongs to which of the contrastive target: pairs, for
            several inputs a list of them each, or ``"auto"`` for the fewest edits between their
            tokens. What is in no pair is counted from the end of both, as everything is by
            default.
        contrast_force_inputs : bool, default False
            Explain what is predicted under the contrastive input, too. Otherwise a contrastive
            attributed function compares two tokens in the same place.
        batch_size : int, optional
            How many texts go through the model together; by default as many as have at most
            4,096 tokens in all, padding included. Only prompts of equal length are generated
            together.
        generation_args : mapping, optional
            Keywords of ``generate``, such as ``max_new_tokens``.
        attribution_args, attributed_fn_args, step_scores_args : mapping, optional
            Keywords for the method, the attributed function or the step scores alone.
        granular : bool, default False
            Keep every feature of the scores instead of their norm and their sum.
        **kwargs
            Keywords of the method and of the step functions, for each that takes them.

        Returns
        -------
        FeatureAttributionOutput
            With one sequence for each input. Each equals what attributing that text alone gives.

        Raises
        ------
        ValueError, TypeError
            For input that cannot be attributed; the message names the argument.
        NotImplementedError
            When the architecture does not have what the method explains.
        AttributionInterrupted
            On Ctrl-C, with the texts that were finished.
        """
        inputs = read_inputs(input_texts)
        targets = read_targets(generated_texts, inputs)
        wanted = read_contrast(
            len(inputs),
            contrast_sources,
            contrast_targets,
            contrast_targets_alignments,
            contrast_force_inputs,
        )
        functions = step_functions(
            attributed_fn or self.attributed_fn,
            read_step_scores(step_scores),
            attributed_fn_args,
            step_scores_args,
            kwargs,
            wanted,
            explains=self._method_class(method).explains_output,
        )
        if not isinstance(attribution_args or {}, Mapping):
            raise TypeError(f"attribution_args: {attribution_args!r} given; pass a dict.")
        chosen = self._method(method, kwargs, functions.takes, attribution_args or {})
        functions.check(chosen)
        if attributed_fn is not None and not chosen.explains_output:
            warnings.warn(
                f"attributed_fn: {chosen.name} does not explain a function of the output, so "
                f"{functions.name!r} changes nothing; step_scores reports its values.",
                stacklevel=2,
            )
        check_count("batch_size", batch_size)
        check_position("attr_pos_start", attr_pos_start)
        check_position("attr_pos_end", attr_pos_end)
        check_generation_args(generation_args, forced=targets is not None)
        explainer = Explainer(
            self._traceable, chosen, functions, wanted, attribute_target, granular
        )
        start_time = time.monotonic()
        window = (attr_pos_start, attr_pos_end)
        with self.lock:
            chosen.check(self._traceable)
            try:
                examples = self._traceable.examples(
                    inputs, targets, generation_args or {}, window, batch_size
                )
                others = explainer.contrasted(inputs, examples)
            except KeyboardInterrupt:
                raise AttributionInterrupted(None) from None
            info = explainer.info(
                self.model_name, examples, generation_args or {}, forced=targets is not None
            )
            output = FeatureAttributionOutput([], info, self)
            finished: dict[int, FeatureAttributionSequenceOutput] = {}
            try:
                with progress_bar(chosen.name, len(examples), show=show_progress) as advance:
                    for number, sequence in explainer.explained(
                        examples, others, output, batch_size, advance
                    ):
                        finished[number] = sequence
            except KeyboardInterrupt:
                output.sequence_attributions = [finished[n] for n in sorted(finished)]
                raise AttributionInterrupted(output if finished else None) from None
        info["exec_time"] = time.monotonic() - start_time
        output.sequence_attributions = [finished[number] for number in range(len(examples))]
        return output

    def generate(
        self,
        input_texts: TextInput | Sequence[TextInput],
        generation_args: Mapping[str, object] | None = None,
    ) -> list[str]:
        """Let the model write, without explaining.

        Parameters
        ----------
        input_texts : str, messages, or a sequence of them
        generation_args : mapping, optional
            Keywords of ``generate``.

        Returns
        -------
        list of str, (text,)
            What was written, without the prompt and without special tokens.
        """
        with self.lock:
            examples = self._traceable.examples(
                read_inputs(input_texts), None, generation_args or {}, (None, None), None
            )
        return [joined(example.target[example.n_given :]) for example in examples]

    def alternatives(
        self, sequence: FeatureAttributionSequenceOutput, step: int, k: int = 10
    ) -> StepAlternatives:
        """Find the most probable tokens at a step.

        Parameters
        ----------
        sequence : FeatureAttributionSequenceOutput
            An attribution made by this model.
        step : int
            Index along its ``step`` dimension; negative ones count from the end.
        k : int, default 10
            How many.

        Returns
        -------
        StepAlternatives

        Raises
        ------
        ValueError
            For a step that is not there, or fewer than one token.
        """
        with self.lock:
            return most_probable(self._traceable, sequence, step, k)

    def _method_class(self, name: str | None) -> type[AttributionMethod]:
        chosen = name or self.attribution_method
        if chosen is None:
            raise ValueError(
                "method: the model has no default method, so name one: "
                f"{', '.join(list_methods())}."
            )
        return METHODS[chosen]

    def _method(
        self,
        name: str | None,
        keywords: Mapping[str, object],
        of_functions: set[str],
        own_keywords: Mapping[str, object],
    ) -> AttributionMethod:
        chosen = self._method_class(name).name
        # What the model was loaded with belongs to the method that it was loaded with.
        first, keywords_of_first = self._loaded_with
        loaded = keywords_of_first if chosen == first else {}
        takes = keywords_of_method(chosen)
        given = {
            key: value for key, value in keywords.items() if key in takes or key not in of_functions
        }
        return make_method(chosen, {**loaded, **given, **own_keywords})


def load_model(
    model: str | Path | PreTrainedModel,
    attribution_method: str | None = None,
    *,
    tokenizer: str | Path | PreTrainedTokenizerBase | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    model_kwargs: Mapping[str, object] | None = None,
    tokenizer_kwargs: Mapping[str, object] | None = None,
    **method_kwargs: object,
) -> AttributionModel:
    """Load a model that can explain what it writes.

    Parameters
    ----------
    model : str, path or PreTrainedModel
        A causal or encoder-decoder model: hub id, folder, ``demo:`` name (see
        :func:`~inseq_widget.demo_models`), or a loaded model.
    attribution_method : str, optional
        The default method, such as ``"saliency"``.
    tokenizer : str, path or PreTrainedTokenizerBase, optional
        The model's own by default.
    device : str or torch.device, optional
        A GPU if there is one, else the CPU; a loaded model stays where it is.
    dtype : torch.dtype, optional
        float32 by default; a loaded model stays as it is.
    model_kwargs, tokenizer_kwargs : mapping, optional
        Keywords of ``from_pretrained``, such as ``revision`` or ``trust_remote_code``. No remote
        code runs unless it is trusted there.
    **method_kwargs
        Keywords of the method.

    Returns
    -------
    AttributionModel

    Raises
    ------
    ValueError, TypeError
        For a model that does not generate text, a tokenizer that does not fit, an unknown method
        or keyword.
    ModuleNotFoundError
        When a demo model's package is missing; the message gives the install command.
    """
    if attribution_method is not None:
        make_method(attribution_method, method_kwargs)  # refused before the model is read
    traceable = load(
        model,
        tokenizer=tokenizer,
        device=device,
        dtype=dtype,
        model_kwargs=model_kwargs,
        tokenizer_kwargs=tokenizer_kwargs,
    )
    return AttributionModel(traceable, attribution_method, **method_kwargs)

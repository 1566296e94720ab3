"""Explains what a model writes: reads a call of attribute, runs it, gives the result."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Mapping, Sequence

from inseq_widget.arguments import (
    check_count,
    check_flags,
    check_generation_args,
    check_position,
    continues,
    forced_without_generating,
    read_inputs,
    read_step_scores,
    read_targets,
    without_strings,
)
from inseq_widget.asked import StepFunctions, step_functions
from inseq_widget.chosen_method import ChosenMethod, with_eos_baseline
from inseq_widget.contrast_arguments import ContrastTargets, read_contrast
from inseq_widget.explainer import Explainer
from inseq_widget.methods import AttributionMethod
from inseq_widget.methods.kept import bytes_for_features
from inseq_widget.models import TextInput, TraceableModel
from inseq_widget.models.placing import Device, on_device
from inseq_widget.progress import progress_bar
from inseq_widget.results import (
    FeatureAttributionOutput,
    FeatureAttributionSequenceOutput,
)
from inseq_widget.results.steps import step_attributions_of
from inseq_widget.scores import StepFunction
from inseq_widget.scores.alignment import Pairs
from inseq_widget.scores.embedding_alignment import EncoderInput


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


class Explaining(ChosenMethod):
    """Gives a model the method that explains what it writes."""

    lock: threading.RLock
    attributed_fn: str | StepFunction
    _traceable: TraceableModel

    @property
    def model_name(self) -> str:
        """Name of the model: its hub id or folder, else its class."""
        model = self._traceable.model
        return str(model.config.name_or_path or type(model).__name__)

    def attribute(
        self,
        input_texts: TextInput | Sequence[TextInput],
        generated_texts: str | Sequence[str] | None = None,
        method: str | None = None,
        override_default_attribution: bool = False,
        attr_pos_start: int | None = None,
        attr_pos_end: int | None = None,
        show_progress: bool = True,
        pretty_progress: bool = True,
        output_step_attributions: bool = False,
        attribute_target: bool = False,
        step_scores: str | Sequence[str] = (),
        include_eos_baseline: bool = False,
        attributed_fn: str | StepFunction | None = None,
        device: Device | None = None,
        batch_size: int | None = None,
        generate_from_target_prefix: bool = False,
        skip_special_tokens: bool = False,
        clean_special_chars: bool = False,
        generation_args: Mapping[str, object] | None = None,
        *,
        contrast_sources: str | Sequence[str] | None = None,
        contrast_targets: ContrastTargets | None = None,
        contrast_targets_alignments: str | Sequence[Pairs] | Pairs | None = None,
        contrast_force_inputs: bool = False,
        alignment_encoder: EncoderInput | None = None,
        alignment_layer: int | None = None,
        attribution_args: Mapping[str, object] | None = None,
        attributed_fn_args: Mapping[str, object] | None = None,
        step_scores_args: Mapping[str, object] | None = None,
        granular: bool | None = None,
        **kwargs: object,
    ) -> FeatureAttributionOutput:
        """Explain the tokens that the model writes, or that it is made to write.

        Parameters
        ----------
        input_texts : str, messages, or a sequence of them
            Source texts or prompts. Messages are a list of ``{"role": …, "content": …}`` and go
            through the tokenizer's chat template. An empty prompt of a decoder-only model is its
            begin-of-sequence token.
        generated_texts : str or sequence of str, optional
            Forced targets, one for each input. For a decoder-only model each begins with its
            prompt; after messages it is the reply alone. The model generates if there is none,
            and its ids are explained as they are.
        method : str, optional
            Name of the method for this call; the default method otherwise.
        override_default_attribution : bool, default False
            Make the method, with its keywords of this call, the default one.
        attr_pos_start, attr_pos_end : int, optional
            Positions of the decoder's tokens to explain: from start up to, not including, end.
            Negative ones count from the end. All generated tokens by default, and a start before
            them is moved to the first.
        show_progress : bool, default True
            Whether to show a bar with an estimate.
        pretty_progress : bool, default True
            Whether the bar is drawn and coloured; a line of text otherwise.
        output_step_attributions : bool, default False
            Fill ``step_attributions`` of the result, a list with an entry for each generated
            token. Every feature is then kept, unless ``granular=False``.
        attribute_target : bool, default False
            Encoder-decoder models: also attribute to the target prefix. The prefix of a
            decoder-only model always counts.
        step_scores : str or sequence of str, optional
            Step functions to report for every generated token. ``"probability"`` is always there.
        include_eos_baseline : bool, default False
            Let the baseline replace end-of-sequence tokens, too, in methods that have one.
        attributed_fn : str or callable, optional
            What is explained: a step function's name (see
            :func:`~inseq_widget.list_step_functions`), ``"probability"`` by default, or a
            function of :class:`~inseq_widget.scores.StepFunctionArgs`.
        device : str or torch.device, optional
            Where to run; the model goes back afterwards.
        batch_size : int, optional
            How many texts go through the model together, each as often as it has foils; by
            default as many as have at most 4,096 tokens in all, padding included. Only prompts of
            equal length are generated together.
        generate_from_target_prefix : bool, default False
            Encoder-decoder models: the generated texts are how the targets begin, and the model
            goes on from there. What is explained begins with them.
        skip_special_tokens : bool, default False
            Take the special tokens out of the texts, and let the tokenizer add none.
        clean_special_chars : bool, default False
            Give tokens their text as ``piece``, in place of the vocabulary entry with its marks.
        generation_args : mapping, optional
            Keywords of ``generate``, such as ``max_new_tokens``.
        contrast_sources : str or sequence of str, optional
            Encoder-decoder models: another source for each input, for contrastive step functions.
        contrast_targets : str, mapping, Foil, or sequence of them, optional
            A foil for each input: another target (for a decoder-only model with a prompt), tokens
            by step, such as ``{3: " he"}``, or ``Foil.MOST_LIKELY``; a list in its place for
            several, which give a sequence each.
        contrast_targets_alignments : "auto" or sequence of tuple of int, optional
            Which position of the target belongs to which of the contrastive target: pairs, for
            several inputs a list of them each, or ``"auto"`` for the fewest edits between their
            tokens, or by meaning with an ``alignment_encoder``. What is in no pair is counted
            from the end of both, as everything is by default.
        contrast_force_inputs : bool, default False
            Explain what is predicted under the contrastive input, too. Otherwise a contrastive
            attributed function compares two tokens in the same place.
        alignment_encoder : str, path or (PreTrainedModel, PreTrainedTokenizerBase), optional
            Sentence encoder for ``"auto"``; ``alignment_layer`` is the layer to compare, or 8.
        attribution_args, attributed_fn_args, step_scores_args : mapping, optional
            Keywords for the method, the attributed function or the step scores alone.
        granular : bool, optional
            Keep every feature of the scores beside their norm and their sum. By default they are
            kept where they take at most 128 MB for a text, and 1 GB for all texts.
        **kwargs
            Keywords of the method and of the step functions, for each that takes them.

        Returns
        -------
        FeatureAttributionOutput
            With one sequence for each input, or for each of its foils. Each has the scores that
            attributing that text alone gives.

        Raises
        ------
        ValueError, TypeError
            For input that cannot be attributed; the message names the argument.
        NotImplementedError
            When the architecture does not have what the method explains.
        AttributionInterrupted
            On Ctrl-C, with the texts that were finished.
        """
        check_flags(
            override_default_attribution=override_default_attribution,
            show_progress=show_progress,
            pretty_progress=pretty_progress,
            output_step_attributions=output_step_attributions,
            attribute_target=attribute_target,
            include_eos_baseline=include_eos_baseline,
            generate_from_target_prefix=generate_from_target_prefix,
            skip_special_tokens=skip_special_tokens,
            clean_special_chars=clean_special_chars,
            granular=False if granular is None else granular,
        )
        causal = self._traceable.architecture == "decoder_only"
        inputs = read_inputs(input_texts, may_be_empty=causal)
        targets = read_targets(generated_texts, inputs)
        if causal and attribute_target:
            warnings.warn(
                "attribute_target: the prefix of a decoder-only model always counts, so this "
                "changes nothing.",
                stacklevel=2,
            )
        continued = continues(generate_from_target_prefix, targets, causal)
        reader = self._traceable
        if skip_special_tokens:
            reader = reader.without_special_tokens()
            inputs, targets = without_strings(reader.tokenizer.all_special_tokens, inputs, targets)
        wanted = read_contrast(
            len(inputs),
            contrast_sources,
            contrast_targets,
            contrast_targets_alignments,
            contrast_force_inputs,
            alignment_encoder,
            alignment_layer,
        )
        functions = step_functions(
            attributed_fn or self.attributed_fn,
            read_step_scores(step_scores),
            attributed_fn_args,
            step_scores_args,
            kwargs,
            wanted,
            explains=self._method_class(method).explains_output,
            attribution_model=self,
        )
        if not isinstance(attribution_args or {}, Mapping):
            raise TypeError(f"attribution_args: {attribution_args!r} given; pass a dict.")
        of_method = {**(attribution_args or {})}
        if include_eos_baseline:
            of_method = with_eos_baseline(self._method_class(method), of_method)
        chosen = self._method(method, kwargs, functions.takes, of_method)
        _check_explained(chosen, functions, attributed_fn)
        chosen.check_texts(len(inputs))
        check_count("batch_size", batch_size)
        check_position("attr_pos_start", attr_pos_start)
        check_position("attr_pos_end", attr_pos_end)
        check_generation_args(generation_args)
        forced = targets is not None
        generating = forced_without_generating(generation_args or {}, forced and not continued)
        start_time = time.monotonic()
        window = (attr_pos_start, attr_pos_end)
        with self.lock, on_device(self._traceable, device):
            chosen.check(reader)
            if override_default_attribution:
                self._make_default(chosen)
            explainer = Explainer(
                reader, chosen, functions, wanted, attribute_target and not causal
            )
            try:
                examples = reader.examples(
                    inputs, targets, generating, window, batch_size, continued=continued
                )
                examples, others = explainer.contrasted(inputs, examples)
            except KeyboardInterrupt:
                raise AttributionInterrupted(None) from None
            info = explainer.info(self.model_name, examples, generating, forced=forced)
            output = FeatureAttributionOutput([], info, self)
            finished: dict[int, FeatureAttributionSequenceOutput] = {}
            limit = bytes_for_features(granular, len(examples), every=output_step_attributions)
            bar = progress_bar(
                chosen.name, len(examples), show=show_progress, pretty=pretty_progress
            )
            try:
                with bar as advance:
                    for number, sequence in explainer.explained(
                        examples, others, output, batch_size, advance, limit
                    ):
                        finished[number] = sequence
            except KeyboardInterrupt:
                output.sequence_attributions = [finished[n] for n in sorted(finished)]
                raise AttributionInterrupted(output if finished else None) from None
        info["exec_time"] = time.monotonic() - start_time
        output.sequence_attributions = [finished[number] for number in range(len(examples))]
        if clean_special_chars:
            output.decode_tokens()
        if output_step_attributions:
            output.step_attributions = [s for each in output for s in step_attributions_of(each)]
        return output


def _check_explained(
    chosen: AttributionMethod, functions: StepFunctions, given: str | StepFunction | None
) -> None:
    """Refuse a method that cannot explain a function, and say where it explains none."""
    functions.check(chosen)
    if given is not None and not chosen.explains_output:
        warnings.warn(
            f"attributed_fn: {chosen.name} does not explain a function of the output, so "
            f"{functions.name!r} changes nothing; step_scores reports its values.",
            stacklevel=3,
        )

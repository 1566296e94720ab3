"""Text in, method chosen, result out: the model that explains what it writes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inseq_widget.alternatives import most_probable
from inseq_widget.explaining import Explaining
from inseq_widget.methods import make_method
from inseq_widget.models import TraceableModel, load
from inseq_widget.models.frameworks import FRAMEWORK, check_framework
from inseq_widget.results import FeatureAttributionSequenceOutput
from inseq_widget.results.alternatives import StepAlternatives
from inseq_widget.scores import StepFunction
from inseq_widget.tokens_and_texts import TokensAndTexts

_LOCKS: WeakKeyDictionary[PreTrainedModel, threading.RLock] = WeakKeyDictionary()


class AttributionModel(Explaining, TokensAndTexts):
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
        super().__init__(attribution_method, method_kwargs)
        self._traceable = traceable
        self.attributed_fn: str | StepFunction = "probability"
        # One for each transformers model, however often it is wrapped.
        self.lock = _LOCKS.setdefault(traceable.model, threading.RLock())

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.model_name} ({self._traceable.architecture}), "
            f"{self.attribution_method or 'no default method'}>"
        )

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


def load_model(
    model: str | Path | PreTrainedModel,
    attribution_method: str | None = None,
    framework: str = FRAMEWORK,
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
    framework : {"hf_transformers"}, default "hf_transformers"
        What runs the model; there is one.
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
    check_framework(framework)
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

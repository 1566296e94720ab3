"""What runs models, and what used to have to be said of their architectures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

FRAMEWORK = "hf_transformers"
_FIELDS = ("self_attention_module", "value_vector", "cross_attention_module")


def list_supported_frameworks() -> list[str]:
    """List what can run a model.

    Returns
    -------
    list of str
    """
    return [FRAMEWORK]


def check_framework(framework: str) -> None:
    """Refuse a framework that cannot run models.

    Raises
    ------
    ValueError
    """
    if framework not in list_supported_frameworks():
        raise ValueError(
            f"framework: {framework!r} given; there is {FRAMEWORK!r} alone. Keywords such as "
            "tokenizer are given by name."
        )


def register_model_config(
    model_type: str,
    config: Mapping[str, str | None],
    overwrite: bool = False,
    allow_partial: bool = False,
) -> None:
    """Accept what Inseq has to be told of an architecture. Nothing here needs it.

    Where a model attends, and with which values, is found while it runs: through transformers'
    attention interface, or by the structure of its modules. So the arguments are checked as in
    Inseq, a warning says that they change nothing, and nothing is stored.

    Parameters
    ----------
    model_type : str
        Name of a model class, such as ``"GPT2LMHeadModel"``.
    config : mapping of str to str
        ``self_attention_module``, ``value_vector`` and ``cross_attention_module``: names of
        modules in a layer, and of a variable in their code.
    overwrite : bool, default False
        Without effect: nothing is stored that could be replaced.
    allow_partial : bool, default False
        Accept a configuration that leaves fields out.

    Raises
    ------
    TypeError
        For what is no name or no mapping.
    ValueError
        For unknown fields, or missing ones without ``allow_partial``.
    """
    if not isinstance(model_type, str) or not model_type:
        raise TypeError(f"model_type: {model_type!r} given; pass the name of a model class.")
    if not isinstance(config, Mapping):
        raise TypeError(f"config: {config!r} given; pass a dict with {', '.join(_FIELDS)}.")
    unknown = [field for field in config if field not in _FIELDS]
    if unknown:
        raise ValueError(f"config: {unknown} given; the fields are {', '.join(_FIELDS)}.")
    missing = [field for field in _FIELDS if field not in config]
    if missing and not allow_partial:
        raise ValueError(
            f"config: {', '.join(missing)} missing; add them, or pass allow_partial=True."
        )
    warnings.warn(
        f"register_model_config: the attention of {model_type} is found while it runs, so its "
        "configuration changes nothing and is not stored.",
        stacklevel=2,
    )

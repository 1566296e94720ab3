"""Attribution methods, each on work that is shared between the steps."""

from importlib import import_module

from inseq_widget.methods.base import (
    AttributionMethod,
    BatchScores,
    Job,
    TextMethod,
    TextScores,
    list_methods,
    make_method,
)

# Each of these modules registers its methods.
for _module in (
    "alti",
    "attention",
    "attnlrp",
    "context_cite",
    "deeplift",
    "discretized",
    "dummy",
    "flow",
    "gradients",
    "integrated",
    "layer_gradients",
    "layer_integrated",
    "noise",
    "perturbation",
    "reagent",
    "rollout",
    "shapley",
    "surrogate",
    "value_zeroing",
):
    import_module(f"{__name__}.{_module}")

__all__ = [
    "AttributionMethod",
    "BatchScores",
    "Job",
    "TextMethod",
    "TextScores",
    "list_methods",
    "make_method",
]

"""Attribution methods, each on work that is shared between the steps."""

from inseq_widget.methods import attention, gradients  # each registers its methods
from inseq_widget.methods.base import (
    AttributionMethod,
    BatchScores,
    Job,
    TextMethod,
    TextScores,
    list_methods,
    make_method,
)

__all__ = [
    "AttributionMethod",
    "BatchScores",
    "Job",
    "TextMethod",
    "TextScores",
    "attention",
    "gradients",
    "list_methods",
    "make_method",
]

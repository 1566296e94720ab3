"""Step functions: a number for each generated token, to be shown or to be attributed."""

from inseq_widget.scores import contrastive, step_functions  # noqa: F401 - they register themselves
from inseq_widget.scores.arguments import StepFunctionArgs
from inseq_widget.scores.inseq_style import adapted
from inseq_widget.scores.registering import (
    Entry,
    StepFunction,
    bound,
    find_step_function,
    keywords_of,
    list_step_functions,
    register_step_function,
)

__all__ = [
    "Entry",
    "StepFunction",
    "StepFunctionArgs",
    "adapted",
    "bound",
    "find_step_function",
    "keywords_of",
    "list_step_functions",
    "register_step_function",
]

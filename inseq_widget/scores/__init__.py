"""Step functions: a number for each generated token, to be shown or to be attributed."""

from inseq_widget.scores.step_functions import (
    StepFunction,
    StepFunctionArgs,
    list_step_functions,
    resolve_step_function,
)

__all__ = ["StepFunction", "StepFunctionArgs", "list_step_functions", "resolve_step_function"]

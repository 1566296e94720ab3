"""Why did this language model write this token? Feature attributions as live heatmaps."""

from inseq_widget.attribution import AttributionInterrupted, AttributionModel, load_model
from inseq_widget.methods import list_methods as list_feature_attribution_methods
from inseq_widget.models.demo import DemoModel, demo_models
from inseq_widget.results import FeatureAttributionOutput, FeatureAttributionSequenceOutput
from inseq_widget.results.alternatives import AlternativeToken, StepAlternatives
from inseq_widget.scores import StepFunctionArgs, list_step_functions, register_step_function
from inseq_widget.widget import AttributionWidget, Link, Selection, link

__all__ = [
    "AlternativeToken",
    "AttributionInterrupted",
    "AttributionModel",
    "AttributionWidget",
    "DemoModel",
    "FeatureAttributionOutput",
    "FeatureAttributionSequenceOutput",
    "Link",
    "Selection",
    "StepAlternatives",
    "StepFunctionArgs",
    "demo_models",
    "link",
    "list_feature_attribution_methods",
    "list_step_functions",
    "load_model",
    "register_step_function",
]

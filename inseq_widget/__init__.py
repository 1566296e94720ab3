"""Why did this language model write this token? Feature attributions as live heatmaps."""

from inseq_widget.attribution import AttributionModel, load_model
from inseq_widget.documentation import explain
from inseq_widget.explaining import AttributionInterrupted
from inseq_widget.methods import list_methods as list_feature_attribution_methods
from inseq_widget.models.demo import DemoModel, demo_models
from inseq_widget.models.encoding import BatchEncoding
from inseq_widget.models.frameworks import list_supported_frameworks, register_model_config
from inseq_widget.render import (
    show_attributions,
    show_granular_attributions,
    show_token_attributions,
)
from inseq_widget.results import (
    AttributionComparison,
    FeatureAttributionOutput,
    FeatureAttributionSequenceOutput,
    FeatureAttributionStepOutput,
    compare_attributions,
    merge_attributions,
)
from inseq_widget.results.aggregation import (
    Aggregator,
    SpanAggregator,
    list_aggregation_functions,
    list_aggregators,
    register_aggregation_function,
    register_aggregator,
)
from inseq_widget.results.alternatives import AlternativeToken, StepAlternatives
from inseq_widget.scores import StepFunctionArgs, list_step_functions, register_step_function
from inseq_widget.scores.foils import Foil
from inseq_widget.widget import AttributionWidget, Link, Selection, link

__all__ = [
    "Aggregator",
    "AlternativeToken",
    "AttributionComparison",
    "AttributionInterrupted",
    "AttributionModel",
    "AttributionWidget",
    "BatchEncoding",
    "DemoModel",
    "FeatureAttributionOutput",
    "FeatureAttributionSequenceOutput",
    "FeatureAttributionStepOutput",
    "Foil",
    "Link",
    "Selection",
    "SpanAggregator",
    "StepAlternatives",
    "StepFunctionArgs",
    "compare_attributions",
    "demo_models",
    "explain",
    "link",
    "list_aggregation_functions",
    "list_aggregators",
    "list_feature_attribution_methods",
    "list_step_functions",
    "list_supported_frameworks",
    "load_model",
    "merge_attributions",
    "register_aggregation_function",
    "register_aggregator",
    "register_model_config",
    "register_step_function",
    "show_attributions",
    "show_granular_attributions",
    "show_token_attributions",
]

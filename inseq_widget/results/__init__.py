"""What an attribution gives: labelled arrays, tokens and tables. Plain data that knows no model."""

from inseq_widget.results.comparison import AttributionComparison, compare_attributions
from inseq_widget.results.merging import merge_attributions
from inseq_widget.results.output import FeatureAttributionOutput
from inseq_widget.results.provenance import Info, LiveModel
from inseq_widget.results.sequence import FeatureAttributionSequenceOutput
from inseq_widget.results.steps import FeatureAttributionStepOutput, step_attributions_of
from inseq_widget.results.tokens import Side, Token

__all__ = [
    "AttributionComparison",
    "FeatureAttributionOutput",
    "FeatureAttributionSequenceOutput",
    "FeatureAttributionStepOutput",
    "Info",
    "LiveModel",
    "Side",
    "Token",
    "compare_attributions",
    "merge_attributions",
    "step_attributions_of",
]

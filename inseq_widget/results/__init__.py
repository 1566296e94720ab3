"""What an attribution gives: labelled arrays, tokens and tables. Plain data that knows no model."""

from inseq_widget.results.output import FeatureAttributionOutput
from inseq_widget.results.provenance import Info, LiveModel
from inseq_widget.results.sequence import FeatureAttributionSequenceOutput
from inseq_widget.results.tokens import Side, Token

__all__ = [
    "FeatureAttributionOutput",
    "FeatureAttributionSequenceOutput",
    "Info",
    "LiveModel",
    "Side",
    "Token",
]

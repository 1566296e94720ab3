"""The live heatmap in a notebook, its selection, and links between several."""

from inseq_widget.widget.link import Link, link
from inseq_widget.widget.selection import Selection
from inseq_widget.widget.widget import AttributionWidget, display_output

__all__ = ["AttributionWidget", "Link", "Selection", "display_output", "link"]

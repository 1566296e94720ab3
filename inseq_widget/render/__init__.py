"""The same heatmaps without a kernel: plain text, a terminal, static HTML, a page of its own."""

from inseq_widget.render.bundle import MissingBundle
from inseq_widget.render.console import print_heatmaps
from inseq_widget.render.html import static_html
from inseq_widget.render.standalone import standalone_page
from inseq_widget.render.text import top_attributions_text

__all__ = [
    "MissingBundle",
    "print_heatmaps",
    "standalone_page",
    "static_html",
    "top_attributions_text",
]

"""The same heatmaps without a kernel: plain text, a terminal, static HTML, a page of its own."""

from inseq_widget.render.bundle import MissingBundle
from inseq_widget.render.console import print_heatmaps
from inseq_widget.render.functions import (
    show_attributions,
    show_granular_attributions,
    show_token_attributions,
)
from inseq_widget.render.html import static_html
from inseq_widget.render.standalone import standalone_page, static_page
from inseq_widget.render.text import top_attributions_text

__all__ = [
    "MissingBundle",
    "print_heatmaps",
    "show_attributions",
    "show_granular_attributions",
    "show_token_attributions",
    "standalone_page",
    "static_html",
    "static_page",
    "top_attributions_text",
]

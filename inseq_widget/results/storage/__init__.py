"""Results on disk: one safetensors file for an output, and Inseq's JSON files to read."""

from inseq_widget.results.storage.reading import load_output
from inseq_widget.results.storage.writing import ScoresPrecision, save_output

__all__ = ["ScoresPrecision", "load_output", "save_output"]

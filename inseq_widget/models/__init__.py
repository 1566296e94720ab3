"""Hugging Face models that can be traced: load, encode, generate, trace."""

from inseq_widget.models.example import Example
from inseq_widget.models.loading import load
from inseq_widget.models.trace import Stack, Trace
from inseq_widget.models.traceable import Messages, TextInput, TraceableModel

__all__ = ["Example", "Messages", "Stack", "TextInput", "Trace", "TraceableModel", "load"]

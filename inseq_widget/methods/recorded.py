"""Methods that take a text's layers one by one, from a recording of its run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from inseq_widget.methods.base import Job, TextMethod
from inseq_widget.models import Example, Trace, TraceableModel
from inseq_widget.models.recording import RecordedTrace, Recording


class RecordedMethod(TextMethod):
    """A method that runs a text's layers again, or takes apart what they did."""

    @abstractmethod
    def recorded(self, model: TraceableModel, example: Example) -> RecordedTrace:
        """Run the model over a text, and keep what the method needs of its layers.

        Parameters
        ----------
        model : TraceableModel
        example : Example

        Returns
        -------
        RecordedTrace
        """

    def trace(self, model: TraceableModel, examples: Sequence[Example]) -> Trace:
        """See :meth:`AttributionMethod.trace`; a text that is alone is recorded in that run."""
        if len(examples) == 1:
            return self.recorded(model, examples[0])
        return super().trace(model, examples)

    def recording(self, job: Job, example: Example) -> Recording:
        """Give the recording of a text: the trace's, or one of its own beside others."""
        if isinstance(job.trace, RecordedTrace):
            return job.trace.recording
        return self.recorded(job.model, example).recording

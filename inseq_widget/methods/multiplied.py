"""What scores are called that can be gradients alone, or multiplied by differences."""

from __future__ import annotations

from typing import ClassVar


class Multiplied:
    """A method with the keyword ``multiply_by_inputs``.

    Attributes
    ----------
    multiplied_label, alone_label : str
        What a score is, in words, with and without the factor.
    multiply_by_inputs : bool
    """

    multiplied_label: ClassVar[str]
    alone_label: ClassVar[str]
    multiply_by_inputs: bool

    @property
    def score_label(self) -> str:
        """See :class:`~inseq_widget.methods.base.AttributionMethod`."""
        return self.multiplied_label if self.multiply_by_inputs else self.alone_label

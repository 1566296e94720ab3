"""Types of the widget's state and of the messages between page and kernel.

Everything that crosses the wire is declared here once. ``js/src/protocol.ts`` is generated from
this module by ``python -m inseq_widget.explore.typescript`` and a test fails when the two differ.
A docstring of a class here becomes the comment of the TypeScript interface.
"""

from __future__ import annotations

from typing import Literal, TypedDict

PROTOCOL_VERSION = 1

Side = Literal["source", "prompt", "target"]
Architecture = Literal["decoder_only", "encoder_decoder"]
Theme = Literal["auto", "light", "dark"]
ErrorCode = Literal[
    "bad_request",
    "unknown_operation",
    "version",
    "no_model",
    "cancelled",
    "superseded",
    "failed",
]


class TokenSpec(TypedDict):
    """A token as it is drawn. The texts of consecutive tokens of a side join to the text itself."""

    text: str
    piece: str
    id: int
    position: int
    side: Side
    special: bool
    word: int


class StepSpec(TypedDict):
    """One generated token that is explained.

    ``token`` indexes ``SequenceSpec.tokens``. ``total`` is the sum of the absolute scores of the
    step over all inputs: ``score / total`` is the share that the colour shows.
    """

    token: int
    total: float
    step_scores: dict[str, float | None]


class SequenceSpec(TypedDict):
    """One attributed text: its tokens, and which of them are rows and columns of the matrix.

    ``inputs[i]`` is the token of matrix row *i*. ``offset`` counts float32 values from the start
    of the ``_scores`` buffer to this sequence's ``[input, step]`` matrix (row by row, NaN where
    an input comes after the step). ``domain`` is the share at the end of the colour scale,
    ``largest`` the largest absolute share: the legend says so where it is beyond the scale.
    """

    architecture: Architecture
    tokens: list[TokenSpec]
    inputs: list[int]
    steps: list[StepSpec]
    offset: int
    domain: float
    largest: float


class FigureSpec(TypedDict):
    """What a heatmap shows, beside the scores themselves."""

    model: str
    method: str
    attributed_fn: str | None
    reduction: str | None
    score_label: str
    signed: bool
    sequences: list[SequenceSpec]


class SelectionState(TypedDict):
    """What is pinned: indices along the ``input`` and ``step`` dimensions of one sequence."""

    sequence: int
    inputs: list[int]
    steps: list[int]


class Traits(TypedDict):
    """Synchronised state of the widget; ``bytes`` arrive as a ``DataView``."""

    _spec: FigureSpec
    _scores: bytes
    selection: SelectionState
    theme: Theme


class AlternativesArgs(TypedDict):
    """Ask for the ``k`` most probable tokens at a step."""

    sequence: int
    step: int
    k: int


class Alternative(TypedDict):
    """A token that could stand at a step. ``rank`` counts from 1, the most probable token."""

    text: str
    piece: str
    id: int
    probability: float
    rank: int
    special: bool


class AlternativesResult(TypedDict):
    """The most probable tokens at a step, and the token that stands there."""

    sequence: int
    step: int
    target: Alternative
    alternatives: list[Alternative]


class Operations(TypedDict):
    """Every operation a page may request, by name: its arguments and its result."""

    alternatives: tuple[AlternativesArgs, AlternativesResult]


Operation = Literal["alternatives"]


class RequestMessage(TypedDict):
    """Page to kernel: do ``op``. ``id`` is unique among all pages of this widget."""

    v: int
    type: Literal["request"]
    id: str
    op: Operation
    args: AlternativesArgs


class CancelMessage(TypedDict):
    """Page to kernel: the answer to ``id`` is no longer wanted."""

    v: int
    type: Literal["cancel"]
    id: str


class AcceptedMessage(TypedDict):
    """Kernel to page: the request is queued. A page that gets none can tell that nobody listens."""

    v: int
    type: Literal["accepted"]
    id: str


class ProgressMessage(TypedDict):
    """Kernel to page: ``done`` of ``total`` units; ``remaining`` is the estimate in seconds."""

    v: int
    type: Literal["progress"]
    id: str
    done: int
    total: int
    remaining: float | None
    note: str


class ResultMessage(TypedDict):
    """Kernel to page: the answer; arrays, if any, travel as the message's buffers."""

    v: int
    type: Literal["result"]
    id: str
    result: AlternativesResult


class ErrorMessage(TypedDict):
    """Kernel to page: why there is no answer, and what would work."""

    v: int
    type: Literal["error"]
    id: str
    code: ErrorCode
    message: str
    hint: str


ClientMessage = RequestMessage | CancelMessage
KernelMessage = AcceptedMessage | ProgressMessage | ResultMessage | ErrorMessage

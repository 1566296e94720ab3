"""The conversation between one widget's pages and the kernel: checks messages, enqueues work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeGuard

from inseq_widget.explore.jobs import Control, Explorable, Job, Worker, error_message, worker_of
from inseq_widget.explore.operations import OPERATIONS, BadRequest, Work, shortened
from inseq_widget.explore.protocol import (
    PROTOCOL_VERSION,
    AcceptedMessage,
    ErrorCode,
    KernelMessage,
    ResultMessage,
)
from inseq_widget.results import FeatureAttributionOutput

_LONGEST_ID = 200
_RELOAD = "Reload the page: it was drawn by another version of inseq_widget."

_log = logging.getLogger(__name__)


class Conversation:
    """Answers what the pages of one widget ask.

    Every request with a usable id gets ``accepted`` and then one result or one error, or an error
    at once. Nothing that a page sends raises.

    Parameters
    ----------
    output : FeatureAttributionOutput
        What the questions are about.
    send : callable
        Sends a frame to the pages, from any thread.
    """

    def __init__(
        self, output: FeatureAttributionOutput, send: Callable[[KernelMessage], None]
    ) -> None:
        self._output = output
        self._send = send
        self._open: dict[str, tuple[Job, Worker]] = {}
        self._lock = threading.Lock()

    def receive(self, content: object) -> None:
        """Take a message of a page and return at once.

        Parameters
        ----------
        content : object
            A ``ClientMessage``, or whatever else has arrived.
        """
        if not isinstance(content, dict):
            return
        request = _usable_id(content.get("id"))
        if request is None:
            return
        try:
            self._take(request, content)
        except BadRequest as error:
            self._refuse(request, "bad_request", str(error), "")
        except Exception as error:
            _log.debug("message %s was not understood", shortened(content), exc_info=True)
            self._refuse(request, "failed", f"{type(error).__name__}: {error}", "")

    def close(self) -> None:
        """Give all open requests up."""
        with self._lock:
            jobs = list(self._open.values())
        for job, worker in jobs:
            worker.cancel(job)

    def _take(self, request: str, content: dict[object, object]) -> None:
        version, kind = content.get("v"), content.get("type")
        if version != PROTOCOL_VERSION or isinstance(version, bool):
            message = f"v: {shortened(version)} given; this kernel speaks {PROTOCOL_VERSION}."
            self._refuse(request, "version", message, _RELOAD)
        elif kind == "cancel":
            self._cancel(request)
        elif kind == "request":
            self._request(request, content.get("op"), content.get("args"))
        else:
            raise BadRequest(f"type: {shortened(kind)} given; 'request' and 'cancel' work.")

    def _cancel(self, request: str) -> None:
        with self._lock:
            found = self._open.get(request)
        # None: its answer and this message crossed on the way, and there is nothing to say.
        if found is not None:
            job, worker = found
            worker.cancel(job)

    def _request(self, request: str, op: object, args: object) -> None:
        if not isinstance(op, str) or op not in OPERATIONS:
            message = f"op: {shortened(op)} given; there are {', '.join(OPERATIONS)}."
            self._refuse(request, "unknown_operation", message, _RELOAD)
            return
        work = OPERATIONS[op](self._output, args)
        model = self._output.live_model
        if not _is_explorable(model):
            self._refuse(
                request,
                "no_model",
                "The model behind this heatmap is not at hand.",
                "A saved or derived result can be seen, not asked: ask what attribute gave.",
            )
            return
        worker = worker_of(model)
        job = Job(request, (id(self), op), _bound(request, work, model), self._finish)
        with self._lock:
            if request in self._open:
                raise BadRequest(f"id: {shortened(request)} is the id of an open request.")
            self._open[request] = (job, worker)
        # Before the job is queued, so that no answer overtakes it.
        self._deliver(AcceptedMessage(v=PROTOCOL_VERSION, type="accepted", id=request))
        worker.submit(job)

    def _finish(self, message: KernelMessage) -> None:
        if message["type"] in ("result", "error"):
            with self._lock:
                self._open.pop(message["id"], None)
        self._send(message)

    def _refuse(self, request: str, code: ErrorCode, message: str, hint: str) -> None:
        self._deliver(error_message(request, code, message, hint))

    def _deliver(self, message: KernelMessage) -> None:
        try:
            self._send(message)
        except Exception:
            # The page or its connection is gone: nobody is left to be told.
            _log.debug("frame %s was not sent", message["type"], exc_info=True)


def _bound(request: str, work: Work, model: Explorable) -> Callable[[Control], ResultMessage]:
    def answer(control: Control) -> ResultMessage:
        result = work(model, control)
        return ResultMessage(v=PROTOCOL_VERSION, type="result", id=request, result=result)

    return answer


def _is_explorable(model: object) -> TypeGuard[Explorable]:
    return hasattr(model, "lock") and hasattr(model, "alternatives")


def _usable_id(found: object) -> str | None:
    """Give an id that an answer can be sent to, and None for anything else."""
    if not isinstance(found, str) or not 0 < len(found) <= _LONGEST_ID:
        return None
    # A lone surrogate cannot be sent back.
    return found if found == found.encode("utf-8", "ignore").decode("utf-8") else None

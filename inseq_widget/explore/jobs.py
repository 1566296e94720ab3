"""Work that a page asks for: one thread for each model, one job at a time, each cancellable.

Handlers of messages only enqueue. They may run on the kernel's main thread or on one that all
widgets share, and neither may wait for a model.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Literal, Protocol
from weakref import WeakKeyDictionary, finalize

from inseq_widget.explore.protocol import (
    PROTOCOL_VERSION,
    ErrorCode,
    ErrorMessage,
    KernelMessage,
    ProgressMessage,
    ResultMessage,
)
from inseq_widget.results import FeatureAttributionSequenceOutput
from inseq_widget.results.alternatives import StepAlternatives

# Work of less than that needs no progress bar; seconds.
SILENT_SECONDS = 0.5
# Progress is told no more often than that; seconds.
FRAME_SECONDS = 0.1
# How often a job that waits for the model looks whether it is still wanted; seconds.
_LOCK_POLL_SECONDS = 0.05
_EXIT_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Explorable(Protocol):
    """A model that answers a page's questions about its own results."""

    @property
    def lock(self) -> threading.RLock:
        """Held while the model is in use."""

    def alternatives(
        self, sequence: FeatureAttributionSequenceOutput, step: int, k: int = 10
    ) -> StepAlternatives:
        """Find the ``k`` most probable tokens at a step."""


class JobCancelled(Exception):  # noqa: N818  (an outcome rather than an error)
    """Raised inside a job whose answer is no longer wanted."""


class Control:
    """What running work can see and say of its job.

    Attributes
    ----------
    cancelled : threading.Event
        Set when the answer is no longer wanted.
    """

    def __init__(self, tell: Callable[[int, int, float | None, str], None]) -> None:
        self.cancelled = threading.Event()
        self._tell = tell
        self._start = time.monotonic()
        self._told = float("-inf")

    def begin(self) -> None:
        """Start the clock of the work itself, which estimates go by."""
        self._start = time.monotonic()

    def check(self) -> None:
        """Raise :class:`JobCancelled` if the answer is no longer wanted."""
        if self.cancelled.is_set():
            raise JobCancelled

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Tell how far the work is; a point where it can be cancelled.

        Parameters
        ----------
        done, total : int
            Units of work, 0 ≤ done ≤ total.
        note : str
            What is being done, in a few words.

        Raises
        ------
        JobCancelled
            When the answer is no longer wanted.
        """
        self.check()
        now = time.monotonic()
        elapsed = now - self._start
        if elapsed < SILENT_SECONDS or now - self._told < FRAME_SECONDS:
            return
        self._told = now
        self._tell(done, total, elapsed * (total - done) / done if done > 0 else None, note)


class Job:
    """One request's work.

    Parameters
    ----------
    id : str
        The request's id; all frames carry it.
    kind : hashable
        A newer job of the same kind replaces this one.
    work : callable
        Does the work and gives the frame that answers.
    send : callable
        Sends a frame to the page.
    """

    def __init__(
        self,
        id: str,
        kind: Hashable,
        work: Callable[[Control], ResultMessage],
        send: Callable[[KernelMessage], None],
    ) -> None:
        self.id = id
        self.kind = kind
        self.control = Control(self._tell)
        self._work = work
        self._send = send
        self._reason: Literal["cancelled", "superseded"] = "cancelled"

    def ask_to_stop(self, reason: Literal["cancelled", "superseded"]) -> None:
        """Ask running work to end; the first reason counts."""
        if not self.control.cancelled.is_set():
            self._reason = reason
            self.control.cancelled.set()

    def answer_stopped(self) -> None:
        """Answer that there will be no result."""
        if self._reason == "superseded":
            self._answer_error("superseded", "A newer request took this one's place.", "")
        else:
            self._answer_error("cancelled", "The request was cancelled.", "")

    def perform(self, lock: threading.RLock) -> None:
        """Do the work while holding a lock, and answer. Raises nothing."""
        try:
            message = self._result_under(lock)
        except JobCancelled:
            self.answer_stopped()
        except KeyboardInterrupt:
            self._answer_error("cancelled", "The request was interrupted.", "Ask again.")
        except BaseException as error:
            _log.debug("the work of request %s failed", self.id, exc_info=True)
            self._answer_error("failed", _in_words(error), _advice(error))
        else:
            # Finished work of a superseded request is still right; of a cancelled one, unwanted.
            if self.control.cancelled.is_set() and self._reason == "cancelled":
                self.answer_stopped()
            else:
                self._deliver(message)

    def _result_under(self, lock: threading.RLock) -> ResultMessage:
        start = time.monotonic()
        told = False
        while not lock.acquire(timeout=_LOCK_POLL_SECONDS):
            self.control.check()
            if not told and time.monotonic() - start > SILENT_SECONDS:
                told = True
                self._tell(0, 1, None, "waiting until the model is free")
        try:
            self.control.check()
            self.control.begin()
            return self._work(self.control)
        finally:
            lock.release()

    def _tell(self, done: int, total: int, remaining: float | None, note: str) -> None:
        self._deliver(
            ProgressMessage(
                v=PROTOCOL_VERSION,
                type="progress",
                id=self.id,
                done=done,
                total=total,
                remaining=remaining,
                note=note,
            )
        )

    def _answer_error(self, code: ErrorCode, message: str, hint: str) -> None:
        self._deliver(error_message(self.id, code, message, hint))

    def _deliver(self, message: KernelMessage) -> None:
        try:
            self._send(message)
        except Exception:
            # The page or its connection is gone: nobody is left to be told.
            _log.debug("frame %s of %s was not sent", message["type"], self.id, exc_info=True)


class Worker:
    """The thread of one model. It knows the model's lock, never the model, which it outlives.

    Parameters
    ----------
    lock : threading.RLock
        Held while a job runs.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._changed = threading.Condition()
        self._queue: deque[Job] = deque()
        self._running: Job | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def submit(self, job: Job) -> None:
        """Put a job at the end of the queue, in place of older ones of its kind."""
        with self._changed:
            if self._stopped:
                job.answer_stopped()
                return
            replaced = [other for other in self._queue if other.kind == job.kind]
            for other in replaced:
                self._queue.remove(other)
                other.ask_to_stop("superseded")
            if self._running is not None and self._running.kind == job.kind:
                self._running.ask_to_stop("superseded")
            self._queue.append(job)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="inseq-widget-jobs", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        for other in replaced:
            other.answer_stopped()

    def cancel(self, job: Job) -> None:
        """Give a job up: at once if it waits, else as soon as its work looks."""
        with self._changed:
            waiting = job in self._queue
            if waiting:
                self._queue.remove(job)
            job.ask_to_stop("cancelled")
        if waiting:
            job.answer_stopped()

    def stop(self) -> None:
        """End the thread after the present job, which is asked to end."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            if self._running is not None:
                self._running.ask_to_stop("cancelled")
            self._changed.notify()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end, ``timeout`` seconds at most."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                job = self._running = self._queue.popleft()
            try:
                job.perform(self._lock)
            finally:
                with self._changed:
                    self._running = None
                # A job refers to its model, which must not live for as long as this thread waits.
                del job


_workers: WeakKeyDictionary[Explorable, Worker] = WeakKeyDictionary()
_workers_lock = threading.Lock()


def worker_of(model: Explorable) -> Worker:
    """Give the one worker of a model, whose thread starts with its first job.

    Parameters
    ----------
    model : Explorable

    Returns
    -------
    Worker
        Its thread ends when the model is no longer used, or with the interpreter.
    """
    with _workers_lock:
        worker = _workers.get(model)
        if worker is None:
            worker = _workers[model] = Worker(model.lock)
            finalize(model, worker.stop).atexit = False
        return worker


def error_message(id: str, code: ErrorCode, message: str, hint: str) -> ErrorMessage:
    """Make the frame of an error.

    Parameters
    ----------
    id : str
        The request that it answers.
    code : ErrorCode
    message : str
        What went wrong.
    hint : str
        What would work; may be empty.

    Returns
    -------
    ErrorMessage
    """
    return ErrorMessage(
        v=PROTOCOL_VERSION, type="error", id=id, code=code, message=message, hint=hint
    )


@atexit.register
def _stop_all() -> None:
    workers = list(_workers.values())
    for worker in workers:
        worker.stop()
    for worker in workers:
        worker.join(_EXIT_SECONDS)


def _in_words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text[:500]}" if text else name


def _advice(error: BaseException) -> str:
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__:
        return "Free memory, for example by deleting other models, and ask again."
    return "Ask again; calling the model's own method in a cell shows the whole error."

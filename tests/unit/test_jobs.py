"""A model's work is done on one thread, one job at a time, and every job is answered once."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from inseq_widget.explore import jobs
from inseq_widget.explore.jobs import Control, Job, Worker, worker_of
from inseq_widget.explore.protocol import ErrorMessage, ProgressMessage, ResultMessage
from tests.unit.conformity import nonconformity
from tests.unit.explorable import FakeModel, Page


def result(id: str) -> ResultMessage:
    return {"v": 1, "type": "result", "id": id, "result": None}  # type: ignore[typeddict-item]


class Gate:
    """Work that stands still until a test lets it go on."""

    def __init__(self, id: str, *, looks: bool = True) -> None:
        self.id = id
        self.looks = looks
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, control: Control) -> ResultMessage:
        self.entered.set()
        while not self.opened.wait(0.005):
            if self.looks:
                control.check()
        return result(self.id)


@pytest.fixture
def submit(model: FakeModel, page: Page) -> Callable[..., Job]:
    def submit(id: str, work: Callable[[Control], object] | None = None, kind: str = "") -> Job:
        job = Job(id, kind or id, work or (lambda control: result(id)), page)
        worker_of(model).submit(job)
        return job

    return submit


def test_a_job_is_answered_with_what_its_work_gives(submit, page) -> None:
    submit("a")
    assert page.wait_for("a") == result("a")


def test_work_is_done_on_another_thread_with_the_model_locked(submit, page, model) -> None:
    seen = {}

    def work(control: Control) -> ResultMessage:
        seen["thread"] = threading.current_thread()
        other = threading.Thread(
            target=lambda: seen.update(free=model.lock.acquire(blocking=False))
        )
        other.start()
        other.join()
        return result("a")

    submit("a", work)
    page.wait_for("a")
    assert seen["thread"] is not threading.current_thread()
    assert seen["thread"].daemon
    assert seen["free"] is False
    assert model.lock.acquire(timeout=5)
    model.lock.release()


def test_jobs_of_one_model_run_one_after_another_in_order(submit, page) -> None:
    running, order, most = [], [], []

    def work_of(id: str) -> Callable[[Control], ResultMessage]:
        def work(control: Control) -> ResultMessage:
            running.append(id)
            most.append(len(running))
            time.sleep(0.002)
            running.remove(id)
            order.append(id)
            return result(id)

        return work

    ids = [str(number) for number in range(20)]
    for id in ids:
        submit(id, work_of(id))
    for id in ids:
        page.wait_for(id)
    assert order == ids
    assert max(most) == 1


def test_two_models_work_side_by_side(page) -> None:
    one, other = FakeModel(), FakeModel()
    assert worker_of(one) is worker_of(one)
    assert worker_of(one) is not worker_of(other)
    gate = Gate("one")
    worker_of(one).submit(Job("one", "k", gate, page))
    assert gate.entered.wait(10)
    worker_of(other).submit(Job("other", "k", lambda control: result("other"), page))
    page.wait_for("other")
    gate.opened.set()
    page.wait_for("one")


def test_a_newer_job_takes_the_place_of_a_waiting_one_of_its_kind(submit, page) -> None:
    gate = Gate("first")
    submit("first", gate, kind="other")
    assert gate.entered.wait(10)
    submit("old", kind="k")
    submit("bystander", kind="b")
    submit("new", kind="k")
    superseded = page.wait_for("old")
    assert superseded["code"] == "superseded"
    gate.opened.set()
    assert page.wait_for("first")["type"] == "result"
    assert page.wait_for("new")["type"] == "result"
    assert page.wait_for("bystander")["type"] == "result"
    assert len(page.of("old")) == 1


def test_a_newer_job_asks_a_running_one_of_its_kind_to_end(submit, page) -> None:
    gate = Gate("old")
    submit("old", gate, kind="k")
    assert gate.entered.wait(10)
    submit("new", kind="k")
    assert page.wait_for("old")["code"] == "superseded"
    assert page.wait_for("new")["type"] == "result"


def test_a_superseded_job_that_finishes_all_the_same_is_answered_with_its_result(
    submit, page
) -> None:
    gate = Gate("old", looks=False)
    submit("old", gate, kind="k")
    assert gate.entered.wait(10)
    submit("new", kind="k")
    gate.opened.set()
    assert page.wait_for("old") == result("old")


def test_a_waiting_job_that_is_cancelled_is_answered_at_once_and_never_runs(
    submit, page, model
) -> None:
    gate, ran = Gate("first"), []
    submit("first", gate)
    assert gate.entered.wait(10)
    job = submit("a", lambda control: ran.append("a") or result("a"))
    worker_of(model).cancel(job)
    assert page.of("a")[0]["code"] == "cancelled"
    gate.opened.set()
    submit("last")
    page.wait_for("last")
    assert ran == []
    assert len(page.of("a")) == 1


@pytest.mark.parametrize("looks", [True, False], ids=["looks", "does not look"])
def test_a_running_job_that_is_cancelled_is_answered_so(submit, page, model, looks) -> None:
    gate = Gate("a", looks=looks)
    job = submit("a", gate)
    assert gate.entered.wait(10)
    worker_of(model).cancel(job)
    if not looks:
        gate.opened.set()
    assert page.wait_for("a")["code"] == "cancelled"


def test_waiting_for_the_model_is_told_and_can_be_cancelled(
    submit, page, model, monkeypatch
) -> None:
    monkeypatch.setattr(jobs, "SILENT_SECONDS", 0.0)
    ran = []
    with model.lock:
        job = submit("a", lambda control: ran.append("a") or result("a"))
        note = page.wait_for("a", "progress")
        worker_of(model).cancel(job)
        assert page.wait_for("a")["code"] == "cancelled"
    assert note["remaining"] is None
    assert "model is free" in note["note"]
    assert nonconformity(note, ProgressMessage) == []
    submit("b")
    page.wait_for("b")
    assert ran == []


def test_progress_is_told_with_an_estimate_and_not_too_often(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: now[0]))
    told = []
    control = Control(lambda *frame: told.append(frame))
    control.progress(0, 10, "early")  # under half a second: nobody needs a bar
    now[0] = 101.0
    control.progress(2, 10, "working")
    now[0] = 101.05
    control.progress(3, 10)  # too soon after the last
    now[0] = 102.0
    control.progress(5, 10)
    assert told == [(2, 10, 4.0, "working"), (5, 10, 2.0, "")]


def test_progress_before_the_first_unit_has_no_estimate(monkeypatch) -> None:
    monkeypatch.setattr(jobs, "SILENT_SECONDS", 0.0)
    told = []
    Control(lambda *frame: told.append(frame)).progress(0, 10)
    assert told == [(0, 10, None, "")]


def test_progress_reaches_the_page_and_short_work_sends_none(submit, page, monkeypatch) -> None:
    def work(control: Control) -> ResultMessage:
        control.progress(1, 4, "layer 1")
        return result("a")

    submit("short", work)
    page.wait_for("a")
    assert page.of("short", "progress") == []
    monkeypatch.setattr(jobs, "SILENT_SECONDS", -1.0)
    submit("long", work)
    frame = page.wait_for("long", "progress")
    assert nonconformity(frame, ProgressMessage) == []
    assert (frame["done"], frame["total"], frame["note"]) == (1, 4, "layer 1")


def test_telling_progress_is_a_point_where_a_job_can_be_cancelled(submit, page, model) -> None:
    entered = threading.Event()

    def work(control: Control) -> ResultMessage:
        entered.set()
        for done in range(10_000):
            control.progress(done, 10_000)
            time.sleep(0.001)
        return result("a")

    job = submit("a", work)
    assert entered.wait(10)
    worker_of(model).cancel(job)
    assert page.wait_for("a")["code"] == "cancelled"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("step 9\nis not there"), "failed", "ValueError: step 9 is not there"),
        (MemoryError(), "failed", "MemoryError"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (KeyboardInterrupt(), "cancelled", "interrupted"),
        (RuntimeError("x" * 10_000), "failed", "RuntimeError: xxx"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_work_raises_becomes_an_answer_and_the_thread_lives_on(
    submit, page, error, code, words
) -> None:
    def work(control: Control) -> ResultMessage:
        raise error

    submit("a", work)
    answer = page.wait_for("a")
    assert nonconformity(answer, ErrorMessage) == []
    assert answer["code"] == code
    assert words in answer["message"]
    assert answer["hint"]
    assert len(answer["message"]) < 1000
    submit("b")
    assert page.wait_for("b") == result("b")


def test_advice_for_want_of_memory_is_to_free_some(submit, page) -> None:
    def work(control: Control) -> ResultMessage:
        raise MemoryError

    submit("a", work)
    assert "memory" in page.wait_for("a")["hint"]


def test_a_page_that_is_gone_does_not_end_the_thread(model, page) -> None:
    def gone(frame: object) -> None:
        raise OSError("socket closed")

    worker_of(model).submit(Job("a", "a", lambda control: result("a"), gone))
    worker_of(model).submit(Job("b", "b", lambda control: result("b"), page))
    assert page.wait_for("b") == result("b")


def test_the_thread_ends_when_the_model_is_no_longer_used(page) -> None:
    model = FakeModel()
    worker, last_seen = worker_of(model), weakref.ref(model)
    worker.submit(Job("a", "a", lambda control, model=model: result("a"), page))
    page.wait_for("a")
    assert worker.alive
    del model
    deadline = time.monotonic() + 10
    while last_seen() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert last_seen() is None
    worker.join(10)
    assert not worker.alive


def test_no_thread_is_started_before_there_is_work(model) -> None:
    assert not worker_of(model).alive


def test_a_stopped_worker_answers_that_it_will_not_work(page) -> None:
    worker = Worker(threading.RLock())
    worker.stop()
    worker.submit(Job("a", "a", lambda control: result("a"), page))
    assert page.wait_for("a")["code"] == "cancelled"


def test_the_interpreter_ends_in_the_middle_of_a_job_that_does_not_look() -> None:
    program = """
        import threading, time
        from inseq_widget.explore.jobs import Job, worker_of

        class Model:
            lock = threading.RLock()

        entered = threading.Event()

        def work(control):
            entered.set()
            time.sleep(600)

        model = Model()
        worker_of(model).submit(Job("a", "a", work, print))
        assert entered.wait(10)
        print("over")
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "over\n", "")

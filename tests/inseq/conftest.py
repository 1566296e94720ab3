"""Inseq in its own process, the tiny models in folders, and a way to ask both sides the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

import inseq_widget
from tests.inseq.comparing import assert_same
from tests.inseq.models import KINDS, save
from tests.inseq.tolerances import DOUBLE
from tests.peer.job import Done, Job, Loaded, done, loaded
from tests.peer.process import Peer

Both = Callable[[Job], tuple[Done, Done]]
Load = Callable[[str, str], Loaded]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write every tiny model to a folder."""
    root = tmp_path_factory.mktemp("models")
    for name, kind in KINDS.items():
        save(kind, root / name)
    return {name: str(root / name) for name in KINDS}


@pytest.fixture(scope="session")
def inseq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """Start Inseq; its environment is made first where it is missing."""
    with Peer(tmp_path_factory.mktemp("inseq")) as peer:
        yield peer


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread, with which tiny models are fastest; Inseq's process has the other core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def models() -> Load:
    """Load each model once in each precision."""
    kept: dict[tuple[str, str], Loaded] = {}

    def model(name: str, dtype: str) -> Loaded:
        key = name, dtype
        if key not in kept:
            kept[key] = loaded(*key)
        return kept[key]

    return model


@pytest.fixture
def both(
    inseq: Peer,
    folders: dict[str, str],
    models: Load,
    one_thread: None,
) -> Both:
    """Do a job with this project and with Inseq; a job names its model."""

    def ask(job: Job) -> tuple[Done, Done]:
        given = replace(job, model=folders.get(job.model, job.model))
        own = done(given, inseq_widget, models(given.model, job.dtype), job.own)
        return own, inseq.ask(given)

    return ask


@pytest.fixture
def assert_equal(both: Both) -> Callable[..., None]:
    """Do a job with both, and compare all that it looks at."""

    def compare(job: Job, limit: float = DOUBLE, *, fewer: bool = False) -> None:
        own, peer = both(job)
        wrong = []
        for name in job.views:
            try:
                assert_same(own.views[name], peer.views[name], limit, fewer=fewer)
            except AssertionError as error:
                wrong.append(f"{name}: {error}")
        assert not wrong, "\n".join(wrong)

    return compare

"""Whatever stops a save, the old file is there as it was, and nothing else."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from inseq_widget.results import FeatureAttributionOutput
from inseq_widget.results.storage import writing
from inseq_widget.results.storage.atomic import replaced
from tests.unit.outputs import batch, causal, encoder_decoder
from tests.unit.stored import assert_same
from tests.unit.test_storage import random_raw, with_raw

FULL = OSError(errno.ENOSPC, "No space left on device")


def stops(error: BaseException) -> Callable[..., None]:
    def stop(*arguments: object, **keywords: object) -> None:
        raise error

    return stop


def half_written(error: BaseException) -> Callable[..., None]:
    """Write a part of a file, and another of the library's own, and then stop."""

    def save_file(arrays: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half of it")
        path.with_name(".tmp123").write_bytes(b"half of it")
        raise error

    return save_file


@pytest.fixture(params=["plain", "compressed"])
def compress(request: pytest.FixtureRequest) -> bool:
    return request.param == "compressed"


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    ("place", "name", "stop", "expected"),
    [
        (writing, "save_file", half_written(KeyboardInterrupt()), KeyboardInterrupt),
        (writing, "save_file", half_written(SafetensorError("I/O error: no space")), OSError),
        (writing, "save_file", half_written(MemoryError()), MemoryError),
        (os, "fsync", stops(FULL), OSError),
        (os, "replace", stops(KeyboardInterrupt()), KeyboardInterrupt),
        (shutil, "copymode", stops(PermissionError(errno.EPERM, "not yours")), PermissionError),
    ],
)
def test_a_stop_leaves_what_was_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exists: bool,
    place: object,
    name: str,
    stop: Callable[..., None],
    expected: type[BaseException],
    compress: bool,
) -> None:
    path = tmp_path / "it"
    if exists:
        causal().save(path)
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(place, name, stop)
        with pytest.raises(expected):
            encoder_decoder().save(path, overwrite=True, compress=compress)
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before
    encoder_decoder().save(path, overwrite=True, compress=compress)
    assert_same(FeatureAttributionOutput.load(path), encoder_decoder())


def test_a_stop_while_it_is_compressed_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it"
    causal().save(path)
    monkeypatch.setattr(writing.shutil, "copyfileobj", stops(FULL))
    with pytest.raises(OSError, match="No space left"):
        encoder_decoder().save(path, overwrite=True, compress=True)
    monkeypatch.undo()
    assert [each.name for each in tmp_path.iterdir()] == ["it"]
    assert_same(FeatureAttributionOutput.load(path), causal())


def test_several_files_appear_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def save_file(arrays: object, path: Path, metadata: object) -> None:
        written.append(path)
        path.write_bytes(b"whole")
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(writing, "save_file", save_file)
    with pytest.raises(KeyboardInterrupt):
        batch(causal(), causal(), causal()).save(tmp_path / "out", split_sequences=True)
    assert len(written) == 2
    assert list(tmp_path.iterdir()) == []


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Let the system refuse to write more, as it does on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_system_refuses_to_write_leaves_what_was_there(
    tmp_path: Path, compress: bool
) -> None:
    path = tmp_path / "it"
    large = with_raw(np.concatenate([random_raw()] * 2000, axis=2))
    causal().save(path)
    with no_file_larger_than(100_000), pytest.raises(OSError, match="could not be written"):
        large.save(path, overwrite=True, compress=compress)
    assert [each.name for each in tmp_path.iterdir()] == ["it"]
    assert_same(FeatureAttributionOutput.load(path), causal())
    large.save(path, overwrite=True, compress=compress)
    assert_same(FeatureAttributionOutput.load(path), large)


def test_a_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda opened: (done.append("fsync"), fsync(opened)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b)))
    with replaced(tmp_path / "it") as written:
        written.write_text("it")
        assert done == []
    assert done[:2] == ["fsync", "replace"]
    assert (tmp_path / "it").read_text() == "it"

"""Limits of containers and of the process count as much as what the machine has left."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil
import pytest
import torch

from inseq_widget.methods import chunking
from inseq_widget.methods.free_memory import free_bytes

MIB = 2**20


@pytest.fixture
def membership(tmp_path: Path) -> Path:
    return tmp_path / "membership"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "groups"


def group(folder: Path, files: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n", encoding="utf-8")


def unified(limit: object, usage: int, inactive: int = 0) -> dict[str, object]:
    stat = f"anon 12\nactive_file 7\ninactive_file {inactive}\nslab 3"
    return {"memory.max": limit, "memory.current": usage, "memory.stat": stat}


def legacy(limit: int, usage: int, inactive: int = 0) -> dict[str, object]:
    stat = f"inactive_file 1\ntotal_inactive_file {inactive}"
    return {
        "memory.limit_in_bytes": limit,
        "memory.usage_in_bytes": usage,
        "memory.stat": stat,
    }


def test_the_limit_of_a_container_counts(root: Path, membership: Path) -> None:
    membership.write_text("0::/\n", encoding="utf-8")
    group(root, unified(64 * MIB, 24 * MIB, inactive=3 * MIB))
    assert free_bytes(root, membership) == 43 * MIB


def test_the_narrowest_of_nested_groups_counts(root: Path, membership: Path) -> None:
    membership.write_text("0::/outer/inner\n", encoding="utf-8")
    group(root / "outer" / "inner", unified("max", 8 * MIB))
    group(root / "outer", unified(32 * MIB, 12 * MIB))
    group(root, unified(64 * MIB, 12 * MIB))
    assert free_bytes(root, membership) == 20 * MIB


def test_the_older_kind_of_groups_counts_too(root: Path, membership: Path) -> None:
    membership.write_text("5:cpu,cpuacct:/\n4:memory:/job\n0::/\n", encoding="utf-8")
    group(root / "memory" / "job", legacy(16 * MIB, 10 * MIB, inactive=MIB))
    group(root / "memory", legacy(2**63 - 4096, 900 * MIB))
    assert free_bytes(root, membership) == 7 * MIB


def test_a_group_that_a_container_cannot_see_leaves_the_limit_at_the_top(
    root: Path, membership: Path
) -> None:
    membership.write_text("4:memory:/docker/0123\n", encoding="utf-8")
    group(root / "memory", legacy(16 * MIB, 10 * MIB))
    assert free_bytes(root, membership) == 6 * MIB


def test_a_group_above_its_limit_has_nothing_left(root: Path, membership: Path) -> None:
    membership.write_text("0::/\n", encoding="utf-8")
    group(root, unified(MIB, 2 * MIB))
    assert free_bytes(root, membership) == 0


@pytest.mark.parametrize("line", ["", "0::/\n", "0::/gone\n3:memory:/gone\n"])
def test_without_limits_the_machine_counts(root: Path, membership: Path, line: str) -> None:
    membership.write_text(line, encoding="utf-8")
    group(root, unified("max", 8 * MIB))
    available = psutil.virtual_memory().available
    assert free_bytes(root, membership) == pytest.approx(available, rel=0.2)


@pytest.mark.parametrize(("name", "counted"), [("RLIMIT_AS", "vms"), ("RLIMIT_DATA", "data")])
def test_resource_limits_of_the_process_count(
    root: Path, membership: Path, name: str, counted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = type("Taken", (), {"vms": 0, "data": 0, counted: 5 * MIB})
    process = type("Process", (), {"memory_info": lambda _: taken})
    monkeypatch.setattr(psutil, "Process", process)
    limits = {getattr(resource, name): 37 * MIB}
    none = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda limit: (limits.get(limit, none), none))
    assert free_bytes(root, membership) == 32 * MIB


def test_chunks_of_a_processor_fit_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "free_bytes", lambda: 1000)
    sizer = chunking.ChunkSizer(torch.device("cpu"), 12, at_most=100)
    assert sizer.rows == 4  # few, to be measured


def test_an_earlier_peak_does_not_make_chunks_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "_free_bytes", lambda device: 1000)
    monkeypatch.setattr(chunking, "_peak_bytes", lambda: 10**15)
    sizer = chunking.ChunkSizer(torch.device("cpu"), 10, at_most=60)
    assert sizer.run(lambda rows: rows) == (4, 4)
    assert sizer.rows == 8  # half of the free memory holds eight rows of 60 bytes


def test_a_new_peak_tells_what_a_row_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "_free_bytes", lambda device: 1000)
    peaks = iter([10**15, 10**15 + 7])
    monkeypatch.setattr(chunking, "_peak_bytes", lambda: next(peaks))
    taken = type("Taken", (), {"rss": 10**15 + 7 - 400})
    process = type("Process", (), {"memory_info": lambda _: taken})
    monkeypatch.setattr(chunking.psutil, "Process", process)
    sizer = chunking.ChunkSizer(torch.device("cpu"), 10, at_most=60)
    assert sizer.run(lambda rows: rows) == (4, 4)
    assert sizer.rows == 5  # half of the free memory holds five rows of 400 / 4 bytes

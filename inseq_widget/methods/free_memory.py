"""How much memory a processor has left for this process: that of the machine, and of its limits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

# Where Linux shows the limits of control groups, which containers set, and which of the groups
# this process is in.
_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
# By version: the files of limit and usage, and the part of the usage that is given back on demand.
_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def free_bytes(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Give how much memory this process may still take.

    Parameters
    ----------
    groups : pathlib.Path
        The root of the control groups.
    membership : pathlib.Path
        The file that lists the groups of this process.

    Returns
    -------
    int
        The least of what the machine, its control groups and its resource limits leave it.
    """
    left = [int(psutil.virtual_memory().available)]
    left += _left_by_groups(groups, membership)
    left += _left_by_resource_limits()
    return max(0, min(left))


def _left_by_groups(root: Path, membership: Path) -> Iterator[int]:
    """Yield what each control group that this process is in has left."""
    for line in _text(membership).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        named = "memory" in controllers.split(",")
        if not named and (number, controllers) != ("0", ""):
            continue
        top = root / "memory" if named else root
        group = top / path.lstrip("/")
        # Every group above it has a limit of its own; a container may see none but the top.
        for folder in (group, *group.parents):
            left = _left_by_group(folder, 1 if named else 2)
            if left is not None:
                yield left
            if folder == top:
                break


def _left_by_group(folder: Path, version: int) -> int | None:
    limit_file, usage_file, reclaimable = _FILES[version]
    limit, usage = _text(folder / limit_file).strip(), _text(folder / usage_file).strip()
    if not limit.isdigit() or not usage.isdigit():  # no such group, or one without a limit
        return None
    given_back = 0
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == reclaimable:
            given_back = int(value)
    return int(limit) - int(usage) + given_back


def _left_by_resource_limits() -> Iterator[int]:
    """Yield what the limits that a shell or a scheduler sets leave this process."""
    if sys.platform == "win32":
        return
    import resource

    taken = psutil.Process().memory_info()
    # Not every system counts the data of a process.
    for limit, used in (
        (resource.RLIMIT_AS, taken.vms),
        (resource.RLIMIT_DATA, getattr(taken, "data", None)),
    ):
        most, _ = resource.getrlimit(limit)
        if most != resource.RLIM_INFINITY and used is not None:
            yield most - int(used)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""

"""`make big`: 10 GB through a group-by, all processes together within 1 GB of memory, each group checked.

The lines are 100 bytes, ``KEY NUMBER FILLING``: line i has key ``i * STEP % KEYS``, so that the keys come in
no order, each equally often, and which numbers a group must hold is arithmetic. Nothing is aggregated on the
way: every line goes through the shuffle. As root on a Linux with memory cgroups the kernel holds the limit,
for the page cache as well; elsewhere the processes are watched.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from disco_rq import Disco, result_iterator
from disco_rq.func import kvgroup
from tests.benchmarks.costs import PeakMemory, peak_memory

LINE_BYTES = 100
FILES = 16
OF_GROUP = 10
STEP = 7_368_787  # a prime: each key comes once before any comes again
CHUNK_LINES = 50_000
GROUPS = {1: Path("/sys/fs/cgroup/memory"), 2: Path("/sys/fs/cgroup")}
LIMIT_FILE = {1: "memory.limit_in_bytes", 2: "memory.max"}
PEAK_FILE = {1: "memory.max_usage_in_bytes", 2: "memory.peak"}


def by_key(line: str, params: Any) -> Iterator[tuple[int, tuple[int, str]]]:
    key, number, filling = line.split(" ", 2)
    yield int(key), (int(number), filling)


def summary(pairs: Any, params: Any) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """How many lines, the sum of their numbers, the bytes of their fillings."""
    for key, values in kvgroup(pairs):
        count = total = size = 0
        for number, filling in values:
            count, total, size = count + 1, total + number, size + len(filling)
        yield key, (count, total, size)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.big", description=__doc__)
    parser.add_argument("--gb", type=float, default=10.0, help="size of the input, 10**9 bytes [10]")
    parser.add_argument("--memory", type=int, default=1024, help="MiB for all processes together [1024]")
    options = parser.parse_args()
    nr_keys = int(options.gb * 1e9) // LINE_BYTES // OF_GROUP
    directory = Path(tempfile.mkdtemp(prefix="disco-rq-big-"))
    try:
        print(f"writing {options.gb:g} GB in {FILES} files to {directory}", flush=True)
        paths = [_write(directory, nr_keys, number) for number in range(FILES)]
        with _limited(options.memory << 20) as peak_of_group:
            return _run(paths, directory, nr_keys, options.memory, peak_of_group)
    finally:
        shutil.rmtree(directory)


def _run(paths: list[Path], directory: Path, nr_keys: int, most_mib: int, group: Path | None) -> int:
    os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    with Disco(workers=2) as disco, peak_memory(_family) as memory:
        began = time.perf_counter()
        job = disco.new_job(
            "big",
            [str(path) for path in paths],
            map=by_key,
            reduce=summary,
            sort=True,
            nr_reduces=8,
            mem_sort_limit=64 << 20,
            status_interval=0,
        )
        results = job.wait(show=True)
        ended = time.perf_counter()
        wrong = _wrong(result_iterator(results), nr_keys)
        job.purge()
    return _told(wrong, nr_keys, ended - began, memory, most_mib, group)


def _told(
    wrong: str, nr_keys: int, seconds: float, memory: PeakMemory, most_mib: int, group: Path | None
) -> int:
    size = nr_keys * OF_GROUP * LINE_BYTES
    print(f"{size / 1e9:g} GB, {nr_keys * OF_GROUP:,} lines, {nr_keys:,} groups")
    print(f"{seconds:.0f} s, {size / 1e6 / seconds:.1f} MB/s on two workers")
    print(f"largest resident process {memory.largest_bytes >> 20} MiB")
    print(f"all resident processes {memory.total_bytes >> 20} MiB (what they share counts in each)")
    if group is not None:
        peak = int(group.read_text()) >> 20
        print(f"held by the kernel to {most_mib} MiB with the page cache, {peak} MiB used")
    print(wrong or "every group is right")
    too_much = group is None and memory.total_bytes >> 20 > most_mib
    return int(bool(wrong) or too_much)


def _wrong(pairs: Iterator[tuple[Any, Any]], nr_keys: int) -> str:
    """What is wrong with the answer; empty if nothing is. Streams: it is the size of ``nr_keys`` bits."""
    seen = bytearray(nr_keys // 8 + 1)
    inverse = pow(STEP, -1, nr_keys)
    filled = 0
    for key, (count, total, size) in pairs:
        first = key * inverse % nr_keys
        if (count, total) != (OF_GROUP, OF_GROUP * first + nr_keys * OF_GROUP * (OF_GROUP - 1) // 2):
            return f"group {key} is wrong: {count} lines, sum {total}"
        if seen[key // 8] >> key % 8 & 1:
            return f"group {key} came twice"
        seen[key // 8] |= 1 << key % 8
        filled += size
    if missing := nr_keys - int.from_bytes(seen, "little").bit_count():
        return f"{missing} groups are missing"
    expected = nr_keys * OF_GROUP * (LINE_BYTES - 20)
    return "" if filled == expected else f"{filled} bytes of fillings, not {expected}"


def _write(directory: Path, nr_keys: int, number: int) -> Path:
    """One of the files: an equal share of the lines."""
    lines = nr_keys * OF_GROUP
    begin, end = lines * number // FILES, lines * (number + 1) // FILES
    path = directory / f"lines-{number}"
    with path.open("w") as out:
        for start in range(begin, end, CHUNK_LINES):
            chunk = range(start, min(start + CHUNK_LINES, end))
            # The filling is unlike that of the lines around it, so that it does not vanish when compressed.
            out.writelines(f"{i * STEP % nr_keys:08d} {i:09d} {_filling(i)}\n" for i in chunk)
    return path


def _filling(i: int) -> str:
    return f"{i * 0x9E3779B97F4A7C15 & (1 << 160) - 1:040x}" * 2


def _family() -> list[psutil.Process]:
    us = psutil.Process()
    return [us, *us.children(recursive=True)]


@contextmanager
def _limited(limit_bytes: int) -> Iterator[Path | None]:
    """Put this process, and what it starts, under a limit of the kernel. Yields the file with its peak."""
    version = 2 if (GROUPS[2] / "cgroup.controllers").exists() else 1
    group = GROUPS[version] / f"disco-rq-big-{os.getpid()}"
    try:
        group.mkdir()
        (group / LIMIT_FILE[version]).write_text(str(limit_bytes))
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError as error:
        print(f"the kernel does not hold the limit here ({error}): the processes are watched", flush=True)
        with suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield group / PEAK_FILE[version]
    finally:
        (GROUPS[version] / "cgroup.procs").write_text(str(os.getpid()))
        with suppress(OSError):  # of a process that has not ended yet
            group.rmdir()


if __name__ == "__main__":
    sys.exit(main())

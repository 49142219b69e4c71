"""The rows of the table: what each works on, who does it, and what it must show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.inputs import Text, records, sales

DISCO, BY_HAND, UNSYNCED = "disco-rq", "by hand", "disco-rq, no fsync"
AFRESH = "disco-rq, every map run"


@dataclass(frozen=True, slots=True)
class Task:
    """What programs are given, as JSON."""

    given: dict[str, Any]
    units: int = 1
    """How many jobs or tasks it is; CPU time is told of one."""
    expected: Any = None
    """The answer, where it is known otherwise."""


Prepare = Callable[[Path, float], Task]
"""Makes the inputs in a directory, at a scale."""


@dataclass(frozen=True, slots=True)
class Program:
    """One of those that do it."""

    name: str
    runner: str
    target: str


@dataclass(frozen=True, slots=True)
class Bound:
    """What the first program must keep to. It is skipped where the yardstick did not run."""

    at_least: float | None
    aim: float | None = None
    beside: str = ""
    """A program's name: a multiple of its time. Else seconds or bytes."""
    cpu: bool = False
    """CPU time, not wall time."""


@dataclass(frozen=True, slots=True)
class Row:
    """One work."""

    name: str
    text: str
    prepare: Prepare
    programs: tuple[Program, ...]
    bounds: tuple[Bound, ...] = ()
    peers: str = ""
    """The program that peers run; empty: none."""
    figure: str = "s"
    """How a value is told: ``s``, ``ms``, ``rate`` (units a second) or ``MB``."""
    is_long: bool = False
    """Only when asked for, and once."""
    turns: int | None = None


def disco(target: str, name: str = DISCO) -> Program:
    return Program(name, "by_disco", f"jobs:{target}")


def by_hand(target: str, name: str = BY_HAND) -> Program:
    return Program(name, "by_hand", f"works.{target}")


def _size(megabytes: float, scale: float) -> int:
    return int(megabytes * 1e6 * scale)


def _text(megabytes: int) -> Prepare:
    def prepare(directory: Path, scale: float) -> Task:
        text = Text(directory, _size(megabytes, scale), 8)
        return Task({"paths": list(map(str, text.paths))}, expected=text.counts())

    return prepare


def _groups(megabytes: int, **more: Any) -> Prepare:
    def prepare(directory: Path, scale: float) -> Task:
        text = Text(directory, _size(megabytes, scale), 8)
        expected = {word: (number, number) for word, number in text.counts().items()}
        return Task({"paths": list(map(str, text.paths)), **more}, expected=expected)

    return prepare


def _records(directory: Path, scale: float) -> Task:
    return Task({"paths": list(map(str, records(directory, _size(200, scale), 8)))})


def _noop(directory: Path, scale: float) -> Task:
    number = max(10, int(2_000 * scale))
    entries = [str(i) for i in range(number)]
    return Task({"entries": entries}, number, dict.fromkeys(entries, 1))


def _small(most: int, rest_s: float, *, purge: bool) -> Prepare:
    def prepare(directory: Path, scale: float) -> Task:
        paths = [directory / f"small-{i}.txt" for i in range(2)]
        for path in paths:
            path.write_text("a small a job\n" * 5)
        jobs = max(5, int(most * scale))
        given = {"paths": list(map(str, paths)), "jobs": jobs, "rest_s": rest_s, "purge": purge}
        return Task(given, jobs, {"a": 20, "small": 10, "job": 10})

    return prepare


def _empty(maps: int, reduces: int, *, whole: bool = False) -> Prepare:
    def prepare(directory: Path, scale: float) -> Task:
        number = max(20, int(maps * scale))
        expected = {key: len(range(key, number, 3)) for key in range(3)}
        return Task({"maps": number, "reduces": reduces, "whole": whole}, expected=expected)

    return prepare


def _sales(ending: str) -> Prepare:
    def prepare(directory: Path, scale: float) -> Task:
        paths, expected = sales(directory, _size(200, scale), 8, ending)
        return Task({"paths": list(map(str, paths))}, expected=expected)

    return prepare


def _reuse(*, reduce: bool) -> Prepare:
    def prepare(directory: Path, scale: float) -> Task:
        maps = max(20, int(2_000 * scale))
        given = {"maps": maps, "directory": str(directory / "daily"), "reduce": reduce}
        return Task(given, expected={"a": 40 * maps, "visit": 20 * maps, "day": 20 * maps})

    return prepare


def _sync(jobs: int, maps: int, size_bytes: int = 0) -> Prepare:
    """A scale makes the work smaller, of one that is many jobs their number."""

    def prepare(directory: Path, scale: float) -> Task:
        if jobs > 1:
            given = {"jobs": max(2, int(jobs * scale)), "maps": maps, "bytes": 0}
        elif size_bytes:
            given = {"jobs": 1, "maps": maps, "bytes": int(size_bytes * scale)}
        else:
            given = {"jobs": 1, "maps": max(10, int(maps * scale)), "bytes": 0}
        return Task(given, given["jobs"])

    return prepare


ROWS = (
    Row(
        "wordcount",
        "word count, 300 MB, `sum_combiner`, all pairs back in the client",
        _text(300),
        (
            disco("wordcount"),
            by_hand("wordcount:run"),
            by_hand("wordcount:run_counter", "by hand, no map: `Counter` of blocks"),
            disco("wordcount_counter", "disco-rq, a map of blocks, `Counter` of each"),
        ),
        (Bound(1.12, 1.05, BY_HAND),),
        peers="wordcount:run",
    ),
    Row(
        "groupby",
        "group-by, 64 MB, no combiner, sorted, a generic reduce",
        _groups(64),
        (
            disco("groupby"),
            by_hand("groupby:run_pairs", "by hand, pairs"),
            by_hand("groupby:run_dicts", "by hand, a dict a file"),
        ),
        (Bound(0.4, 0.2, "by hand, pairs"), Bound(0.9, 0.7, "by hand, a dict a file")),
        peers="groupby:run_pairs",
    ),
    Row(
        "sort",
        "sort, 200 MB of 100-byte lines into 4 ranges, files out",
        _records,
        (
            disco("sort_bytes"),
            by_hand("sortlines:run"),
            disco("sort_by_range", "disco-rq, a partition function of the user's"),
        ),
        (Bound(1.2, 0.9, BY_HAND),),
        peers="sortlines:run",
    ),
    Row(
        "noop",
        "2,000 tasks that do nothing, a message each, results in the client",
        _noop,
        (disco("noop"), by_hand("noop:run")),
        (Bound(1.0, None, "joblib"), Bound(None, 1 / 0.3, BY_HAND)),
        peers="noop:run",
        figure="rate",
    ),
    Row(
        "smalljob",
        "a job of 2 maps and 1 reduce over 10 lines, back to back, with its purge",
        _small(60, 0, purge=True),
        (disco("smalljobs"), by_hand("smalljob:run")),
        (Bound(0.012, 0.005), Bound(0.020, None, cpu=True), Bound(None, 1.0, "ray")),
        peers="smalljob:run",
        figure="ms",
    ),
    Row(
        "smalljob-at-rest",
        "the same, 0.1 s of rest before each, no purge",
        _small(30, 0.1, purge=False),
        (disco("smalljobs"), by_hand("smalljob:run")),
        (Bound(0.008, 0.004),),
        peers="smalljob:run",
        figure="ms",
    ),
    *(
        Row(
            f"emptyparts-{reduces}",
            f"2,000 maps, records in one partition of {reduces}: worker time of the reduces",
            _empty(2_000, reduces),
            (disco("emptyparts"),),
            (Bound(1.0, 0.3),) if reduces == 100 else (),
        )
        for reduces in (1, 20, 100)
    ),
    Row(
        "manyparts",
        "50,000 maps, 300 reduces, records in three partitions: the whole job",
        _empty(50_000, 300, whole=True),
        (disco("emptyparts"),),
        (Bound(60, 20),),
        is_long=True,
        turns=1,
    ),
    Row(
        "jsonlines",
        "JSON lines in gzip, 200 MB unpacked: one field summed by another",
        _sales(".jsonl.gz"),
        (
            disco("jsonl_rows"),
            by_hand("jsonlines:run_json", "by hand, `gzip` and `json`"),
            by_hand("jsonlines:run_msgspec", "by hand, `isal` and `msgspec`"),
            by_hand("jsonlines:run_struct", "by hand, `isal` and a `Struct` of two fields"),
            disco("jsonl_batches", "disco-rq, `func.jsonl_batches`"),
        ),
        (
            Bound(0.5, 0.35, "by hand, `gzip` and `json`"),
            Bound(1.1, 1.0, "by hand, `isal` and `msgspec`"),
        ),
        peers="jsonlines:run_msgspec",
    ),
    Row(
        "columns",
        "the same rows as Parquet: one column summed by another, `pyarrow` in each batch",
        _sales(".parquet"),
        (
            disco("parquet_batches"),
            disco("polars_batches", "disco-rq, `polars` in each batch"),
            disco("parquet_rows", "disco-rq, row by row"),
            by_hand("columns:run", "by hand, a file at a time"),
        ),
    ),
    Row(
        "put",
        "`put` from a task; by hand: HSET of redis-py in the same task",
        lambda directory, scale: Task({}),
        (disco("puts"),),
        (Bound(1 / 0.6, 1 / 0.9, BY_HAND),),
        figure="rate",
    ),
    Row(
        "memory",
        "group-by of 640 MB with a `mem_sort_limit` of 32 MiB: the largest worker",
        _groups(640, limit_bytes=32 << 20),
        (disco("memory"),),
        (Bound(120e6),),
        figure="MB",
        turns=1,
    ),
    *(
        Row(
            f"fsync-{name}",
            f"{text}, on the disk before they count; beside it `DISCO_RQ_FSYNC=off`",
            prepare,
            (Program(DISCO, "by_disco", "syncs:run"), Program(UNSYNCED, "by_disco_unsynced", "syncs:run")),
            figure=figure,
        )
        for name, text, prepare, figure in (
            ("job", "the results of a job of one task", _sync(20, 1), "ms"),
            ("tasks", "2,000 results in batches", _sync(1, 2_000), "s"),
            ("large", "8 results of 25 MB", _sync(1, 8, 25_000_000), "s"),
        )
    ),
    *(
        Row(
            f"reuse-{name}",
            f"2,000 maps that an earlier job has done, with `reuse`, {text}: a thousand maps",
            _reuse(reduce=reduce),
            (
                Program(DISCO, "by_disco", "reuses:known"),
                Program(AFRESH, "by_disco", "reuses:afresh"),
            ),
            (Bound(1.0, 0.5, AFRESH),),
            figure="ms",
        )
        for name, text, reduce in (("maps", "no reduce", False), ("reduce", "one reduce", True))
    ),
    Row(
        "help",
        "`disco-rq --help`; by hand: Python that does nothing",
        lambda directory, scale: Task({"times": 10}, 10),
        (
            Program(DISCO, "by_itself", "works.startup:run_help"),
            Program(BY_HAND, "by_itself", "works.startup:run_python"),
        ),
        (Bound(0.2, 0.12),),
        figure="ms",
    ),
)

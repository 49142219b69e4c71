"""The bad entries of jobs: what a commit tells of them, which tasks have some, the words when it is too many.

``_lib.lua`` adds up causes and writes the same words, since there it is part of a transition.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from disco_rq.model import TaskId, readable
from disco_rq.store import keys, unreadable
from disco_rq.store.connection import Connection
from disco_rq.store.taskstate import TaskState

__all__ = ["BadTask", "BadTasks", "Causes", "is_too_much", "left_out_text", "too_many_text"]

MOST_CAUSES, MOST_TOLD, MOST_NAMED, MOST_EXAMPLES = 100, 20, 5, 3
"""That are kept; told with a commit; named when a job dies of them; places that are named of each."""
OTHERS = "other causes"
LABEL_MAX_CHARS = ADDRESS_MAX_CHARS = 200
HOPELESS = 10
"""Where so many times the entries that seem to be left would not do, a fraction is judged before the end."""
FEWEST_READ = 1000
"""But not before so many were read."""

_VARYING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[0-9]+(?:\.[0-9]+)?")
"""What differs between messages of one cause: what is quoted, and numbers."""


@dataclass(slots=True)
class _Cause:
    label: str  # its first message
    n: int = 0
    examples: list[str] = field(default_factory=list)


class Causes:
    """Bad entries by what is wrong with them."""

    def __init__(self) -> None:
        self._found: dict[str, _Cause] = {}

    def add(self, error: str, url: str, offset: int) -> None:
        """Another one, and where it is."""
        error = _one_line(error)
        address = _one_line(url)
        cut = address if len(address) <= ADDRESS_MAX_CHARS else f"{address[:ADDRESS_MAX_CHARS]}…"
        place = f"{cut}, byte {offset}"
        key = _VARYING.sub("…", error)[:LABEL_MAX_CHARS]
        if key not in self._found and len(self._found) >= MOST_CAUSES:
            key = error = OTHERS
        self._merge(key, _Cause(error[:LABEL_MAX_CHARS], 1, [place]))

    def merge(self, packed: list[list[Any]]) -> None:
        """Those of another task, as ``pack`` has made them."""
        for key, label, n, examples in packed:
            known = key in self._found or len(self._found) < MOST_CAUSES
            self._merge(key if known else OTHERS, _Cause(label if known else OTHERS, n, list(examples)))

    def pack(self) -> list[list[Any]]:
        """The most frequent ones, as a commit tells them."""
        told = [[key, one.label, one.n, one.examples] for key, one in self._ranked()[:MOST_TOLD]]
        rest = sum(one.n for _, one in self._ranked()[MOST_TOLD:])
        return [*told, [OTHERS, OTHERS, rest, []]] if rest else told

    def text(self) -> str:
        """The most frequent ones, for people."""
        ranked = [one for _, one in self._ranked()]
        parts = []
        for one in ranked[:MOST_NAMED]:
            places = f" ({'; '.join(one.examples)}{'; …' if one.n > len(one.examples) else ''})"
            times = "once" if one.n == 1 else f"{one.n} times, such as"
            parts.append(f"{times} {one.label}{places if one.examples else ''}")
        rest = sum(one.n for one in ranked[MOST_NAMED:])
        return "; ".join([*parts, f"{rest} of {OTHERS}"] if rest else parts)

    def _merge(self, key: str, more: _Cause) -> None:
        one = self._found.setdefault(key, _Cause(more.label))
        one.n += more.n
        one.examples += more.examples[: MOST_EXAMPLES - len(one.examples)]

    def _ranked(self) -> list[tuple[str, _Cause]]:
        return sorted(self._found.items(), key=lambda item: (-item[1].n, item[0]))


def _one_line(text: str) -> str:
    return readable(" ".join(text.split()))


def is_too_much(bad: int, read: int, max_bad: float, *, done: float, nr_maps: int) -> bool:
    """Whether these bad entries are more than allowed. A fraction is judged when all maps are done, and
    sooner where it is hopeless.
    """
    if not 0 < max_bad < 1:
        return bad > max_bad
    wanted = bad / max_bad * (1 - 1e-9) - read  # good entries that would be needed
    if done == nr_maps:
        return wanted > 0
    return read >= FEWEST_READ and done > 0 and wanted > HOPELESS * read * (nr_maps - done) / done


def too_many_text(bad: int, read: int, max_bad: float, causes: Causes) -> str:
    """Why a job is dead that has too many."""
    among = f" of {read} that were read" if 0 < max_bad < 1 else ""
    return f"too many bad entries: {bad}{among}, more than max_bad={max_bad} allows: {causes.text()}"


def left_out_text(task: str, bad: int, packed: list[list[Any]]) -> str:
    """For the history: what a task has left out."""
    entries = "1 bad entry:" if bad == 1 else f"{bad} bad entries, such as"
    return f"{task} has left out {entries} {packed[0][1]}"


class BadTask(NamedTuple):
    """A task that has left entries out, and the attempt beside whose output they are."""

    task: str
    nr_bad: int
    node: str
    attempt: int
    at: str = ""  # beside which output of another job they are; empty: of that attempt


class BadTasks:
    """Which tasks of jobs have left entries out."""

    def __init__(self, connection: Connection) -> None:
        self._redis = connection.redis

    def of(self, job_name: str) -> list[BadTask]:
        """Those that count, in their order. Not one whose output was lost and is made again just now."""
        job = keys.JobKeys(job_name)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hgetall(job.bad)
        pipe.hget(job.job, "status")
        found, status = pipe.execute()
        told = list(unreadable.readable("bad entries", found.items(), _bad_task))
        states: Any = self._redis.hmget(job.tasks, [one.task for one in told]) if told else []
        counted = [
            one
            for one, state in zip(told, states, strict=True)
            if one.nr_bad and (status != b"active" or (state and TaskState.parse(state).state == "done"))
        ]
        return sorted(counted, key=lambda one: TaskId.parse(one.task))


def _bad_task(entry: tuple[bytes, bytes]) -> BadTask:
    task, record = str(TaskId.parse(entry[0].decode())), json.loads(entry[1])
    return BadTask(
        task, int(record["n"]), str(record["node"]), int(record["attempt"]), str(record.get("at") or "")
    )

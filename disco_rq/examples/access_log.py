"""Requests, errors and bytes for each path and hour of Apache's or nginx' combined log.

``disco-rq run disco_rq.examples.access_log /var/log/nginx/access.log*``
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from disco_rq.func import kvgroup
from disco_rq.runtime import counter, msg, put, this_partition

Key = tuple[str, str]
"""Path without its query, and hour in UTC as 2026-11-23T20."""
Sums = tuple[int, int, int]
"""Requests, errors (status 4xx and 5xx), bytes."""

LINE = re.compile(
    r"\S+ \S+ .*? \[(?P<time>[^\]]+)\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<size>\d+|-)(?: |$)'
)

sort = True


def map(line: str, params: Any) -> Iterator[tuple[Key, Sums]]:
    found = LINE.match(line)
    hour = hour_of(found["time"]) if found else None
    if found is None or hour is None:
        counter(
            "bad_lines"
        )  # a log has some: clients send anything, and disks fill up in the middle of a line
        return
    words = found["request"].split(" ")
    path = words[1].partition("?")[0] if len(words) == 3 else "(no request)"
    size = 0 if found["size"] == "-" else int(found["size"])
    yield (path, hour), (1, int(found["status"] >= "400"), size)


def combiner(key: Key, value: Sums, sums: dict[Key, Sums], done: bool, params: Any) -> Iterable[Any] | None:
    if done:
        return sums.items()
    sums[key] = add(sums.get(key, (0, 0, 0)), value)
    return None


def reduce(pairs: Iterable[tuple[Key, Sums]], params: Any) -> Iterator[tuple[Key, dict[str, int]]]:
    total: Sums = (0, 0, 0)
    busiest: tuple[int, Key] = (0, ("", ""))
    for key, values in kvgroup(pairs):
        sums: Sums = (0, 0, 0)
        for value in values:
            sums = add(sums, value)
        total = add(total, sums)
        busiest = max(busiest, (sums[0], key), key=lambda entry: entry[0])
        yield key, named(sums)
    put(f"total:{this_partition()}", named(total))
    requests, (path, hour) = busiest
    if requests:
        put(f"busiest:{this_partition()}", {"path": path, "hour": hour, "requests": requests})
        msg(f"busiest of partition {this_partition()}: {path} at {hour} with {requests:,} requests")


def hour_of(time: str) -> str | None:
    """``23/Nov/2026:21:50:03 +0100`` → ``2026-11-23T20``."""
    try:
        moment = datetime.strptime(time, "%d/%b/%Y:%H:%M:%S %z")
    except ValueError:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H")


def add(left: Sums, right: Sums) -> Sums:
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def named(sums: Sums) -> dict[str, int]:
    return dict(zip(("requests", "errors", "bytes"), sums, strict=True))

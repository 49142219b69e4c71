"""The jobs of a round: a word count of known answer, and tasks that take others with them when they end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from disco_rq.func import kvgroup
from disco_rq.runtime import counter, put, this_host, this_partition
from tests.chaos import litter

# -- the word count


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """``params.litter``: the kind of processes that each task leaves behind, "" for none."""
    words = line.split()
    put(f"map:{this_partition()}", words)
    counter("words", len(words))
    if kind := params.litter[this_partition()]:
        litter.KINDS[kind](Path(params.directory))
    time.sleep(params.seconds[this_partition()] * params.times.get(this_host(), 1))
    for word in words:
        yield word, 1


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    time.sleep(params.seconds[this_partition()] * params.times.get(this_host(), 1))
    for word, ones in kvgroup(pairs):
        counter("different")
        yield word, sum(ones)
    put(f"reduce:{this_partition()}", bytes([255, this_partition()]))


# -- tasks with descendants that come to their end


def depart(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    """Start what ``params.kind`` says, tell the own pid, and end as ``params.end`` says, or wait for it."""
    litter.KINDS[params.kind](Path(params.directory))
    Path(params.directory, f"started-{this_partition()}").write_text(str(os.getpid()))
    if params.end == "exits":
        os._exit(0)
    if params.end == "raises":
        raise ValueError("on purpose")
    until = time.monotonic() + (0 if params.end == "returns" else litter.LONG_S)
    while time.monotonic() < until:
        try:
            time.sleep(litter.LONG_S)
        except Exception:
            if params.end != "ignores its time limit":
                raise
    yield entry, 1


def ones(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    yield entry, 1

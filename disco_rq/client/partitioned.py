"""How the results of jobs are partitioned: a job with a reduce only finds equal keys together if they are
all alike.

A word tells it of a job. Two jobs of one word have each key in the same partition.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from typing import Any

from disco_rq.client.identity import CannotTell, identity_of
from disco_rq.errors import JobArgumentError
from disco_rq.func import nop_reduce
from disco_rq.model import Functions, JobSpec
from disco_rq.shuffle.partition import default_partition
from disco_rq.shuffle.ranges import total_order

__all__ = ["PARTITIONED", "check_alike", "partitioned_by", "with_ranges"]

PARTITIONED = "partitioned"
"""In the details of a spec: the word; empty: it cannot be told."""
_DEFAULT, _RANGES = "default", "ranges"
_ARGUMENTS = 3
"""Of a partition function: ``key``, ``nr_partitions``, ``params``."""
_MOST_READ = 50_000
"""Objects of a partition function and its params: the submit is not held up."""


def partitioned_by(functions: Functions, params: Any) -> str:
    """The word of a job with these functions and ``params``, which count where the function looks at them."""
    if functions.map is None:
        return ""
    if functions.partition in (None, default_partition):
        return _DEFAULT
    if functions.partition is total_order:
        return _RANGES
    try:
        looked_at = (params,) if _looks_at_params(functions.partition) else ()
        return identity_of(functions.partition, *looked_at, most=_MOST_READ).digest
    except CannotTell:
        return ""


def _looks_at_params(partition: Any) -> bool:
    """Whether a function may make use of its third argument; so does one that cannot be looked into."""
    code = getattr(partition, "__code__", None)
    if code is None or hasattr(partition, "__wrapped__") or code.co_argcount != _ARGUMENTS:
        return True
    name = code.co_varnames[_ARGUMENTS - 1]
    return name in code.co_cellvars or any(name in names for names in _names_loaded(code))


def _names_loaded(code: Any) -> Iterator[tuple[Any, ...]]:
    for step in dis.get_instructions(code):
        if "LOAD" in step.opname:  # Python 3.13 loads two at once
            yield step.argval if isinstance(step.argval, tuple) else (step.argval,)


def with_ranges(word: str, digest: str) -> str:
    """The word of a job of which the ranges have that digest: each job has its own."""
    if word != _RANGES:
        return word
    return f"{_RANGES} {digest}" if digest else ""


def check_alike(spec: JobSpec, functions: Functions, word_of: Callable[[str], str]) -> None:
    """Raise ``JobArgumentError`` if the inputs of a job with a reduce only are of jobs that have one key in
    different partitions.

    ``word_of``: the word of a job; empty where nothing is known.
    """
    if spec.has_map or spec.nr_reduces <= 1 or (functions.reduce is nop_reduce and not spec.sort):
        return
    first, of_first = "", ""
    for job in spec.details["reads"]:
        word = word_of(job)
        if not word:
            continue
        if not first:
            first, of_first = word, job
        elif word != first:
            raise JobArgumentError(
                f"input: the results of {of_first} are partitioned {_in_words(first)}, those of {job} "
                f"{_in_words(word)}: one key may be in two partitions, and no reduce sees both. Give "
                "map=func.nop_map, map_reader=func.chain_reader, and all are partitioned anew"
            )


def _in_words(word: str) -> str:
    if word == _DEFAULT:
        return "by default"
    return (
        "by ranges of its own (func.total_order)" if word.startswith(_RANGES) else "by a function of its own"
    )

"""The inputs of a job with a reduce only: each reduce reads its partition of all of them.

Results of other jobs (``disco://``) have as many partitions as their job gave them: those of a map-only job
its ``nr_reduces``, all other results one. So the job has as many reduces, no more and no less: a partition
that nobody reads would be lost. What is no result of a job counts as one partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from disco_rq.errors import DataError, JobArgumentError
from disco_rq.inputs.addresses import scheme_of
from disco_rq.inputs.plan import Planned, plan_inputs
from disco_rq.outputs.addresses import ADDRESS
from disco_rq.redact import redact

__all__ = ["PartitionsOf", "plan_merge"]

PartitionsOf = Callable[[str], int]
"""How many partitions the result at an address has. Raises ``DataError`` if it cannot be read."""


def plan_merge(
    inputs: Iterable[Any], nr_reduces: int | None, partitions_of: PartitionsOf
) -> tuple[Planned, int]:
    """The inputs, one file each, in order; and the number of reduces, which ``nr_reduces`` may say as well.

    Raises ``JobArgumentError`` naming the argument and the address when the numbers do not match, for
    replicas, and for what is missing, as ``plan_inputs`` does.
    """
    planned = plan_inputs(inputs, line_based=False, split_size=None)
    known: dict[tuple[str, ...], int] = {}
    first: tuple[str, int] | None = None
    for entry in planned:
        if entry.is_redundant:
            raise JobArgumentError(
                f"input {redact(entry.urls()[0])}: redundant replicas need a map; this job has a reduce only"
            )
        [address] = entry.urls()
        if entry.parts[0][0].data is not None:
            raise JobArgumentError(f"input {address}: records need a map; this job has a reduce only")
        number = _partitions(address, known, partitions_of)
        if first is None:
            first = address, number
        if number != first[1]:
            raise JobArgumentError(
                f"input {redact(address)} has {_in_words(number)}, "
                f"{redact(first[0])} has {_in_words(first[1])}: "
                "a job with a reduce only takes inputs with the same number of partitions"
            )
    if first is None:
        return planned, nr_reduces or 1
    if nr_reduces is not None and nr_reduces != first[1]:
        raise JobArgumentError(
            f"nr_reduces={nr_reduces}: a job with a reduce only has one for each partition of its inputs, "
            f"and {redact(first[0])} has {_in_words(first[1])}"
        )
    return planned, first[1]


def _partitions(address: str, known: dict[tuple[str, ...], int], partitions_of: PartitionsOf) -> int:
    """The same for all outputs of a phase of a job, so one of them is looked at."""
    if scheme_of(address) != "disco":
        return 1
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise JobArgumentError(f"input {address}: not the address of a job's result")
    phase = (match[2], match[3].partition("-")[0])
    if phase not in known:
        try:
            known[phase] = partitions_of(address)
        except DataError as error:
            raise JobArgumentError(f"input {address}: {error}") from None
    return known[phase]


def _in_words(number: int) -> str:
    return "1 partition" if number == 1 else f"{number} partitions"

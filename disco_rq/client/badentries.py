"""The bad entries of a job, read where they lie: beside the outputs of its maps, on its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from disco_rq.errors import DataError
from disco_rq.model import BadEntry, TaskId
from disco_rq.outputs.addresses import output_address
from disco_rq.outputs.badfile import read_bad
from disco_rq.outputs.locator import Locator
from disco_rq.store.badentries import BadTask

__all__ = ["bad_entries"]


def bad_entries(locator: Locator, job: str, tasks: Iterable[BadTask], skip: int = 0) -> Iterator[BadEntry]:
    """Those of all tasks, behind the first ``skip``. Of nodes that cannot be read ``DataError`` tells at the
    end, behind all the others.
    """
    trouble: DataError | None = None
    unread = 0
    for one in tasks:
        if one.nr_bad <= skip:
            skip -= one.nr_bad
            continue
        address = one.at or output_address(one.node, job, TaskId.parse(one.task), one.attempt)
        try:
            yield from islice(read_bad(locator, address, one.task), skip, None)
        except DataError as error:
            trouble, unread = trouble or error, unread + 1
        skip = 0
    if trouble is not None:
        more = f" ({unread - 1} more tasks could not be read)" if unread > 1 else ""
        raise DataError(f"not all bad entries can be read: {trouble.args[0]}{more}", trouble.url) from trouble

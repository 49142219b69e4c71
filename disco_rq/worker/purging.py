"""The files of jobs that people forget: which every node that has some is asked to delete, or to keep."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from disco_rq.model import RENEW_S
from disco_rq.outputs.datadir import DataDir
from disco_rq.store.nodes import NodeStore

__all__ = ["purge_asked"]


def purge_asked(nodes: NodeStore, data: DataDir, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Delete the files of the jobs that this node is asked to purge; mark those that are to stay.

    ``meanwhile`` is called every ``RENEW_S``: many files on a slow disk take longer than a lease lasts.
    """
    for job in nodes.keeps():
        with suppress(ValueError, OSError):
            data.marks(job).keep()
        nodes.noted(job)
    for job in nodes.spares():
        with suppress(ValueError, OSError):
            data.note_purged(job)
        nodes.noted(job)
    for job in nodes.purges():
        deletion = threading.Thread(target=_delete, args=[data, job], name="purge", daemon=True)
        deletion.start()
        deletion.join(RENEW_S)
        while deletion.is_alive():
            meanwhile()
            deletion.join(RENEW_S)
        nodes.purged(job)


def _delete(data: DataDir, job: str) -> None:
    # What is no job's name has no files, and must not end who asks; nor must a full disk.
    with suppress(ValueError, OSError):
        data.purge(job)

"""What a user may call a job: its name, the beginning of it, ``@NAME``, or ``@``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from disco_rq.cli import lastjob
from disco_rq.errors import DiscoError, UnknownJob
from disco_rq.model import JOB_NAME, JOB_PREFIX
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore

__all__ = ["find_job", "whole_name"]

_BEGINNING = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-]*(@[0-9\-]*[a-z0-9]*)?")
_MOST_TOLD = 3


def whole_name(text: str, url: Callable[[], str]) -> str:
    """The name of the job that is meant. A whole name is not looked up, and neither is what begins none.

    ``url``: of the cluster's Redis, for who needs it.

    Raises ``UnknownJob``; ``DiscoError`` for the beginning of several names.
    """
    if text == lastjob.LAST:
        return lastjob.recall(url())
    is_last_of = text.startswith("@") and JOB_PREFIX.fullmatch(text[1:])
    if JOB_NAME.fullmatch(text) or not (is_last_of or _BEGINNING.fullmatch(text)):
        return text
    connection = Connection(url())
    try:
        connection.check()
        names = [name for name, _ in JobStore(connection).job_list()]
    finally:
        connection.close()
    return find_job(text, names)


def find_job(text: str, names: Iterable[str]) -> str:
    """Among the names of all jobs, newest first: the last one of ``@NAME``, or the only one that begins so.
    Raises as ``whole_name``.
    """
    if text.startswith("@"):
        for name in names:
            if name.partition("@")[0] == text[1:]:
                return name
        raise UnknownJob(f"unknown job {text!r}: no job is called {text[1:]!r}")
    found = [name for name in names if name.startswith(text)]
    if not found:
        raise UnknownJob(f"unknown job {text!r}")
    if len(found) > 1:
        told = ", ".join(found[:_MOST_TOLD]) + (", …" if len(found) > _MOST_TOLD else "")
        last = f"@{found[0].partition('@')[0]}"
        raise DiscoError(
            f"{text!r} begins the names of {len(found)} jobs: {told}; type more of it ({last} is the newest)"
        )
    return found[0]

"""What a node remembers of jobs that are gone: their names, so that none of them comes back signed.

One file a day of submission, ``.purged/20261129``, as the job's name tells it. A name older than
``REMEMBERED_DAYS`` is refused as such, so that files older than that can be forgotten.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from disco_rq.errors import BadSignature

__all__ = ["REMEMBERED_DAYS", "PurgedJobs"]

REMEMBERED_DAYS = 90


class PurgedJobs:
    """Of one node."""

    def __init__(self, root: Path) -> None:
        self._directory = root / ".purged"

    def note(self, job: str) -> None:
        """It is purged. On the disk when this returns. ``ValueError`` for what is no job's name."""
        day = _day_of(job)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        with open(self._directory / f"{day:%Y%m%d}", "a") as names:
            names.write(f"{job}\n")  # in one piece: other workers write, too
            names.flush()
            os.fsync(names.fileno())

    def check(self, job: str) -> None:
        """``BadSignature`` if the job was purged, or is too old for this to be known."""
        day = _day_of(job)
        if day < _today() - timedelta(days=REMEMBERED_DAYS):
            raise BadSignature(
                f"{job} was submitted more than {REMEMBERED_DAYS} days ago, longer than a signature is good"
            )
        try:
            names = (self._directory / f"{day:%Y%m%d}").read_bytes()
        except FileNotFoundError:
            return
        if f"\n{job}\n".encode() in b"\n" + names:
            raise BadSignature(f"{job} was purged: what its client has signed is not run again")

    def sweep(self) -> None:
        """Forget the names that are refused for their age."""
        oldest = _today() - timedelta(days=REMEMBERED_DAYS + 1)
        for file in self._directory.glob("*"):
            if file.name < f"{oldest:%Y%m%d}":
                file.unlink(missing_ok=True)


def _today() -> date:
    return datetime.now(UTC).date()


def _day_of(job: str) -> date:
    digits = job.rpartition("@")[2][:8]
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))

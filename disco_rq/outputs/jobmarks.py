"""Marks in a job's directory on a node, of a job that Redis does not know, or is about to forget.

``.kept``: it was cleaned, its files are to stay. ``.unknown``: a byte for each time that the node has found,
look after look, that Redis does not know the job. So no clock counts, nor a time without the node.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["JobMarks"]

KEPT, UNKNOWN = ".kept", ".unknown"


class JobMarks:
    """Of one job that has files here."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self) -> None:
        """The files stay, whatever Redis knows of the job. On the disk when this returns."""
        try:
            with open(self._directory / KEPT, "ab") as mark:
                os.fsync(mark.fileno())
        except FileNotFoundError:  # it has none
            return

    def is_kept(self) -> bool:
        return (self._directory / KEPT).exists()

    def found_unknown(self) -> int:
        """Redis does not know the job. Returns how often that was found by now."""
        try:
            with open(self._directory / UNKNOWN, "ab") as mark:
                mark.write(b".")
                return mark.tell()
        except FileNotFoundError:
            return 0

    def found_known(self) -> None:
        """Redis knows the job: a backup was put back, perhaps."""
        (self._directory / UNKNOWN).unlink(missing_ok=True)

"""What a reader tells the planner, so that large files may be read in pieces."""

from __future__ import annotations

import importlib.util
from typing import Any, BinaryIO, Protocol, runtime_checkable

from disco_rq.errors import JobArgumentError

__all__ = ["FindsBorders", "borders_of", "check_packages", "packages_of"]

_EXTRAS = {"pyarrow": "arrow"}


@runtime_checkable
class FindsBorders(Protocol):
    """A reader that looks into a file to see where it may be cut."""

    @property
    def is_whole(self) -> bool:
        """Whether the reader seeks in the whole file, and takes from it what begins in its piece."""

    @property
    def reads_through(self) -> bool:
        """Whether the search reads all of the file: done for files of the client's machine only."""

    def borders(self, file: BinaryIO, size: int, piece_size: int) -> list[int]:
        """The bytes at which pieces of about ``piece_size`` may begin, ascending, without 0."""


def borders_of(reader: object) -> FindsBorders | None:
    """The reader, if it finds borders."""
    return reader if isinstance(reader, FindsBorders) else None


def packages_of(reader: object) -> list[str]:
    """The modules that a reader imports where it runs, of packages that disco-rq does not bring."""
    needs: Any = getattr(reader, "needs", ())
    return list(needs) if isinstance(needs, tuple) else []


def check_packages(reader: object) -> None:
    """Raise ``JobArgumentError`` with what to install, if a reader needs what is not here."""
    for module in packages_of(reader):
        if importlib.util.find_spec(module) is None:
            extra = _EXTRAS.get(module)
            install = f"'disco-rq[{extra}]'" if extra else module
            raise JobArgumentError(
                f"map_reader={reader} needs {module}, here and on the nodes: pip install {install}"
            )

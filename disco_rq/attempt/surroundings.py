"""What an attempt finds in its process, and the next one finds again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Surroundings", "forget_modules", "restored"]


class Surroundings:
    """Working directory, umask, environment and ``sys.path``, as they were when it was made."""

    def __init__(self) -> None:
        self._directory = os.getcwd()  # noqa: PTH109  a third of the time
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._environment, self._path = dict(_environment()), list(sys.path)

    def restore(self) -> None:
        """Let this process find them again, whatever a task has made of them."""
        os.umask(self._umask)
        try:
            os.chdir(self._directory)
        except FileNotFoundError:  # a task may have deleted it
            Path(self._directory).mkdir(mode=0o700)
            os.chdir(self._directory)
        if _environment() != self._environment:
            os.environ.clear()
            os.environ.update(
                {os.fsdecode(name): os.fsdecode(value) for name, value in self._environment.items()}
            )
        sys.path[:] = self._path


def _environment() -> dict[bytes, bytes]:
    """As Python keeps it, encoded: ``os.environ`` decodes all of it each time, and this is for each task."""
    encoded: dict[bytes, bytes] = vars(os.environ)["_data"]
    return encoded


@contextmanager
def restored() -> Iterator[None]:
    """Afterwards this process finds its directory, environment and path as before."""
    surroundings = Surroundings()
    try:
        yield
    finally:
        surroundings.restore()


def forget_modules(directory: Path) -> None:
    """Those that were imported from there: the next job may bring others of the same names."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(f"{directory}{os.sep}"):
            del sys.modules[name]

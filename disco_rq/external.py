"""``external``: a program in any language as the map or the reduce of a job.

The program reads pairs from stdin and writes pairs to stdout; the manual tells the protocol. Its files travel
in the job's signed pack, and ``stages.external`` runs it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from disco_rq.errors import JobArgumentError

__all__ = ["ExternalProgram", "encoded_params", "external"]

NO_PARAMS = b"0\n"


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """A file as it was when the job was made."""

    name: str
    content: bytes = field(repr=False)
    is_executable: bool


@dataclass(frozen=True, slots=True)
class ExternalProgram:
    """What ``external`` makes: the program, the files beside it, and how its output is taken."""

    files: tuple[ShippedFile, ...]  # the program comes first
    text: bool = False
    params: bytes = NO_PARAMS  # as they are sent, before any pair

    def __str__(self) -> str:
        return f"external program {self.files[0].name}"

    def write_to(self, directory: Path) -> Path:
        """Make the directory with all files in it. Returns the program's path."""
        directory.mkdir(mode=0o700)
        for file in self.files:
            path = directory / file.name
            path.write_bytes(file.content)
            path.chmod(0o700 if file.is_executable else 0o600)
        return directory / self.files[0].name


def external(files: Sequence[str | os.PathLike[str]], *, text: bool = False) -> ExternalProgram:
    """A program for ``map=`` or ``reduce=``: the first file, started among the others with one argument,
    ``map`` or ``reduce``.

    The files are read now, and written into one private directory of each task, which is the program's
    working directory and where it finds its shared libraries. The keys and values that it gives out are
    bytes; ``text=True``: str, UTF-8 with surrogateescape. Raises ``JobArgumentError`` for what is no file, or
    not executable.
    """
    if isinstance(files, str | bytes | os.PathLike) or not isinstance(files, Sequence) or not files:
        raise JobArgumentError(f"external({files!r}): it takes a list of files, the program first")
    if not isinstance(text, bool):
        raise JobArgumentError(f"external(…, text={text!r}): it takes True or False")
    shipped = tuple(_shipped(file) for file in files)
    names = [file.name for file in shipped]
    for name in names:
        if names.count(name) > 1:
            raise JobArgumentError(
                f"external: two files are called {name}, and they are put into one directory"
            )
    if not shipped[0].is_executable:
        raise JobArgumentError(
            f"external: the program {os.fspath(files[0])} is not executable; chmod +x makes it so"
        )
    return ExternalProgram(shipped, text)


def _shipped(file: Any) -> ShippedFile:
    if not isinstance(file, str | os.PathLike):
        raise JobArgumentError(f"external: {file!r} is no path of a file")
    path = Path(file)
    try:
        return ShippedFile(path.name, path.read_bytes(), os.access(path, os.X_OK))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise JobArgumentError(f"external: cannot read {path}: {reason}") from None


def encoded_params(params: Any) -> bytes:
    r"""``ext_params`` as the program gets them, before any pair.

    A dict of text or bytes: its size in bytes and a newline, then a row of netstrings,
    ``<length> <key> <length> <value>\n`` each; none at all: ``0\n``. A str or bytes: as it is. Raises
    ``JobArgumentError``.
    """
    if params is None:
        return NO_PARAMS
    if isinstance(params, bytes):
        return params
    if isinstance(params, str):
        return params.encode("utf-8", "surrogateescape")
    if not isinstance(params, Mapping):
        raise JobArgumentError(
            f"ext_params={params!r}: it takes a dict of text, or a str or bytes, sent as it is"
        )
    row = b""
    for pair in params.items():
        if not all(isinstance(it, str | bytes) for it in pair):
            raise JobArgumentError(f"ext_params: {pair[0]!r}: {pair[1]!r} is no pair of str or bytes")
        key, value = (it if isinstance(it, bytes) else it.encode("utf-8", "surrogateescape") for it in pair)
        row += b"%d %b %d %b\n" % (len(key), key, len(value), value)
    return b"%d\n%b" % (len(row), row)

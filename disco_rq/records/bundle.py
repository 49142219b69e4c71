"""Small outputs of a batch in one file, with a link to it under the name of each.

To create a file takes longer than many a task does; to link one more name to it is a tenth of that.

    header   magic, length of the table, its checksum
    table    a line for each output: its name, offset behind the table, and length
    outputs  one after the other, each a complete record file
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from xxhash import xxh32_intdigest

from disco_rq.errors import CorruptData
from disco_rq.records.durable import sync_directory

__all__ = ["open_output", "write_outputs"]

_HEADER = struct.Struct("<8sII")
_MAGIC = b"disco-rb"


def write_outputs(
    directory: Path,
    outputs: Mapping[str, bytes],
    aside: Path,
    *,
    sync: bool = False,
    sync_parent: bool = True,
) -> None:
    """Make the outputs appear in the directory under their names, each complete from its first moment.

    ``aside`` is a path on the same file system, to write to. ``sync``: they are on the disk when this
    returns, which takes as long for many outputs as for one. ``sync_parent=False``: this process has done it
    with ``sync`` in this directory before.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    _write(directory, outputs, aside, sync)
    if sync:
        sync_directory(directory)
        if sync_parent:  # the directory may be new there
            sync_directory(directory.parent)


def _write(directory: Path, outputs: Mapping[str, bytes], aside: Path, sync: bool) -> None:
    try:
        if len(outputs) > 1:
            with aside.open("wb") as file:
                file.write(_bundled(outputs))
                file.flush()
                for name in outputs:
                    _link(aside, f"{directory}/{name}")  # a Path takes half as long as the link
                # After the links: the disk is asked once for the content and the names.
                aside.unlink()
                if sync:
                    os.fsync(file.fileno())
            return
    except OSError:  # a file system without links, or without room for this many bytes at once
        pass
    finally:
        aside.unlink(missing_ok=True)
    for name, content in outputs.items():
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                aside.rename(directory / name)
                if sync:  # as above
                    os.fsync(file.fileno())
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def open_output(file: BinaryIO, name: str) -> BinaryIO:
    """The output called ``name`` in an open file that was found under that name.

    That is the file itself, or what a bundle holds of it. Raises ``CorruptData``. The file, if it is not the
    answer, is closed.
    """
    header = os.pread(file.fileno(), _HEADER.size, 0)
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        return file
    with file:
        _, length, checksum = _HEADER.unpack(header)
        table = os.pread(file.fileno(), length, _HEADER.size)
        if xxh32_intdigest(table) != checksum:
            raise CorruptData(f"{name} is truncated or altered: the table of its bundle is", name)
        _, found, rest = table.partition(f"\n{name} ".encode())
        if not found:
            raise CorruptData(f"{name} is not in the bundle that has its name", name)
        offset, size = map(int, rest.partition(b"\n")[0].split())
        return io.BytesIO(os.pread(file.fileno(), size, _HEADER.size + length + offset))


def _bundled(outputs: Mapping[str, bytes]) -> bytes:
    # Offsets count from the end of the table, so that it can be written before its length is known.
    lines, at = [""], 0
    for name, content in outputs.items():
        lines.append(f"{name} {at} {len(content)}")
        at += len(content)
    table = "\n".join([*lines, ""]).encode()
    return b"".join((_HEADER.pack(_MAGIC, len(table), xxh32_intdigest(table)), table, *outputs.values()))


def _link(file: Path, name: str) -> None:
    try:
        os.link(file, name)
    except FileExistsError:  # of this very attempt, which its worker began again
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        os.link(file, name)

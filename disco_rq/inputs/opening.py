"""One input, opened where the task runs: an address or a piece of it becomes a stream of bytes.

Nothing but ``DataError`` comes out of opening and reading, whatever the file system, server or compression.
What a job wrote is told by its first bytes: readers get the bytes that its writer wrote, and its pairs by
``chain_reader``.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, BinaryIO, cast

from disco_rq.errors import DataError, DiscoError
from disco_rq.inputs.addresses import local_path, no_file, scheme_of
from disco_rq.inputs.content import HEAD_BYTES, codec_by_name, codec_of
from disco_rq.inputs.decompress import CODECS, Decoded
from disco_rq.inputs.filesystems import filesystem
from disco_rq.inputs.httpfile import HttpFile
from disco_rq.inputs.identity import check_local, check_remote, check_size, planned_size, remote_identity
from disco_rq.inputs.pieces import UpToLine, Window, own_lines
from disco_rq.inputs.rediskeys import is_key, open_key
from disco_rq.model import Identity, Input
from disco_rq.outputs.remote import RemoteFile
from disco_rq.records import OpaqueStream, all_blocks, is_record_file, open_output
from disco_rq.redact import redact
from disco_rq.store.givenkeys import GivenKeys

__all__ = ["HTTP_TIMEOUT_S", "Resolve", "first_bytes", "head_of", "offset_of", "open_input"]

HTTP_TIMEOUT_S = 60.0
"""A web server that sends nothing for so long has stalled."""

_BUFFER_BYTES = 256 << 10
_RAW = "raw://"
_CHAIN = "map_reader=func.chain_reader reads them"

Resolve = Callable[[str], str | RemoteFile | GivenKeys]
_Stream = io.RawIOBase | io.BufferedIOBase
_Source = tuple[_Stream, int | None]


@contextmanager
def open_input(
    inp: Input, *, resolve: Resolve | None = None, timeout_s: float = HTTP_TIMEOUT_S
) -> Iterator[tuple[io.BufferedReader, int | None]]:
    """``(fd, size)``: the input's bytes, decompressed; a piece (``start``, ``length``) is whole lines.

    ``size`` is the number of bytes that ``fd`` will give, None when that is not known. ``fd`` can seek where
    the source can and is not compressed. ``resolve`` says what to read for a ``disco://`` address: a path on
    this node, an http address, or the open file of another node; and the server of a ``redis://`` address.
    Every failure to open or to read raises ``DataError`` with the address (passwords redacted) in text and
    ``url``; what the ``with`` block itself raises passes unchanged.
    """
    with contextlib.ExitStack() as opened:
        try:
            if (data := _held(inp)) is not None:
                fd, size = _in_memory(data)
            elif is_key(inp.url):
                fd, size = _open_key(inp, resolve)
            else:
                fd, size = _open(inp, resolve, timeout_s, opened)
        except (DiscoError, MemoryError):  # a task's timeout may strike while it reads
            raise
        except Exception as error:  # any fsspec file system's, codec's or server's
            raise _data_error(inp.url, error) from error
        yield fd, size


def _held(inp: Input) -> bytes | None:
    """All bytes of an input that brings them along: nothing of it is opened, cut or looked at again."""
    if inp.data is None and inp.start == 0 and inp.length is None and scheme_of(inp.url) == "raw":
        return _bytes_in(inp.url)
    return inp.data


def _in_memory(data: bytes) -> tuple[io.BufferedReader[Any], int | None]:
    return io.BufferedReader(cast("io.RawIOBase", io.BytesIO(data))), len(data)


def _bytes_in(url: str) -> bytes:
    """What a ``raw://`` address says."""
    return url[len(_RAW) :].encode("utf-8", "surrogateescape")


def offset_of(fd: BinaryIO) -> int:
    """The byte of the file at which the stream of a piece begins."""
    raw = getattr(fd, "raw", None)
    return raw.offset if isinstance(raw, Window) else 0


def head_of(fd: BinaryIO, size: int) -> bytes:
    """The first bytes of the file of which the stream is a piece."""
    raw = getattr(fd, "raw", None)
    return raw.head(size) if isinstance(raw, Window) else b""


def first_bytes(url: str) -> bytes:
    """What a file begins with, enough to tell what it is. Raises whatever its file system does."""
    with contextlib.ExitStack() as opened:
        source, _ = _open_source(url, None, HTTP_TIMEOUT_S, opened)
        opened.callback(_close, source)
        return _look(source, opened)[0]


def _open_key(inp: Input, resolve: Resolve | None) -> tuple[io.BufferedReader[Any], int | None]:
    keys = None if resolve is None else resolve(inp.url)
    if not isinstance(keys, GivenKeys):
        raise ValueError("lists and streams of Redis are read by the tasks of jobs only")
    return open_key(inp, keys)


def _open(
    inp: Input,
    resolve: Resolve | None,
    timeout_s: float,
    opened: contextlib.ExitStack,
) -> tuple[io.BufferedReader[Any], int | None]:
    window, size, is_records = _open_window(inp, resolve, timeout_s, opened)
    fd = io.BufferedReader(window, _BUFFER_BYTES)
    if not is_records:
        return fd, size
    name = redact(inp.url)
    return io.BufferedReader(OpaqueStream(all_blocks(fd, name), name, _CHAIN), _BUFFER_BYTES), None


def _open_window(
    inp: Input,
    resolve: Resolve | None,
    timeout_s: float,
    opened: contextlib.ExitStack,
) -> tuple[Window, int | None, bool]:
    """The bytes that were asked for, their number, and whether they are records of ours."""
    source, size = file, file_size = _open_source(inp.url, resolve, timeout_s, opened)
    opened.callback(_close, source)
    start, is_records, codec, then = 0, False, None, inp.identity
    convert = partial(_data_error, inp.url)
    _check(source, size, _about(source), then)
    planned = planned_size(size, _about(source), then)
    has_grown = planned != size
    looked_at = inp.start > 0 or scheme_of(inp.url) == "raw"  # a piece from the middle is of a known file
    if not looked_at:
        named = codec_by_name(inp.url)
        if isinstance(source, HttpFile) and source.codec is not None:
            if source.codec not in CODECS:
                raise ValueError(f"the server packs it as {source.codec}, which is not read here")
            source, size, named = Decoded(_buffered(source, opened), source.codec), None, None
        head, source = _look(source, opened)
        codec, is_records = codec_of(head, named), is_record_file(head)
        if codec is not None:
            if has_grown:  # what came later may end within a stream
                source = Window(source, start=0, length=planned, convert=convert)
            source, size = Decoded(_buffered(source, opened), codec), None
    is_piece = inp.start > 0 or inp.length is not None
    if inp.is_whole and codec is None:
        size = planned
    if inp.is_whole and is_piece:
        if size is None or not source.seekable():
            raise _no_seek(inp)
    elif has_grown and size is not None and planned is not None and not is_piece and not source.seekable():
        source, size = UpToLine(source, planned), None
    elif is_piece or (codec is None and has_grown and not inp.is_whole):
        if size is None or not source.seekable():
            raise _no_seek(inp)
        start, stop = own_lines(source, inp.start, inp.length, size, planned)
        source.seek(start)
        size = stop - start
    window = Window(
        source,
        start=start,
        length=size,
        convert=convert,
        verify=partial(_check_again, file, file_size, then),
        offset=inp.start if inp.is_whole else None,
    )
    return window, size, is_records


def _no_seek(inp: Input) -> DataError:
    return DataError(f"cannot read {redact(inp.url)} in pieces, as it was planned: no seek", redact(inp.url))


def _about(source: Any) -> Mapping[str, Any]:
    """What a server or file system says of the open file that changes with it."""
    return (source.about if isinstance(source, HttpFile) else getattr(source, "details", None)) or {}


def _check(source: _Stream, size: int | None, about: Mapping[str, Any], then: Identity | None) -> None:
    """Raise ``ValueError`` if it is not the file that it was when the job was submitted."""
    if then is None:
        return
    if isinstance(source, io.FileIO):
        check_local(source.fileno(), then)
    else:
        check_remote(size, about, then)


def _check_again(source: Any, size: int | None, then: Identity | None) -> None:
    """All was read: raise ``ValueError`` if it has become another file meanwhile."""
    if isinstance(source, io.FileIO):
        _check(source, size, {}, then)
        return
    was = then or remote_identity(size, _about(source))
    if isinstance(source, HttpFile) and source.ends_with_connection and then is not None:
        check_size(source.tell(), then)
    if was is None or not was.tag:
        return
    if isinstance(source, HttpFile):
        now = source.now()
        found, found_size = (now.about, now.size) if now is not None else ({}, None)
    elif (fs := getattr(source, "fs", None)) is not None:
        fs.invalidate_cache()
        found = fs.info(source.path)
        found_size = found.get("size")
    else:
        return
    check_remote(max(found_size or 0, size or 0) or None, found, was)  # so much was there when it was read


def _buffered(
    source: io.RawIOBase | io.BufferedIOBase, opened: contextlib.ExitStack
) -> io.BufferedReader[Any]:
    # A BufferedReader takes a buffered source as well as a raw one.
    buffered = io.BufferedReader(cast("io.RawIOBase", source), _BUFFER_BYTES)
    opened.callback(_close, buffered)
    return buffered


def _look(
    source: io.RawIOBase | io.BufferedIOBase, opened: contextlib.ExitStack
) -> tuple[bytes, io.RawIOBase | io.BufferedIOBase]:
    """The first bytes, and the source from its start."""
    if isinstance(source, HttpFile) or not source.seekable():
        buffered = _buffered(source, opened)
        return buffered.peek(HEAD_BYTES)[:HEAD_BYTES], buffered
    head = source.read(HEAD_BYTES) or b""
    source.seek(0)
    return head, source


def _open_source(
    url: str,
    resolve: Resolve | None,
    timeout_s: float,
    opened: contextlib.ExitStack,
) -> _Source:
    if (path := local_path(url)) is not None:
        return _open_local(path)
    match scheme_of(url):
        case "raw":
            data = _bytes_in(url)
            return io.BytesIO(data), len(data)
        case "http" | "https":
            http = HttpFile(url, timeout_s)
            return http, http.size
        case "disco":
            if resolve is None:
                raise ValueError("disco:// addresses are read by the nodes of a cluster only")
            found = resolve(url)
            if isinstance(found, RemoteFile):
                return found, found.size
            return _open_result(Path(str(found)))
        case _:
            fs, path = filesystem(url)
            opened.callback(id, fs)  # kept until then: an archive is closed when its file system is collected
            fs.invalidate_cache()  # what was listed at submit
            size = fs.size(path)
            return fs.open(path, "rb"), int(size) if size is not None else None


def _open_local(path: str) -> _Source:
    fd = os.open(
        path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    )  # a pipe without a writer is waited for else
    try:
        info = os.fstat(fd)
        if stat.S_ISDIR(info.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if (what := no_file(info)) is not None:
            raise ValueError(f"it is {what}, and no file")
    except BaseException:
        os.close(fd)
        raise
    file = io.FileIO(fd, "rb")
    # Files in /proc and pipes say 0 and have content: read those to their end.
    return file, info.st_size if stat.S_ISREG(info.st_mode) and info.st_size else None


def _open_result(path: Path) -> _Source:
    file = open_output(open(path, "rb", buffering=0), path.name)  # noqa: SIM115
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return cast("io.RawIOBase", file), size


def _close(source: io.RawIOBase | io.BufferedIOBase) -> None:
    with contextlib.suppress(Exception):  # all was read that was wanted: nothing can be lost any more
        source.close()


def _data_error(url: str, error: Exception) -> DataError:
    """``error`` as the task shall see it."""
    shown = redact(url)
    return DataError(f"cannot read {shown}: {_reason(error)}", shown)


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _reason(error.reason)
    if isinstance(error, IncompleteRead):
        return "the transfer was cut off"
    if isinstance(error, TimeoutError):
        return "the server does not answer, or sends nothing any more (timed out)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = redact(" ".join(str(error).split()))
    return (
        text
        if text and isinstance(error, OSError | EOFError | ImportError | ValueError)
        else (f"{type(error).__name__}: {text}" if text else type(error).__name__)
    )

"""Text of others on a terminal or in a log: nothing in it moves the cursor, sets a title or forges a line."""

from __future__ import annotations

import io
from typing import Any, BinaryIO, TextIO

__all__ = ["EscapingStream", "escaped", "unescaped_stream"]

_KEPT = "\n\t"
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))}
_ESCAPES |= {0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t"}
_ESCAPES |= {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0xA0)}  # C1, as bytes that are no UTF-8
_LINES = {code: text for code, text in _ESCAPES.items() if chr(code) not in _KEPT}


def escaped(text: str, *, one_line: bool = False) -> str:
    """The text with each control character, C0, DEL and C1, written out: ``\\x1b``. Line ends and tabs stay
    what they are, unless it is to be ``one_line``.
    """
    return text.translate(_ESCAPES if one_line else _LINES)


class EscapingStream(io.TextIOBase):
    """A terminal, to which text and bytes are written escaped."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.buffer = _EscapingBuffer(stream)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def write(self, text: str, /) -> int:
        self.stream.write(escaped(text))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


class _EscapingBuffer(io.RawIOBase):
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._stream.flush()  # what was written as text comes first
        text = bytes(data).decode("utf-8", "surrogateescape")
        out: BinaryIO = self._stream.buffer
        out.write(escaped(text).encode("utf-8", "surrogateescape"))
        return len(data)

    def flush(self) -> None:
        self._stream.buffer.flush()


def unescaped_stream(stream: TextIO) -> TextIO:
    """What is under it: for who escapes by itself what it writes, and draws."""
    return stream.stream if isinstance(stream, EscapingStream) else stream

"""Text of others on a terminal, in a log or on the page: nothing in it moves the cursor, sets a title, forges
a line, turns others' text around, or is there and not seen.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO, TextIO

__all__ = ["EscapingStream", "escaped", "seen", "unescaped_stream"]

_KEPT = "\n\t"
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))}
_ESCAPES |= {0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t"}
_ESCAPES |= {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0xA0)}  # C1, as bytes that are no UTF-8
_TURNING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNSEEN = (0xAD, 0x180E, 0x200B, *range(0x2060, 0x2066), *range(0x206A, 0x2070), 0xFEFF)
_UNSEEN += (*range(0xFFF9, 0xFFFC), 0xE0001, *range(0xE0020, 0xE0080))
_JOINERS = (0x200C, 0x200D)
"""Persian, Hindi and emoji are written with these: they are written out where a name could be forged."""
_LINE_ENDS = (0x2028, 0x2029)
_SEEN = {code: f"\\u{code:04x}" for code in (*_TURNING, *_UNSEEN, *_LINE_ENDS)}
_ESCAPES |= _SEEN | {code: f"\\u{code:04x}" for code in _JOINERS}
_LINES = {code: text for code, text in _ESCAPES.items() if chr(code) not in _KEPT and code not in _JOINERS}


def escaped(text: str, *, one_line: bool = False) -> str:
    """The text with each control character, C0, DEL and C1, written out: ``\\x1b``; and those that turn text
    around or are not seen: ``\\u202e``. Line ends, tabs and joiners stay what they are, unless it is to be
    ``one_line``.
    """
    return text.translate(_ESCAPES if one_line else _LINES)


def seen(text: str) -> str:
    """The text for who shows control characters as nothing, as a browser: those that turn text around or are
    not seen are written out.
    """
    return text if text.isascii() else text.translate(_SEEN)


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

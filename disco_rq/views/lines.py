"""Keys and values as lines of text: ``key<TAB>value``, as ``disco-rq cat`` prints pairs."""

from __future__ import annotations

import codecs
import math
from typing import Any

__all__ = ["AS_IT_CAME", "bytes_of", "text_of"]

AS_IT_CAME = "disco_rq.as_it_came"
"""An error handler for ``encode``: see ``_as_it_came``."""
_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _as_it_came(error: UnicodeError) -> tuple[bytes, int]:
    """Bytes that were no UTF-8 as they came (surrogateescape); what else cannot be encoded as ``\\ud83d``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    escaped = b""
    for character in error.object[error.start : error.end]:
        code = ord(character)
        is_byte = 0xDC80 <= code <= 0xDCFF
        escaped += bytes([code - 0xDC00]) if is_byte else character.encode("ascii", "backslashreplace")
    return escaped, error.end


codecs.register_error(AS_IT_CAME, _as_it_came)


def bytes_of(text: str) -> bytes:
    """A text as it goes out: as the bytes that it came from, where they were no UTF-8."""
    return text.encode("utf-8", AS_IT_CAME)


def text_of(value: Any) -> bytes:
    """One field of a ``key<TAB>value`` line. Tabs and line ends are escaped: a pair stays one line."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    elif isinstance(value, float) and not math.isfinite(value):
        value = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return bytes_of(str(value).translate(_ESCAPES))

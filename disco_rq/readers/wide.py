"""Text in units of two or four bytes, told without a byte-order mark.

Bytes that are one encoding are nearly always valid in another: ``ab`` is an ideograph of UTF-16. So what such
a text looks like counts, and what it would look like as text of bytes.
"""

from __future__ import annotations

import codecs
from unicodedata import category

__all__ = ["has_controls", "wide_encoding"]

_FEWEST_UNITS = 4
_MANY_UNITS = 32
"""In so many there need be no newline."""
_LAYOUTS = (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2))
_NO_TEXT = ("Cc", "Cn", "Co", "Cs")
_WHITE = "\t\n\v\f\r\x1a\x1b"
_CONTROLS = bytes(set(range(32)) - set(_WHITE.encode()) - {8})
_MOST_PAIRS = 0.7


def has_controls(head: bytes) -> bool:
    """Whether there are control characters of ASCII that texts of bytes do not have, such as NUL."""
    return len(head.translate(None, _CONTROLS)) < len(head)


def wide_encoding(head: bytes) -> str | None:
    """The encoding of a file that begins with ``head``; None where units are bytes.

    A few NULs do not make a file wide, nor do records that are divided by control characters.
    """
    if not has_controls(head):  # a unit of an alphabet, and all of four bytes, have such a byte
        return None
    for encoding, width in _LAYOUTS:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head)  # less the unit that is cut off
        except UnicodeDecodeError:
            continue
        if _may_be_text(text) and (width == 4 or _is_alphabet(text) or _is_east_asian(text, head)):
            return encoding
    return None


def _may_be_text(text: str) -> bool:
    """Whether there is enough of it, with lines, and nothing that no text holds."""
    if len(text) < _FEWEST_UNITS or ("\n" not in text and len(text) < _MANY_UNITS):
        return False
    return all(char in _WHITE or category(char) not in _NO_TEXT for char in text)


def _is_alphabet(text: str) -> bool:
    """Whether most letters are of alphabets, with a blank, digit or newline among them.

    One byte of each such unit is below 32. Bytes of a text are so at each second place where its fields have
    one character each; then no unit is ASCII, unless they are divided by NULs, and newlines lie in others.
    """
    narrow = sum(1 for char in text if char < "\u2000")
    has_ascii = any(char < "\x7f" for char in text)
    return narrow * 2 >= len(text) and has_ascii and ("\n" in text or not _has_newline_byte(text))


def _is_east_asian(text: str, head: bytes) -> bool:
    """Whether it is of ideographs, syllables and the like, and makes no sense as bytes.

    As bytes they hold control characters, which was seen before, are no UTF-8, and are not mostly pairs of
    ASCII, as they are where a text of bytes is taken for ideographs. Kana is such pairs: it is told by its
    number.
    """
    if _has_newline_byte(text) or any("\ua000" <= char <= "\uabff" for char in text):
        return False  # the latter as read from Big5, EUC and UTF-8
    kana = sum(1 for char in text if "\u3041" <= char <= "\u30ff")
    pairs = sum(1 for char in text if "\u2000" <= char <= "\u7f7f" and ord(char) & 0xFF in range(32, 127))
    if pairs - kana > _MOST_PAIRS * len(text):
        return False
    return kana * 2 >= len(text) or not _is_utf_8(head)


def _has_newline_byte(text: str) -> bool:
    """Whether a unit has a newline in its higher byte: Gurmukhi and Gujarati, or text of bytes."""
    return any("\u0a00" <= char <= "\u0aff" for char in text)


def _is_utf_8(head: bytes) -> bool:
    """Whether the bytes beyond ASCII are, most of them."""
    text = head.decode("utf-8", "surrogateescape")
    escaped = sum(1 for char in text if "\udc80" <= char <= "\udcff")
    return escaped * 2 <= sum(1 for char in text if char > "\x7f")

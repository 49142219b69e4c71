"""Readers: from the bytes of an input to entries. ``func`` hands them on to users.

``telling`` knows what is no text by its first bytes, ``lines`` makes lines of the rest.
"""

from disco_rq.readers.lines import BytesLines, TextReader, map_line_reader
from disco_rq.readers.telling import refuse_other_than_text

__all__ = ["BytesLines", "TextReader", "map_line_reader", "refuse_other_than_text"]

"""What is no text, told by its first bytes, and which reader or address reads it."""

from __future__ import annotations

import codecs
import zlib

from disco_rq.errors import WrongContent
from disco_rq.readers.wide import has_controls, wide_encoding
from disco_rq.records import is_record_file
from disco_rq.redact import redact

__all__ = ["UTF_8_BOM", "has_newline_byte", "is_parquet", "refuse_other_than_text"]

UTF_8_BOM = b"\xef\xbb\xbf"
_BOMS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_KINDS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"Obj\x01", "an Avro file"),
    (b"ARROW1\0\0", "an Arrow file"),
    (b"SQLite format 3\0", "a database of SQLite"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x7fELF", "a program"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an old Office"),
    *((b"\x80%c" % protocol, "a pickle of Python") for protocol in (2, 3, 4, 5)),
    *((b"SEQ%c" % number, "a SequenceFile of Hadoop") for number in (4, 5, 6)),
    *((b"RCF%c" % number, "an RCFile of Hive") for number in (0, 1)),
    (b"\x89LZO\0\r\n\x1a\n", "a file of lzop"),
    (b"LRZI\0", "a file of lrzip"),
    (b"\x1f\x9d", "a file of compress (.Z)"),
    (b"LZIP\x01", "a file of lzip"),
    (b"\xff\x06\x00\x00sNaPpY", "a file of snappy"),
)
_PACKED = "packed a second time: unpack it once"
_PACKINGS = {  # what packs the file itself is undone before
    b"\x1f\x8b\x08": f"gzip data, {_PACKED}",
    b"\xfd7zXZ\0": f"xz data, {_PACKED}",
    b"\x28\xb5\x2f\xfd": f"zstd data, {_PACKED}",
    b"\x04\x22\x4d\x18": f"lz4 data, {_PACKED}",
    **{b"BZh%d1AY&SY" % level: f"bz2 data, {_PACKED}" for level in range(1, 10)},
    b"]\0\0": "a file of the old lzma format: pack it with xz, or gzip",
}
_WHITE = (b"\n", b"\r", b"\t")
_NEWLINE_IS_A_BYTE = ("utf-8", "ascii", "iso8859-", "cp125", "koi8-")
"""Encodings whose newline is the byte 10, and that byte nothing else."""
_TAR_HEADER_BYTES, _TAR_SUM = 512, slice(148, 156)
_ZLIB_HEADERS = (b"x\x01", b"x^", b"x\x9c", b"x\xda")
_BEGINNINGS = (*(mark for mark, _ in (*_BOMS, *_KINDS)), *_PACKINGS, *_ZLIB_HEADERS)
_ORC_BYTES = 16
_ENOUGH_BYTES = 512
"""What so much is unpacked from is no text by chance."""


def has_newline_byte(encoding: str) -> bool:
    """Whether files may be cut where a byte says that a line ends."""
    return codecs.lookup(encoding).name.startswith(_NEWLINE_IS_A_BYTE)


def refuse_other_than_text(head: bytes, name: str, encoding: str = "utf-8") -> None:
    """Raise ``WrongContent`` if a file that begins with ``head`` is no text in ``encoding``.

    For readers of text: call it with the first 512 bytes, where they are the start of the input.
    """
    if not _is_plain(head):
        _refuse_other_than_text(head, redact(name), encoding)


def is_parquet(head: bytes) -> bool:
    """Whether a file that begins so is one of Parquet: text may begin with ``PAR1``, too."""
    return head.startswith(b"PAR1") and head[4:5] < b" " and head[4:5] not in _WHITE


def _is_plain(head: bytes) -> bool:
    """Whether it is text as far as a look goes that costs next to nothing: tasks may be tiny."""
    is_short = len(head) < _TAR_HEADER_BYTES
    return is_short and not (has_controls(head) or head.startswith(_BEGINNINGS) or is_record_file(head))


def _refuse_other_than_text(head: bytes, name: str, encoding: str) -> None:
    if is_record_file(head):
        raise WrongContent(f"{name} is a result of a job: map_reader=func.chain_reader reads it")
    if _is_tar(head):
        raise WrongContent(f"{name} is a tar archive, and no text: {_reads_inside('tar', name)}")
    if is_parquet(head):
        raise WrongContent(f"{name} is a Parquet file, and no text: func.parquet_reader() reads it")
    if head.startswith(b"ORC") and has_controls(head[3:_ORC_BYTES]):  # text may begin so, too
        raise WrongContent(f"{name} is an ORC file, and no text")
    for magic, what in _KINDS:
        if head.startswith(magic):
            advice = f": {_reads_inside('zip', name)}" if "zip" in what else ""
            raise WrongContent(f"{name} is {what}, and no text{advice}")
    for magic, what in _PACKINGS.items():
        if head.startswith(magic):
            raise WrongContent(f"{name} is {what}")
    if _is_zlib(head):
        raise WrongContent(
            f"{name} is zlib data, and no text: func.file_reader() gives it to zlib.decompress"
        )
    if _is_narrow(encoding) and (found := _marked_encoding(head) or wide_encoding(head)) is not None:
        raise WrongContent(f'{name} is {found.upper()} text: map_reader=func.text_reader("{found}") reads it')


def _reads_inside(scheme: str, name: str) -> str:
    """The address of all files in an archive."""
    return f'the address "{scheme}://**::{name if "://" in name else f"file://{name}"}" reads what is in it'


def _is_tar(head: bytes) -> bool:
    """A header of tar, old or new, holds the sum of its bytes, with blanks in place of the sum."""
    if len(head) < _TAR_HEADER_BYTES or not head[0]:
        return False
    header = head[:_TAR_HEADER_BYTES]
    try:
        told = int(header[_TAR_SUM].strip(b" \0"), 8)
    except ValueError:
        return False
    return told == sum(header) - sum(header[_TAR_SUM]) + 8 * ord(" ")


def _is_zlib(head: bytes) -> bool:
    """A stream without a file's header. Text may begin so, and is not unpacked for long."""
    if not head.startswith(_ZLIB_HEADERS):
        return False
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(head)
    except zlib.error:
        return False
    return stream.eof or (bool(content) and len(head) >= _ENOUGH_BYTES)


def _marked_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32, by its mark."""
    return next((encoding for mark, encoding in _BOMS if head.startswith(mark)), None)


def _is_narrow(encoding: str) -> bool:
    return not encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32", "utf16", "utf32"))

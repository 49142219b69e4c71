"""What a file holds, told by its first bytes: how it is compressed. Its name is only a hint."""

from __future__ import annotations

from pathlib import PurePosixPath

from disco_rq.inputs.addresses import file_name, scheme_of
from disco_rq.inputs.decompress import CODECS, skippable_bytes

__all__ = ["HEAD_BYTES", "codec_by_name", "codec_of"]

HEAD_BYTES = 512
"""So much is looked at: the header of a tar archive."""

_BY_SUFFIX = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4"}
_BZ2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
"""The second one ends a stream; that of an empty one is its first."""
_TOLD_BY = {  # longer than what a stream must begin with: text may begin with BZh
    "gzip": (b"\x1f\x8b\x08",),
    "bz2": tuple(b"BZh%d%b" % (level, block) for level in range(1, 10) for block in _BZ2_BLOCKS),
}


def codec_by_name(url: str) -> str | None:
    """How the suffix says that the file is compressed; None: not at all."""
    return None if scheme_of(url) == "raw" else _BY_SUFFIX.get(PurePosixPath(file_name(url)).suffix.lower())


def codec_of(head: bytes, named: str | None) -> str | None:
    """How a file is compressed that begins with ``head``.

    ``named`` is what its name says. It counts for what begins like no compressed file: damaged, no text.
    """
    if head.startswith(b"\x02\x21\x4c\x18"):
        raise ValueError("it is in the legacy format of lz4: pack it again, with lz4 -d FILE | lz4")
    if skipped := skippable_bytes(head):
        rest = codec_of(head[skipped:], None)
        return rest or (named if named == "lz4" else "zstd")
    for codec, how in CODECS.items():
        if head.startswith(_TOLD_BY.get(codec, (how.magic,))):
            return codec
    return named

"""What a node's data server and its readers agree on: the requests, the token, and frames.

    GET  /<job>/<file>          one output, or with ``.log`` behind it what its attempt printed, or with
                                ``.prof`` its profile; with ranges
    POST /<job>/partitions/<n>  partition n of many outputs; the body has a line ``<file> <offset>`` for each

The answer to the second is a row of frames, ``kind, line, length`` and a payload. First a LOST frame, with
the reason, for each file that is not there; then for each other line DATA frames with the blocks of the
partition from the offset on, and an END; a file that turns out unreadable has LOST in its place. DONE is the
last one: what ends without it was cut off.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum

from disco_rq.packing import secret_keys

__all__ = [
    "CHUNK_BYTES",
    "FILE",
    "FRAME",
    "OUTPUT",
    "FrameKind",
    "LIFE",
    "pack_frame",
    "is_sealed",
    "new_life",
    "partitions_path",
    "seal",
    "tokens",
]

OUTPUT = re.compile(r"(?:map|reduce)-[0-9]+\.[0-9]+")
FILE = re.compile(rf"{OUTPUT.pattern}(?:\.log|\.prof)?")
CHUNK_BYTES = 128 << 10
"""What either side holds of a stream at a time."""
FRAME = struct.Struct("<BII")  # kind, number of the line that asked for it, length of the payload

LIFE = re.compile(r"[0-9a-f]{32}")
"""What each start of a node's program calls itself: its tokens and the signature of its address are good for
that life only. An address that was told once is so of no use when somebody else has it.
"""

_CONTEXT = b"disco-rq data server 2 "
_SEAL_CONTEXT = b"disco-rq data server's url 2 "


class FrameKind(IntEnum):
    DATA = 1
    """A piece of the partition."""
    END = 2
    """The partition of this file is complete."""
    LOST = 3
    """The file cannot be read; the payload says why, in UTF-8."""
    DONE = 4
    """The end of the answer."""


def pack_frame(kind: FrameKind, line: int = 0, payload: bytes = b"") -> bytes:
    return FRAME.pack(kind, line, len(payload)) + payload


def partitions_path(job: str, partition: int) -> str:
    return f"/{job}/partitions/{partition}"


def new_life() -> str:
    return secrets.token_hex(16)


def tokens(secret: bytes | None, node: str, life: str) -> list[str]:
    """The tokens that open a node's data server; the first is the one to send. Empty without a secret.

    Each life of each node has its own, so one that was sent to a node opens no other. ``secret`` may hold
    several keys separated by commas, for rotation.
    """
    context = _CONTEXT + f"{node} {life}".encode()
    return [hmac.new(key, context, hashlib.sha256).hexdigest() for key in secret_keys(secret)]


def seal(secret: bytes | None, node: str, life: str, url: str) -> str:
    """What a node tells beside the address of its data server: that the tokens of this life may go there,
    signed with each of its keys. Empty without a secret.

    Else whoever can write to Redis would be sent the tokens, and could read all files.
    """
    return " ".join(_seals(secret, node, life, url))


def is_sealed(secret: bytes | None, node: str, about: Mapping[str, str]) -> bool:
    """Whether one of the secret's keys is among those that signed the address of which the node tells;
    without a secret nothing is checked.
    """
    if secret is None:
        return True
    life = about.get("life", "")
    if not LIFE.fullmatch(life):
        return False
    theirs = [signature.encode() for signature in about.get("url_seal", "").split(" ")]
    ours = [signature.encode() for signature in _seals(secret, node, life, about["url"])]
    return any(hmac.compare_digest(one, other) for one in ours for other in theirs)


def _seals(secret: bytes | None, node: str, life: str, url: str) -> Iterator[str]:
    text = _SEAL_CONTEXT + f"{node} {life} {url}".encode()
    return (hmac.new(key, text, hashlib.sha256).hexdigest() for key in secret_keys(secret))

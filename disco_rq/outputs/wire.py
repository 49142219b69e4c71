"""What a node's data server and its readers agree on: the requests, the token, and frames.

    GET  /<job>/<file>          one output, or with ``.log`` behind it what its attempt printed, with
                                ``.prof`` its profile, or with ``.bad`` its bad entries; with ranges
    GET  /<job>/<file>.live     of an attempt that runs the end of what it has printed, and in a header how
                                many entries it has read
    POST /<job>/partitions/<n>  partition n of many outputs; the body has a line ``<file> <offset>`` for each

The answer to the last is a row of frames, ``kind, line, length`` and a payload. First a LOST frame, with
the reason, for each file that is not there; then for each other line DATA frames with the blocks of the
partition from the offset on, and an END; a file that turns out unreadable has LOST in its place. DONE is the
last one: what ends without it was cut off.

Where there is a secret, each job's files have keys of their own, so that its tasks need not have more than
that, and cannot tell which address of a data server is right. So a token is good for one address, and the
server proves that it knows it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from disco_rq.packing import secret_keys

__all__ = [
    "CHUNK_BYTES",
    "ENTRIES",
    "FILE",
    "FRAME",
    "OUTPUT",
    "LIFE",
    "PROOF",
    "FrameKind",
    "Pass",
    "data_keys",
    "is_sealed",
    "keys_of_job",
    "new_life",
    "pack_frame",
    "partitions_path",
    "passes",
    "seal",
]

OUTPUT = re.compile(r"(?:map|reduce)-[0-9]+\.[0-9]+")
FILE = re.compile(rf"{OUTPUT.pattern}(?:\.log|\.prof|\.bad)?")
CHUNK_BYTES = 128 << 10
"""What either side holds of a stream at a time."""
FRAME = struct.Struct("<BII")  # kind, number of the line that asked for it, length of the payload

LIFE = re.compile(r"[0-9a-f]{32}")
"""What each start of a node's program calls itself: its tokens and the signature of its address are good for
that life only. An address that was told once is so of no use when somebody else has it.
"""

ENTRIES = "x-disco-rq-entries"
"""The header that says how many entries an attempt has read which runs."""

PROOF = b"x-disco-rq-proof"
"""The header in which it comes."""

_CONTEXT = b"disco-rq data server 3"
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


class Pass(NamedTuple):
    """What opens one job's files on one node."""

    token: str
    """Sent to its data server, at the address for which it was made: at another one it opens nothing."""
    proof: str
    """Sent back by the data server, which nobody else knows: nothing that comes without it is used."""


def data_keys(secret: bytes | None) -> list[bytes]:
    """What of each key of the secret a data server needs."""
    return [hmac.digest(key, _CONTEXT, "sha256") for key in secret_keys(secret)]


def keys_of_job(keys: Sequence[bytes], job: str) -> list[bytes]:
    """What opens the files of one job on any node. ``keys``: as ``data_keys`` gives them."""
    return [hmac.digest(key, job.encode(errors="surrogatepass"), "sha256") for key in keys]


def passes(keys: Sequence[bytes], node: str, life: str, url: str) -> list[Pass]:
    """One for each of a job's keys; the first is the one to use. Each life of a node has its own."""
    context = f"{node} {life} {url}".encode(errors="surrogatepass")
    return [Pass(*(_word(key, what + context) for what in (b"token ", b"proof "))) for key in keys]


def _word(key: bytes, text: bytes) -> str:
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def seal(secret: bytes | None, node: str, life: str, url: str) -> str:
    """What a node tells beside the address of its data server: that the tokens of this life may go there,
    signed with each of its keys. Empty without a secret.

    So who has the secret asks nobody else.
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

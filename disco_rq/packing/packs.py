"""Function packs: a job's functions and params, cloudpickled and signed.

A pack is ``magic, signature, digest, body``; the body is the packer's Python version, two shipments, the
functions and the params, and what the job requires besides (``required``). The signature is that of the
job's spec and of the body's digest, and good for its own job in its own cluster only (``signing``).
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from disco_rq.errors import BadSignature, OtherVersion, Unshippable
from disco_rq.model import Functions
from disco_rq.packing.culprits import why_unshippable
from disco_rq.packing.required import Required
from disco_rq.packing.shipping import Shipment, ship, shipment, unship
from disco_rq.packing.signing import JobSeal

__all__ = [
    "HEAD_BYTES",
    "MAX_PACK_BYTES",
    "Pack",
    "UnpackedJob",
    "check_spec",
    "checked_body",
    "open_pack",
    "pack_functions",
    "sign_for",
    "unpack_functions",
]

MAX_PACK_BYTES = 32 << 20
"""Functions and params of one job, packed. More belongs into files: Redis keeps the pack as long as the
job."""

_MAGIC = b"DRQ4"
_HEAD = struct.Struct(">4s32s32s")  # magic, signature, SHA-256 of the body
HEAD_BYTES = _HEAD.size
"""Of a pack: enough for ``check_spec``."""
# Python major, minor, lengths of the functions' shipment and of the params'; the rest is what is required.
_BODY = struct.Struct(">BBQQ")
_NOTHING = Required()
_NO_PARAMS = Shipment(b"", frozenset())


@dataclass(frozen=True, slots=True)
class UnpackedJob:
    """A job's functions, ready to call in this process, and its params."""

    functions: Functions
    _params: bytes = b""
    required: Required = _NOTHING

    def params(self) -> Any:
        """A fresh copy of the job's params: what one task changes in it, no other task sees."""
        return unship(self._params) if self._params else None


class Pack(NamedTuple):
    """A job's functions and params as bytes, and the top-level modules of installed packages that they name:
    without one of these they cannot be unpacked.
    """

    data: bytes
    modules: frozenset[str]


def pack_functions(
    functions: Functions, params: Any, seal: JobSeal, *, spec: bytes = b"", required: Required = _NOTHING
) -> Pack:
    """The functions and params as bytes, for ``unpack_functions`` under the same Python (major.minor).

    ``seal`` signs them, with the packed spec. Raises ``Unshippable`` naming the job argument, and the
    variable at fault as far as it can be found.
    """
    arguments = {f.name: getattr(functions, f.name) for f in fields(functions)}
    try:
        shipped, modules = shipment(arguments, required.as_files)
    except Exception as error:  # noqa: BLE001  whatever a user's __reduce__ or __getstate__ raises
        raise _unshippable(_as_given(functions), error) from None
    try:
        shipped_params, more = _NO_PARAMS if params is None else shipment(params, required.as_files)
    except Exception as error:  # noqa: BLE001  as above
        raise _unshippable({"params": params}, error) from None
    _check_size({**_as_given(functions), "params": params}, len(shipped) + len(shipped_params))
    lengths = _BODY.pack(*sys.version_info[:2], len(shipped), len(shipped_params))
    body = lengths + shipped + shipped_params + required.pack()
    return Pack(_signed(body, seal, spec), modules | more | required.installed_modules())


def _as_given(functions: Functions) -> dict[str, Any]:
    """The functions by the arguments that they came in, for errors: maps of inputs in ``input``."""
    given = {f.name: getattr(functions, f.name) for f in fields(functions)}
    sides = given.pop("sides")
    return {"input": [tuple(side) for side in sides], **given} if sides else given


def sign_for(data: bytes, seal: JobSeal, *, spec: bytes) -> bytes:
    """A pack of ours for a job of another name."""
    return _signed(data[_HEAD.size :], seal, spec)


def unpack_functions(
    data: bytes, seal: JobSeal, *, spec: bytes = b"", directory: Path | None = None, aside: Path | None = None
) -> UnpackedJob:
    """The job that ``pack_functions`` packed. What it requires is first installed in ``directory``, written
    ``aside``.

    Where the seal has a secret, an unsigned, altered or differently signed pack, another spec, or the pack of
    another job or cluster, raises ``BadSignature`` before a byte of it is unpickled. Raises
    ``OtherVersion`` when the pack needs another version of Python, ``Unshippable`` when it needs a module
    that this node does not have, ``OSError`` when its files cannot be written.
    """
    return open_pack(checked_body(data, seal, spec=spec), seal.job, directory=directory, aside=aside)


def check_spec(head: bytes, seal: JobSeal, *, spec: bytes) -> bytes:
    """``BadSignature`` unless the head of the job's pack signs the spec. Returns the digest of the body that
    it signs, too.
    """
    if len(head) < _HEAD.size or head[:4] != _MAGIC:
        raise BadSignature(
            f"the function pack of {seal.job} is not one of this version of disco-rq, or is cut off"
        )
    _, signature, digest = _HEAD.unpack_from(head)
    seal.check(signature, spec, digest)
    return bytes(digest)


def checked_body(data: bytes, seal: JobSeal, *, spec: bytes) -> bytes:
    """The body of a pack. ``BadSignature`` unless it is signed with the spec; nothing is unpickled."""
    digest = check_spec(data, seal, spec=spec)
    body = data[_HEAD.size :]
    if (seal.signs and sha256(body).digest() != digest) or len(body) < _BODY.size:
        raise BadSignature(f"the function pack of {seal.job} is altered, or cut off")
    return body


def open_pack(
    body: bytes, job: str, *, directory: Path | None = None, aside: Path | None = None
) -> UnpackedJob:
    """The job in a body that is right. As ``unpack_functions``, but for ``BadSignature``."""
    major, minor, functions_length, params_length = _BODY.unpack_from(body)
    if (major, minor) != sys.version_info[:2]:
        raise OtherVersion(
            f"the functions of {job} were packed by Python {major}.{minor} and cannot run on this node's "
            f"Python {sys.version_info[0]}.{sys.version_info[1]}: use the same version on both"
        )
    functions_end = _BODY.size + functions_length
    params_end = functions_end + params_length
    required = Required.unpack(body[params_end:])
    if directory is not None:
        required.install(directory, aside)  # OSError: the disk's fault, not the job's
    try:
        required.import_modules()
        functions = Functions(**unship(body[_BODY.size : functions_end]))
        return UnpackedJob(functions, body[functions_end:params_end], required)
    except ImportError as error:
        raise Unshippable(f"the functions of {job} need what this node does not have: {error}") from None
    except Exception as error:  # a pack runs the user's code when it is loaded
        text = " ".join(str(error).split())
        raise Unshippable(
            f"the functions of {job} cannot be loaded: {type(error).__name__}: {text}"
        ) from error


def _signed(body: bytes, seal: JobSeal, spec: bytes) -> bytes:
    """The body behind its head."""
    digest = sha256(body).digest() if seal.signs else bytes(32)
    return _HEAD.pack(_MAGIC, seal.sign(spec, digest), digest) + body


def _check_size(arguments: dict[str, Any], size_bytes: int) -> None:
    if size_bytes <= MAX_PACK_BYTES:
        return
    sizes = {name: len(ship(value)) for name, value in arguments.items() if value is not None}
    largest = max(sizes, key=lambda name: sizes[name])
    raise Unshippable(
        f"{largest} is too large to be sent to the workers: {sizes[largest] >> 20} MiB packed, "
        f"{MAX_PACK_BYTES >> 20} MiB is the most for a job's functions and params; "
        "put big data into files, as input or required_files"
    )


def _unshippable(arguments: dict[str, Any], error: Exception) -> Unshippable:
    """Which of the arguments it was, and why."""
    for name, value in arguments.items():
        if value is None:
            continue
        try:
            ship(value)
        except Exception as own_error:  # noqa: BLE001  as above
            return Unshippable(f"{name} cannot be sent to the workers: {why_unshippable(value, own_error)}")
    return Unshippable(f"the functions cannot be sent to the workers: {type(error).__name__}: {error}")

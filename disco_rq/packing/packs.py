"""Function packs: a job's functions and params, cloudpickled and signed.

A pack is ``magic, signed?, signature, body``; the body is the packer's Python version, two
shipments, the functions and the params, and what the job requires besides (``required``). The signature is an
HMAC-SHA256 over a context, the job's name and the body, so a pack is good for its own job only.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from disco_rq.errors import BadSignature, OtherVersion, SettingsError, Unshippable
from disco_rq.model import Functions
from disco_rq.packing.culprits import why_unshippable
from disco_rq.packing.required import Required
from disco_rq.packing.shipping import Shipment, ship, shipment, unship

__all__ = [
    "MAX_PACK_BYTES",
    "Pack",
    "UnpackedJob",
    "fingerprints",
    "pack_functions",
    "secret_keys",
    "sign_for",
    "unpack_functions",
]

MAX_PACK_BYTES = 32 << 20
"""Functions and params of one job, packed. More belongs into files: Redis keeps the pack as long as the
job."""

_MAGIC = b"DRQ2"
_CONTEXT = b"disco-rq function pack 1"
_HEAD = struct.Struct(">4s?32s")  # magic, signed?, signature
# Python major, minor, lengths of the functions' shipment and of the params'; the rest is what is required.
_BODY = struct.Struct(">BBQQ")
_UNSIGNED = bytes(32)
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
    functions: Functions, params: Any, *, job: str, secret: bytes | None, required: Required = _NOTHING
) -> Pack:
    """The functions and params as bytes, for ``unpack_functions`` under the same Python (major.minor).

    ``secret`` may hold several keys separated by commas, for rotation: the first one signs. None: the pack is
    unsigned. Raises ``Unshippable`` naming the job argument, and the variable at fault as far as it can be
    found.
    """
    arguments = {f.name: getattr(functions, f.name) for f in fields(functions)}
    try:
        shipped, modules = shipment(arguments, required.as_files)
    except Exception as error:  # noqa: BLE001  whatever a user's __reduce__ or __getstate__ raises
        raise _unshippable(arguments, error) from None
    try:
        shipped_params, more = _NO_PARAMS if params is None else shipment(params, required.as_files)
    except Exception as error:  # noqa: BLE001  as above
        raise _unshippable({"params": params}, error) from None
    _check_size({**arguments, "params": params}, len(shipped) + len(shipped_params))
    lengths = _BODY.pack(*sys.version_info[:2], len(shipped), len(shipped_params))
    body = lengths + shipped + shipped_params + required.pack()
    return Pack(_signed(body, job, secret), modules | more | required.installed_modules())


def sign_for(data: bytes, *, job: str, secret: bytes | None) -> bytes:
    """A pack of ours for a job of another name."""
    return _signed(data[_HEAD.size :], job, secret)


def unpack_functions(
    data: bytes, *, job: str, secret: bytes | None, directory: Path | None = None, aside: Path | None = None
) -> UnpackedJob:
    """The job that ``pack_functions`` packed. What it requires is first installed in ``directory``, written
    ``aside``.

    With a secret (any of its comma-separated keys), an unsigned, altered or differently signed pack, or the
    pack of another job, raises ``BadSignature`` before a byte of it is unpickled. Without a secret nothing
    can be checked, so every pack is taken, signed or not: whoever can write to Redis can then run code here.
    Raises ``OtherVersion`` when the pack needs another version of Python, ``Unshippable`` when it needs a
    module that this node does not have, ``OSError`` when its files cannot be written.
    """
    if len(data) < _HEAD.size + _BODY.size or data[:4] != _MAGIC:
        raise BadSignature(
            f"the function pack of {job} is not one of this version of disco-rq, or is cut off"
        )
    _, signed, signature = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    keys = secret_keys(secret)
    if keys and not signed:
        raise BadSignature(f"the function pack of {job} is unsigned: its client has no DISCO_RQ_SECRET")
    if keys and not any(hmac.compare_digest(_sign(key, job, body), signature) for key in keys):
        raise BadSignature(f"the function pack of {job} is altered, or signed with another DISCO_RQ_SECRET")
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


def secret_keys(secret: bytes | None) -> list[bytes]:
    """The keys in ``secret``; none at all only when there is no secret."""
    if secret is None:
        return []
    keys = [key for part in secret.split(b",") if (key := part.strip())]
    if not keys:
        raise SettingsError("DISCO_RQ_SECRET holds no key: unset it, or give it one")
    return keys


def fingerprints(secret: bytes | None) -> list[str]:
    """What tells keys apart and does not tell them; in the order of the secret.

    Who sees it can try keys out, as with any pack that is signed.
    """
    digests = (hmac.new(key, b"disco-rq fingerprint 1", hashlib.sha256) for key in secret_keys(secret))
    return [digest.hexdigest()[:8] for digest in digests]


def _signed(body: bytes, job: str, secret: bytes | None) -> bytes:
    """The body behind its head: signed with the first key, if there is one."""
    keys = secret_keys(secret)
    return _HEAD.pack(_MAGIC, bool(keys), _sign(keys[0], job, body) if keys else _UNSIGNED) + body


def _sign(key: bytes, job: str, body: bytes) -> bytes:
    name = job.encode()
    mac = hmac.new(key, _CONTEXT + struct.pack(">I", len(name)) + name, hashlib.sha256)
    mac.update(body)
    return mac.digest()


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

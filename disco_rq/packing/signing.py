"""What a client signs of a job, and a worker checks before it acts upon it: all that Redis keeps for it.

Each key of the secret gives each job of each cluster a key of its own. With that the pack is signed together
with the spec, and each input together with its index: so a worker checks the input that it has claimed and
reads no other. Nothing that is signed is good for another job, nor in another cluster.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from disco_rq.errors import BadSignature, SettingsError

__all__ = ["INPUT_SIGNATURE_BYTES", "UNSIGNED", "JobSeal", "Signer", "fingerprints", "secret_keys"]

INPUT_SIGNATURE_BYTES = 16
UNSIGNED = bytes(32)
"""What is in the place of a signature when the client has no secret."""

_CONTEXT = b"disco-rq job 2"
_INPUT = b"disco-rq input"  # at most 16 bytes
_LENGTH, _INDEX = struct.Struct(">I"), struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, or checks: the secret, which may hold several keys separated by commas, and the cluster."""

    secret: bytes | None = field(default=None, repr=False)
    cluster: str = ""

    def seal(self, job: str) -> JobSeal:
        """The signatures of one job."""
        return JobSeal(job, self.secret, self.cluster)


class JobSeal:
    """The signatures of one job: the first key of the secret makes them, any is right.

    Without a secret nothing is signed, and all is right: whoever can write to Redis can run code then.
    """

    __slots__ = ("_input_keys", "_keys", "job")

    def __init__(self, job: str, secret: bytes | None, cluster: str = "") -> None:
        self.job = job
        context = _CONTEXT + b"".join(
            _LENGTH.pack(len(part)) + part for part in (cluster.encode(), job.encode())
        )
        self._keys = [hmac.digest(key, context, "sha256") for key in secret_keys(secret)]
        self._input_keys = [hmac.digest(key, _INPUT, "sha256") for key in self._keys]

    @property
    def signs(self) -> bool:
        """Whether there is a secret."""
        return bool(self._keys)

    def sign(self, spec: bytes, body: bytes) -> bytes:
        """The signature of the spec and the body of the pack."""
        return _sign(self._keys[0], spec, body) if self._keys else UNSIGNED

    def check(self, signature: bytes, spec: bytes, body: bytes) -> None:
        """``BadSignature`` if it is not that of both, for this job of this cluster."""
        if self._keys and signature == UNSIGNED:
            raise BadSignature(
                f"the function pack of {self.job} is unsigned: its client has no DISCO_RQ_SECRET"
            )
        if self._keys and not any(
            hmac.compare_digest(_sign(key, spec, body), signature) for key in self._keys
        ):
            raise BadSignature(
                f"the function pack of {self.job}, or its spec, is altered, signed with another "
                "DISCO_RQ_SECRET, or of another cluster"
            )

    def sign_input(self, index: int, packed: bytes) -> bytes:
        """The signature of what the map of this index reads."""
        if not self._input_keys:
            return UNSIGNED[:INPUT_SIGNATURE_BYTES]
        return _sign_input(self._input_keys[0], index, packed)

    def check_input(self, index: int, packed: bytes, signature: bytes) -> None:
        """``BadSignature`` if it is not that of this input."""
        if self._input_keys and not any(
            hmac.compare_digest(_sign_input(key, index, packed), signature) for key in self._input_keys
        ):
            raise BadSignature(f"input {index} of {self.job} is not the one that its client has signed")


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


def _sign(key: bytes, spec: bytes, body: bytes) -> bytes:
    mac = hmac.new(key, _LENGTH.pack(len(spec)) + spec, hashlib.sha256)
    mac.update(body)
    return mac.digest()


def _sign_input(key: bytes, index: int, packed: bytes) -> bytes:
    # Keyed BLAKE2: a job may have 50,000 inputs, and this takes a third of what HMAC-SHA256 does.
    return hashlib.blake2b(
        _INDEX.pack(index) + packed, key=key, digest_size=INPUT_SIGNATURE_BYTES, person=_INPUT
    ).digest()

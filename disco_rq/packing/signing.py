"""What a client signs of a job, and a worker checks before it acts upon it: all that Redis keeps for it.

Each key of the secret gives each job of each cluster a key of its own. With that the spec is signed together
with the digest of the pack, so that who needs the spec only need not read the pack. A key derived from that
is for the tasks: with it each input is signed together with its index, so a worker checks the input that it
has claimed and reads no other; and so are the ranges that the first task makes. Nothing that is signed is
good for another job, nor in another cluster.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from disco_rq.errors import BadSignature, SettingsError

__all__ = ["TASK_SIGNATURE_BYTES", "UNSIGNED", "JobSeal", "Signer", "TaskSeal", "fingerprints", "secret_keys"]

TASK_SIGNATURE_BYTES = 16
"""Of an input, and of ranges."""
UNSIGNED = bytes(32)
"""What is in the place of a signature when the client has no secret."""

_CONTEXT = b"disco-rq job 3"
_INPUT, _RANGES = b"disco-rq input", b"disco-rq ranges"  # at most 16 bytes
_END = b"disco-rq end 1"
_LENGTH, _INDEX = struct.Struct(">I"), struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, or checks: the secret, which may hold several keys separated by commas, and the cluster."""

    secret: bytes | None = field(default=None, repr=False)
    cluster: str = ""
    _is_spent: bool = False

    @property
    def signs(self) -> bool:
        """Whether there is a secret, or was."""
        return self.secret is not None or self._is_spent

    def seal(self, job: str) -> JobSeal:
        """The signatures of one job. ``BadSignature`` if the secret is not here any more."""
        if self._is_spent:
            raise BadSignature(f"this process runs another job already, and cannot check {job}")
        return JobSeal(job, self.secret, self.cluster)

    def without_secret(self) -> Signer:
        """Of a process that has checked what it needed to."""
        return Signer(None, self.cluster, self.signs)


class TaskSeal:
    """What the tasks of one job check: their inputs, and the ranges of its keys.

    Without a secret nothing is signed, and all is right: whoever can write to Redis can run code then.
    """

    __slots__ = ("_task_keys", "job")

    def __init__(self, job: str, task_keys: Sequence[bytes]) -> None:
        self.job = job
        self._task_keys = task_keys

    def sign_input(self, index: int, packed: bytes) -> bytes:
        """The signature of what the map of this index reads."""
        if not self._task_keys:
            return UNSIGNED[:TASK_SIGNATURE_BYTES]
        return _sign_input(self._task_keys[0], index, packed)

    def check_input(self, index: int, packed: bytes, signature: bytes) -> None:
        """``BadSignature`` if it is not that of this input."""
        if self._task_keys and not any(
            hmac.compare_digest(_sign_input(key, index, packed), signature) for key in self._task_keys
        ):
            raise BadSignature(f"input {index} of {self.job} is not the one that its client has signed")

    def seal_ranges(self, packed: bytes) -> bytes:
        """The ranges with their signature before them."""
        signature = (
            _sign_ranges(self._task_keys[0], packed) if self._task_keys else UNSIGNED[:TASK_SIGNATURE_BYTES]
        )
        return signature + packed

    def opened_ranges(self, sealed: bytes) -> bytes:
        """What ``seal_ranges`` was given. ``BadSignature`` if no task of the job has made them."""
        signature, packed = sealed[:TASK_SIGNATURE_BYTES], sealed[TASK_SIGNATURE_BYTES:]
        if self._task_keys and not any(
            hmac.compare_digest(_sign_ranges(key, packed), signature) for key in self._task_keys
        ):
            raise BadSignature(f"the ranges of keys of {self.job} are not those that one of its tasks made")
        return packed


class JobSeal(TaskSeal):
    """The signatures of one job: the first key of the secret makes them, any is right."""

    __slots__ = ("_keys",)

    def __init__(self, job: str, secret: bytes | None, cluster: str = "") -> None:
        context = _CONTEXT + b"".join(
            _LENGTH.pack(len(part)) + part for part in (cluster.encode(), job.encode())
        )
        self._keys = [hmac.digest(key, context, "sha256") for key in secret_keys(secret)]
        super().__init__(job, [hmac.digest(key, _INPUT, "sha256") for key in self._keys])

    @property
    def signs(self) -> bool:
        """Whether there is a secret."""
        return bool(self._keys)

    def of_tasks(self) -> TaskSeal:
        """The part of it that tasks need: with that nobody signs another spec, or other functions."""
        return TaskSeal(self.job, self._task_keys)

    def seal_end(self, packed: bytes) -> bytes:
        """Whom the end of the job is to be told, with its signature before it, as text."""
        key = self._keys[0] if self._keys else None
        return (_sign_end(key, packed) if key is not None else b"") + b" " + packed

    def opened_end(self, sealed: bytes) -> bytes:
        """What ``seal_end`` was given. ``BadSignature`` if the job's client has not signed it."""
        signature, _, packed = sealed.partition(b" ")
        if self._keys and not any(
            hmac.compare_digest(_sign_end(key, packed), signature) for key in self._keys
        ):
            raise BadSignature(f"on_end of {self.job} is not what its client has signed")
        return packed

    def sign(self, spec: bytes, digest: bytes) -> bytes:
        """The signature of the spec and of the digest of the pack's body."""
        return _sign(self._keys[0], spec, digest) if self._keys else UNSIGNED

    def check(self, signature: bytes, spec: bytes, digest: bytes) -> None:
        """``BadSignature`` if it is not that of both, for this job of this cluster."""
        if self._keys and signature == UNSIGNED:
            raise BadSignature(
                f"the function pack of {self.job} is unsigned: its client has no DISCO_RQ_SECRET"
            )
        if self._keys and not any(
            hmac.compare_digest(_sign(key, spec, digest), signature) for key in self._keys
        ):
            raise BadSignature(
                f"the function pack of {self.job}, or its spec, is altered, signed with another "
                "DISCO_RQ_SECRET, or of another cluster"
            )


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


def misfit(here: Sequence[str], there: str | None) -> str:
    """Why a node does no jobs from here, or does what it should not, in words; "" if its secret fits.

    ``here``: ``fingerprints``. ``there``: as the node tells them; None: it does not.
    """
    if there is None or not (here or there):
        return ""
    if not there:
        return "it has none, and runs what anybody submits"
    if not here:
        return "it has one, and refuses unsigned jobs"
    return "" if here[0] in there.split() else "it has another, and refuses jobs from here"


def _sign(key: bytes, spec: bytes, digest: bytes) -> bytes:
    return hmac.digest(key, _LENGTH.pack(len(spec)) + spec + digest, "sha256")


def _sign_end(key: bytes, packed: bytes) -> bytes:
    return hmac.new(key, _END + packed, "sha256").hexdigest().encode()


def _sign_input(key: bytes, index: int, packed: bytes) -> bytes:
    # Keyed BLAKE2: a job may have 50,000 inputs, and this takes a third of what HMAC-SHA256 does.
    return hashlib.blake2b(
        _INDEX.pack(index) + packed, key=key, digest_size=TASK_SIGNATURE_BYTES, person=_INPUT
    ).digest()


def _sign_ranges(key: bytes, packed: bytes) -> bytes:
    return hashlib.blake2b(packed, key=key, digest_size=TASK_SIGNATURE_BYTES, person=_RANGES).digest()

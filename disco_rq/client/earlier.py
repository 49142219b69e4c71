"""A job that was submitted before, as its client has signed it: what a new one goes on with."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack

from disco_rq.client.functions import FUNCTIONS
from disco_rq.client.options import OPTIONS
from disco_rq.errors import BadSignature, JobError, UnknownJob
from disco_rq.model import Functions, JobSpec
from disco_rq.packing import Required, UnpackedJob, checked_body, open_pack
from disco_rq.packing.signing import TASK_SIGNATURE_BYTES
from disco_rq.store.adoption import AdoptionStore
from disco_rq.store.keptinputs import KeptInputs
from disco_rq.version import PROTOCOL

if TYPE_CHECKING:
    from disco_rq.client.session import Session

__all__ = ["Earlier"]

_SCHEDULER = ("max_cores", "force_local", "force_remote", "speculative")


class Earlier:
    """One job. ``UnknownJob``; ``BadSignature`` for what is not as its client has signed it."""

    def __init__(self, session: Session, name: str) -> None:
        self.name = name
        self._store = AdoptionStore(session.connection)
        found = self._store.pack(name)
        if found is None:
            raise UnknownJob(f"unknown job {name!r}")
        spec, self.pack = found
        self.seal = session.signer().seal(name)
        self._body = checked_body(self.pack, self.seal, spec=spec)
        self.spec = JobSpec.from_dict(msgpack.unpackb(spec))
        if self.spec.protocol != PROTOCOL:
            raise JobError(
                f"job {name} was submitted by another version of disco-rq "
                f"(protocol {self.spec.protocol}, here is {PROTOCOL}): submit it again"
            )

    @cached_property
    def packed_inputs(self) -> dict[int, bytes]:
        """Index of a map -> its input, without the signature, which is right."""
        found = {}
        for index, sealed in self._store.inputs(self.name).items():
            signature, packed = sealed[:TASK_SIGNATURE_BYTES], sealed[TASK_SIGNATURE_BYTES:]
            self.seal.check_input(index, packed, signature)
            found[index] = packed
        return found

    def inputs(self) -> KeptInputs:
        """What its maps read, or its reduces, as it was at its submission."""
        number = self.spec.nr_maps if self.spec.has_map else self.spec.nr_inputs
        packed = self.packed_inputs
        if len(packed) != number or not all(index in packed for index in range(number)):
            raise BadSignature(f"the inputs of {self.name} are not those that its client has signed")
        return KeptInputs([packed[index] for index in range(number)])

    @cached_property
    def unpacked(self) -> UnpackedJob:
        """Its functions. Runs code of the job: only what is signed, where there is a secret."""
        with _kept_out(), tempfile.TemporaryDirectory(prefix="disco-rq-") as directory:
            return open_pack(self._body, self.name, directory=Path(directory) / "required")

    @property
    def functions(self) -> Functions:
        return self.unpacked.functions

    @property
    def required(self) -> Required:
        return self.unpacked.required

    def told(self) -> dict[str, Any]:
        """Its arguments as ``jobspec`` tells them."""
        return dict(self.spec.details.get("arguments") or {})

    def options(self) -> dict[str, Any]:
        """Its arguments that are no functions, as ``new_job`` takes them; not what it requires."""
        spec, told = self.spec, self.told()
        known = ({field.name for field in fields(JobSpec)} & OPTIONS.keys()) - {"pilot"}
        options = {name: getattr(spec, name) for name in known}
        if spec.save is None:
            del options["save"], options["save_format"]
        if not spec.has_reduce and not spec.nr_reduces:
            del options["nr_reduces"]
        options["scheduler"] = {
            name: getattr(spec, name) for name in _SCHEDULER if getattr(spec, name) not in (None, False)
        } | ({} if spec.speculative else {"speculative": False})
        options |= {name: told[name] for name in ("split_size", "files_per_task") if name in told}
        return options

    def given_functions(self) -> dict[str, Any]:
        """Those that it has, by the argument."""
        functions = self.functions
        return {name: getattr(functions, name) for name in FUNCTIONS if getattr(functions, name) is not None}


@contextmanager
def _kept_out() -> Iterator[None]:
    """What unpacking a job does to this process' search paths is undone: it is not here to run."""
    path, libraries = list(sys.path), os.environ.get("LD_LIBRARY_PATH")
    try:
        yield
    finally:
        sys.path[:] = path
        if libraries is None:
            os.environ.pop("LD_LIBRARY_PATH", None)
        else:
            os.environ["LD_LIBRARY_PATH"] = libraries

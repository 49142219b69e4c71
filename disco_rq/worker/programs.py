"""The job that a process runs: its spec and its functions, unpacked once for all its tasks here."""

from __future__ import annotations

from collections.abc import Callable

from disco_rq.attempt.place import Place
from disco_rq.attempt.program import Program
from disco_rq.errors import OtherVersion
from disco_rq.model import JobSpec
from disco_rq.outputs.wire import data_keys, keys_of_job
from disco_rq.packing import Signer, TaskSeal, checked_body, open_pack
from disco_rq.runtime import Overtaken
from disco_rq.store.attempts import AttemptStore
from disco_rq.version import PROTOCOL, __version__

__all__ = ["Programs"]


class Programs:
    """One at a time: the modules and globals of a job stay in the process."""

    def __init__(
        self, store: AttemptStore, place: Place, signer: Signer, forget: Callable[[], None] = lambda: None
    ) -> None:
        """``forget`` is called before anything of a job is loaded that is signed: the secret is not needed
        any more here, and is not for the job.
        """
        self._store = store
        self._place = place
        self._signer = signer
        self._forget = forget
        self._name = ""
        self._program: Program | None = None

    def of(self, job: str) -> Program:
        """The job, unpacked when it is asked for first. ``OtherVersion``; ``Overtaken`` if it is gone;
        ``BadSignature``.
        """
        if self._signer.signs:
            self._place.data.purged.check(job)
        if self._program is None or self._name != job:
            self._program = self._unpacked(job)
            self._name = job
        return self._program

    def spec_of(self, job: str) -> JobSpec | None:
        """The spec of a job that is unpacked here."""
        return self._program.spec if self._program is not None and self._name == job else None

    def _unpacked(self, job: str) -> Program:
        found = self._store.job(job)
        if found is None:
            raise Overtaken  # purged meanwhile
        spec, pack = found
        if spec.protocol != PROTOCOL:
            raise OtherVersion(
                f"{job} is of protocol {spec.protocol}, node {self._place.node} has disco-rq {__version__}, "
                f"protocol {PROTOCOL}: use the same version on both"
            )
        directory, aside = self._place.data.required(job), self._place.scratch.required
        body, seal = self._checked(spec, pack)
        return Program(spec, open_pack(body, job, directory=directory, aside=aside), seal)

    def _checked(self, spec: JobSpec, pack: bytes) -> tuple[bytes, TaskSeal]:
        """What may be loaded. From then on this process has what opens this job, and no other."""
        seal = self._signer.seal(spec.name)
        body = checked_body(pack, seal, spec=spec.pack())
        if self._signer.secret is not None:
            keys = data_keys(self._signer.secret)
            jobs = (spec.name, *spec.details.get("reads", ()))
            self._place.locator.open_only({job: keys_of_job(keys, job) for job in jobs})
            self._signer = self._signer.without_secret()
            self._forget()
        return body, seal.of_tasks()

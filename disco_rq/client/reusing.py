"""``reuse=True``: maps that an earlier job has done with the same code and input are adopted from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from disco_rq.client.codes import code_of
from disco_rq.client.keeping import MIXED, readable_outputs, signed_with, there
from disco_rq.client.submission import Submission
from disco_rq.errors import BadSignature, UnknownJob
from disco_rq.inputs.sameness import CannotTellInput, input_key, is_same_file
from disco_rq.model import JobSpec, MapInput, TaskId
from disco_rq.outputs.addresses import job_of
from disco_rq.outputs.adopted import ADOPTS, runs_of
from disco_rq.packing import JobSeal
from disco_rq.packing.signing import TASK_SIGNATURE_BYTES
from disco_rq.redact import redact
from disco_rq.saving import is_saved
from disco_rq.shuffle.ranges import total_order
from disco_rq.store.adoption import Adoption, AdoptionStore, Kept
from disco_rq.store.attempts import unpack_input

if TYPE_CHECKING:
    from disco_rq.client.session import Session

__all__ = ["REUSE", "Reuse", "explained", "planned_reuse"]

REUSE = "reuse"
"""In the details of a spec: why maps are run -> runs of them."""
MOST_SOURCES = 100
"""So many of the newest jobs with the same code are looked at."""
FRUITLESS = 5
"""And no more once so many, one after the other, had nothing."""
NEW = "no earlier job has done it with this code and input"


class _Wanted(NamedTuple):
    """A map of the new job."""

    number: int
    side: int | None
    entry: MapInput


@dataclass(slots=True)
class Reuse:
    """What a new job adopts of which jobs, and why the rest is run."""

    found: dict[str, list[Kept]] = field(default_factory=dict)
    why: dict[int, str] = field(default_factory=dict)  # index of a map that is run -> why
    ranges: tuple[str, bytes, str] = ("", b"", "")  # of keys: whose, as their tasks have made them, digest

    def note(self) -> str:
        """A line for the job's history: why maps are run; empty if none is."""
        reasons = Counter(self.why.values()).most_common()
        told = [
            f"{number} {'map is' if number == 1 else 'maps are'} run: {why}" for why, number in reasons[:5]
        ]
        return "; ".join([*told, "and more"] if len(reasons) > 5 else told)

    def adoptions(self, submission: Submission) -> list[Adoption]:
        """For the job as it is called now."""
        _, packed, digest = self.ranges
        sealed = submission.seal.of_tasks().seal_ranges(packed) if packed else b""
        return [Adoption(job, tasks, "reused", sealed, digest) for job, tasks in self.found.items()]


def planned_reuse(session: Session, submission: Submission, *, any_number: bool) -> tuple[Submission, Reuse]:
    """The job with what it reuses; with ``any_number`` it gets as many reduces as the newest job that did the
    same.
    """
    reuse = Reuse()
    wanted = _wanted(submission, reuse)
    digests = {code_of(submission.spec, one.side) for ones in wanted.values() for one in ones}
    fruitless = 0
    for name in AdoptionStore(session.connection).doing(digests, MOST_SOURCES):
        if not wanted or fruitless == FRUITLESS:
            break
        source = _Source.of(session, name)
        if source is None or source.spec.has_reduce != submission.spec.has_reduce:
            continue
        if source.spec.nr_partitions != submission.spec.nr_partitions:
            if not any_number or not source.spec.nr_reduces:
                continue
            submission = _with_reduces(submission, source.spec.nr_reduces)
        any_number = False
        if submission.functions.partition is total_order and not _fits_ranges(session, source, reuse):
            continue
        taken = {kept.address for found in reuse.found.values() for kept in found}
        tasks = source.tasks_for(submission, wanted, taken)
        fruitless = 0 if tasks else fruitless + 1
        if tasks:
            reuse.found[name] = tasks
    reuse.why |= {one.number: NEW for ones in wanted.values() for one in ones}
    told = {
        why: [list(run) for run in runs_of((one, one) for one in sorted(reuse.why) if reuse.why[one] == why)]
        for why, _ in Counter(reuse.why.values()).most_common()
    }
    tasks = [kept for found in reuse.found.values() for kept in found]
    signed = signed_with(submission, sorted(tasks))
    return signed.signed_again(signed.spec, **{REUSE: told}), reuse


def _wanted(submission: Submission, reuse: Reuse) -> dict[tuple[str, bytes], list[_Wanted]]:
    """The maps that may be adopted, by code and input."""
    wanted: dict[tuple[str, bytes], list[_Wanted]] = {}
    pilot = submission.spec.details.get("pilot") or {"maps": ()}
    of_pilot = {entry[0] for entry in pilot["maps"]}
    for index, entry in enumerate(submission.inputs if submission.spec.has_map else ()):
        code = submission.codes["" if entry.side is None else str(entry.side)]
        try:
            if code.why or (submission.spec.save and not submission.spec.has_reduce):
                why = code.why or "its result is saved by the job itself"
            elif index in of_pilot:
                why = "it is of the job's pilot"
            else:
                key = input_key(entry)
                if code.has_index:
                    key += msgpack.packb(index)
                wanted.setdefault((code.digest, key), []).append(_Wanted(index, entry.side, entry))
                continue
        except CannotTellInput as error:
            why = str(error)
        reuse.why[index] = why
    return wanted


def _with_reduces(submission: Submission, nr_reduces: int) -> Submission:
    spec = replace(submission.spec, nr_reduces=nr_reduces)
    arguments = {**spec.details["arguments"], "nr_reduces": nr_reduces}
    return submission.signed_again(spec, arguments=arguments)


def _fits_ranges(session: Session, source: _Source, reuse: Reuse) -> bool:
    """Whether the outputs of the source go by the ranges of the new job: those of its first source."""
    sealed, digest = AdoptionStore(session.connection).ranges(source.name)
    if source.spec.nr_partitions > 1:
        if sealed is None:
            return False
        if not reuse.ranges[0]:
            reuse.ranges = source.name, source.seal.of_tasks().opened_ranges(sealed), digest
        return digest == reuse.ranges[2]
    return True


class _Source:
    """A job whose maps do the same."""

    def __init__(self, session: Session, spec: JobSpec, seal: JobSeal) -> None:
        self._session = session
        self.name, self.spec, self.seal = spec.name, spec, seal

    @classmethod
    def of(cls, session: Session, name: str) -> _Source | None:
        """None for one that is gone, or not as its client has signed it."""
        try:
            spec = session.signed_spec(name)
        except (BadSignature, UnknownJob):
            return None
        return cls(session, spec, session.signer().seal(name)) if spec.name == name else None

    def tasks_for(
        self, submission: Submission, wanted: dict[tuple[str, bytes], list[_Wanted]], taken: set[str]
    ) -> list[Kept]:
        """Its outputs that are wanted, which are wanted no more then. Not those that are ``taken``: two jobs
        may have one output, and it stands for one map. Nor those that it has saved: they are its own.
        """
        try:
            outputs = readable_outputs(self._session, self.spec)
            maps = list(self._maps(outputs))
        except BadSignature:
            return []
        has_index = {code.digest: code.has_index for code in submission.codes.values()}
        tasks = []
        for task, entry in maps:
            if outputs[task] in taken or is_saved(outputs[task]):
                continue
            digest = code_of(self.spec, entry.side)
            try:
                key = input_key(entry) + (msgpack.packb(task.index) if has_index.get(digest) else b"")
            except CannotTellInput:
                continue
            ones = wanted.get((digest, key), [])
            same = next((one for one in ones if is_same_file(one.entry, entry)), None)
            if same is None:
                continue
            ones.remove(same)
            if not ones:
                del wanted[digest, key]
            tasks.append(Kept(TaskId("map", same.number), task, outputs[task]))
        if submission.spec.has_reduce:
            return sorted(tasks)
        found = list(there(self._session, tasks, submission.spec))
        return sorted(found)

    def _maps(self, outputs: dict[TaskId, str]) -> Iterator[tuple[TaskId, MapInput]]:
        """Those that are done, with what they have read. ``BadSignature``."""
        inputs = AdoptionStore(self._session.connection).inputs(self.name)
        for task, address in outputs.items():
            # What a retry has kept may be of other code, or of another input.
            if task.phase != "map" or (self.spec.details.get(MIXED) and job_of(address) != self.name):
                continue
            if (sealed := inputs.get(task.index)) is not None:
                packed = sealed[TASK_SIGNATURE_BYTES:]
                self.seal.check_input(task.index, packed, sealed[:TASK_SIGNATURE_BYTES])
                yield task, unpack_input(sealed)


def explained(session: Session, name: str) -> Iterator[tuple[str, str, str]]:
    """Each map of a job with ``reuse``, what it reads, and why it is run, or of which job it is."""
    spec = session.store.spec(name)
    adopted = {
        first + i: job
        for job, runs in (spec.details.get(ADOPTS) or {}).items()
        for first, _, length in runs.get("map", ())
        for i in range(length)
    }
    why = {
        first + i: reason
        for reason, runs in (spec.details.get(REUSE) or {}).items()
        for first, _, length in runs
        for i in range(length)
    }
    for number, entry in enumerate(session.store.inputs(name, spec.nr_maps)):
        reason = f"reused of {adopted[number]}" if number in adopted else f"run: {why.get(number, NEW)}"
        yield str(TaskId("map", number)), " ".join(map(redact, entry.first_urls())), reason

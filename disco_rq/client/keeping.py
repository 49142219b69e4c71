"""Which committed tasks of an earlier job fit a new one, and what it takes to adopt them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from disco_rq.client.earlier import Earlier
from disco_rq.client.identity import same_code
from disco_rq.client.results import count_partitions
from disco_rq.client.submission import Submission
from disco_rq.errors import BadSignature, DataError, JobArgumentError
from disco_rq.external import ExternalProgram
from disco_rq.func import object_reader
from disco_rq.model import PHASES, Functions, JobSpec, Phase, TaskId
from disco_rq.outputs.addresses import made_at, preferred_node
from disco_rq.outputs.adopted import ADOPTS, Adopted, runs_of
from disco_rq.redact import redact
from disco_rq.saving import copy_part, is_part_of, is_saved
from disco_rq.shuffle.ranges import total_order
from disco_rq.store.adoption import Adoption, AdoptionStore, Kept
from disco_rq.store.keptinputs import packed_inputs
from disco_rq.store.nodes import live_slots

if TYPE_CHECKING:
    from disco_rq.client.session import Session

__all__ = [
    "MIXED",
    "adoption_of",
    "fitting_tasks",
    "keeps_partitions",
    "readable_outputs",
    "signed_with",
    "there",
]

MIXED = "mixed"
"""In the details of a spec: what it has adopted may be of other code, or of another input."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What two jobs differ in, as far as committed tasks of the one are of no use to the other."""

    maps: str = ""  # the argument; empty: nothing
    results: str = ""  # of the last phase
    cannot_keep: str = ""  # an answer would be wrong, whoever asks for it


def _change(old: JobSpec, new: JobSpec, before: Functions | None, now: Functions | None) -> _Change:
    """``before`` and ``now``: the functions; None, both: they are the same."""
    maps, results, cannot = [], [], ""
    if old.nr_partitions != new.nr_partitions:
        maps.append("nr_reduces")
        cannot = (
            f"nr_reduces={new.nr_reduces}: outputs of maps that are done have {old.nr_partitions} partitions"
        )
    maps += [name for name in ("sort", "sort_values") if getattr(old, name) != getattr(new, name)]
    results += [name for name in ("save", "save_format") if getattr(old, name) != getattr(new, name)]
    if before is not None and now is not None:
        maps += [name for name in ("partition", "map_writer") if not _same(name, before, now)]
        results += [name for name in ("reduce_writer", "save_by") if not _same(name, before, now)]
        if (before.map is None) != (now.map is None) or _is_program(before) != _is_program(now):
            maps.append("map")
        if (before.reduce is None) != (now.reduce is None):
            maps.append("reduce")
            if now.reduce is None and new.sort:
                cannot = "reduce=None: outputs of maps that are done were for a reduce to sort"
            results += ["save"] if new.save else []  # of what is a result now nothing was saved
            if old.save and not old.has_reduce:
                cannot = "reduce: outputs of maps that are done are saved results, which no reduce reads"
        if _mixes_partitions(new, before, now) and not _tells_keys(now):
            cannot = "partition: no reduce sees the keys of maps that are done, to ask about them again"
        if (before.partition is total_order) != (now.partition is total_order):
            cannot = "partition=func.total_order: its ranges are those of all maps, or of none"
    return _Change(", ".join(maps), ", ".join(results), cannot)


def _same(name: str, before: Functions, now: Functions) -> bool:
    return same_code(getattr(before, name), getattr(now, name))


def _mixes_partitions(spec: JobSpec, before: Functions, now: Functions) -> bool:
    """Whether maps that are kept may have given a key to another partition than those that run."""
    return spec.has_map and spec.nr_partitions > 1 and not _same("partition", before, now)


def _tells_keys(functions: Functions) -> bool:
    """Whether its reduces see the keys that the partition function of the maps was asked about."""
    return functions.reduce is not None and functions.reduce_reader in (None, object_reader)


def keeps_partitions(earlier: Earlier, spec: JobSpec, functions: Functions | None) -> bool:
    """Whether the reduces of a job that has kept tasks are to ask its partition function about every key.

    ``functions``: see ``fitting_tasks``.
    """
    mixes = functions is not None and _mixes_partitions(spec, earlier.functions, functions)
    return mixes or earlier.spec.keeps_partitions


def _is_program(functions: Functions) -> bool:
    return isinstance(functions.map, ExternalProgram)


def fitting_tasks(
    session: Session, earlier: Earlier, submission: Submission, functions: Functions | None, *, keep: bool
) -> list[Kept]:
    """The committed tasks of the earlier job that count as they are in the new one, maps first.

    ``functions``: of the new job; None: those of the earlier one. ``keep``: also those that the changes make
    unfit. ``JobArgumentError`` where that would give a wrong answer.
    """
    old, new = earlier.spec, submission.spec
    change = _change(old, new, None if functions is None else earlier.functions, functions)
    found = readable_outputs(session, earlier.spec)
    if keep and change.cannot_keep and found:
        raise JobArgumentError(f"keep=True: {change.cannot_keep}; without it they are run again")
    is_same = partial(_is_same_input, earlier.packed_inputs, packed_inputs(submission.inputs))
    maps_fit = (keep or not change.maps) and (new.has_reduce or not change.results)
    maps = [
        Kept(task, task, address)
        for task, address in _of_phase("map", found)
        if maps_fit and task.index < new.nr_maps and (keep or is_same(task.index))
    ]
    if not new.has_reduce:
        return list(there(session, maps, new))
    inputs_fit = new.has_map or all(map(is_same, range(max(new.nr_inputs, old.nr_inputs))))
    is_kept = keep or (inputs_fit and not change.maps)
    # A reduce also sees whether another partition function answers as the one of the maps did.
    is_seen = functions is not None and _mixes_partitions(new, earlier.functions, functions)
    reduces_fit = len(maps) == new.nr_maps and is_kept and not change.results and not is_seen
    reduces = [
        Kept(task, task, address)
        for task, address in _of_phase("reduce", found)
        if reduces_fit and old.nr_reduces == new.nr_reduces
    ]
    return [*maps, *there(session, reduces, new)]


def _of_phase(phase: Phase, outputs: Mapping[TaskId, str]) -> list[tuple[TaskId, str]]:
    """In order; sorted by numbers, which is much faster than by tasks."""
    found = [(task, address) for task, address in outputs.items() if task.phase == phase]
    return sorted(found, key=lambda output: output[0].index)


def _is_same_input(packed: Mapping[int, bytes], inputs: Sequence[bytes], index: int) -> bool:
    return index < len(inputs) and packed.get(index) == inputs[index]


def readable_outputs(session: Session, spec: JobSpec) -> dict[TaskId, str]:
    """The outputs of a job, on nodes that are there. ``BadSignature`` for one that is not its own, as its
    client has signed it.
    """
    adopted = Adopted(spec)
    alive = live_slots(session.connection)
    found = {}
    for task, address in AdoptionStore(session.connection).committed(spec.name).items():
        is_on_node = adopted.task_at(address) == task
        if not is_on_node and not (is_saved(address) and is_part_of(spec, task, address)):
            raise BadSignature(f"{redact(address)} is not an output of {task} of {spec.name}")
        if not is_on_node or preferred_node(address) in alive:
            found[task] = address
    return found


def there(session: Session, results: Sequence[Kept], spec: JobSpec) -> Iterator[Kept]:
    """Results that are there: nothing makes them again. Those that were split by name are made again."""
    for kept in results:
        if is_saved(kept.address):
            if not spec.has_save_by:
                yield kept
        elif (path := session.locator.path(kept.address)) is not None:
            if path.exists():
                yield kept
        elif kept.task.phase == "map":
            yield kept
        else:
            try:
                count_partitions(session.locator, kept.address)
                yield kept
            except DataError:
                continue


def signed_with(submission: Submission, tasks: list[Kept]) -> Submission:
    """The same job, which may read what it adopts."""
    pairs: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for kept in tasks:
        if (made := made_at(kept.address)) is not None:
            owner, theirs = made
            pairs.setdefault(owner, {}).setdefault(theirs.phase, []).append((kept.task.index, theirs.index))
    adopts = {
        owner: {phase: [list(run) for run in runs_of(found[phase])] for phase in PHASES if phase in found}
        for owner, found in pairs.items()
    }
    reads = sorted({*submission.spec.details["reads"], *adopts})
    return submission.signed_again(submission.spec, **{ADOPTS: adopts, "reads": reads})


def adoption_of(
    session: Session, earlier: Earlier, submission: Submission, tasks: list[Kept], told: str
) -> Adoption:
    """What the new job adopts, as it is called now: with copies of saved results and a seal of its own."""
    spec = submission.spec
    own = [
        kept._replace(copy=copy_part(kept.address, spec, kept.task)) if is_saved(kept.address) else kept
        for kept in tasks
    ]
    sealed, digest = AdoptionStore(session.connection).ranges(earlier.name) if tasks else (None, "")
    ranges = b""
    if sealed is not None and digest:
        ranges = submission.seal.of_tasks().seal_ranges(earlier.seal.of_tasks().opened_ranges(sealed))
    return Adoption(earlier.name, own, "kept", ranges, digest if ranges else "", told)

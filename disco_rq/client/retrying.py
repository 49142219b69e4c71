"""A job that died goes on as a new one, with what was committed: ``Job.retry``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

from disco_rq.client.arguments import JobChanges, as_plain_data
from disco_rq.client.codes import CODE
from disco_rq.client.earlier import Earlier
from disco_rq.client.functions import FUNCTIONS, looked_at
from disco_rq.client.identity import same_code
from disco_rq.client.keeping import MIXED, adoption_of, fitting_tasks, keeps_partitions, signed_with
from disco_rq.client.options import OPTIONS, checked, with_near_miss
from disco_rq.client.partitioned import check_alike
from disco_rq.client.results import count_partitions
from disco_rq.client.submission import (
    ARGUMENTS,
    Submission,
    assembled,
    build,
    default_reduces,
    unique_name,
)
from disco_rq.errors import JobArgumentError, JobError
from disco_rq.model import JOB_PREFIX, KEEPS_PARTITIONS, Functions, MapInput, shown
from disco_rq.packing import Required, gather
from disco_rq.planning.sample import sample_bits, without
from disco_rq.readers import check_packages
from disco_rq.saving import discard, publish
from disco_rq.store.adoption import Adoption, Kept

if TYPE_CHECKING:
    from disco_rq.client.session import HasSession, Session

__all__ = ["retry"]

_REQUIRED = ("required_modules", "required_files")
_OF_CODE = {*FUNCTIONS, "params", "ext_params", *_REQUIRED}
_OF_PLAN = {
    "input",
    "nr_reduces",
    "split_size",
    "files_per_task",
    "sort",
    "sort_values",
    "save",
    "save_format",
}
"""With one of these changed the job is put together again; else its functions stay as they are packed."""


class _Job(Protocol):
    """A ``Job``."""

    name: str
    _disco: HasSession

    def __init__(self, disco: HasSession, name: str) -> None: ...


J = TypeVar("J", bound=_Job)


def retry(self: J, keep: bool = False, **changes: Unpack[JobChanges]) -> J:
    """Go on with a dead job as a new one, which is returned: what was committed is kept, the rest is run.

    ``changes``: arguments of ``new_job`` that are others now. With other code committed tasks are kept;
    maps whose input, partitions, sort or format of the output is another run again, unless ``keep``. What is
    gone of the outputs is made again, so the old job may be purged. Raises ``JobError`` for a job that is not
    dead, ``UnknownJob``, and what ``new_job`` does.
    """
    new = _retried(self._disco.session, self.name, keep=keep, changes=changes)
    return type(self)(self._disco, new)


def _retried(session: Session, name: str, *, keep: bool, changes: Mapping[str, Any]) -> str:
    """Submit a job that goes on with what the dead one has committed. Its whole name.

    ``changes``: arguments of ``new_job``. Raises what that raises; ``JobError`` for a job that is not dead.
    """
    status = session.store.record(name).status
    if status != "dead":
        hint = "kill it first" if status == "active" else "there is nothing left to do"
        raise JobError(f"job {name} is {status}, and only a dead job is tried again: {hint}")
    unknown = sorted(set(changes) - set(ARGUMENTS))
    if unknown:
        misses = ", ".join(with_near_miss(one, ARGUMENTS) for one in unknown)
        raise JobArgumentError(f"retry() has no argument {misses}; it takes keep, {', '.join(ARGUMENTS)}")
    if changes.get("pilot"):
        raise JobArgumentError("pilot: what is done of this job tells as much")
    earlier = Earlier(session, name)
    if changes.keys() & (_OF_CODE | _OF_PLAN):
        submission = _put_together(session, earlier, changes)
        functions: Functions | None = submission.functions
    else:
        submission, functions = _as_it_was(session, earlier, changes), None
    tasks = fitting_tasks(session, earlier, submission, functions, keep=keep)
    submission = _not_checked(signed_with(submission, tasks), tasks)
    if tasks and (keep or submission.spec.details.get(CODE) != earlier.spec.details.get(CODE)):
        submission = submission.signed_again(submission.spec, **{MIXED: True})
    if tasks and keeps_partitions(earlier, submission.spec, functions):
        submission = submission.signed_again(submission.spec, **{KEEPS_PARTITIONS: True})
    stored: list[Adoption] = []

    def adopted(now: Submission) -> list[Adoption]:
        stored[:] = [adoption_of(session, earlier, now, tasks, f"The job goes on as {now.spec.name}")]
        return stored

    new = session.store_job(submission, adopted)
    settled = discard if new.is_shared else publish  # a unique job that was there has adopted nothing
    for kept in stored[0].tasks:
        if kept.copy:
            settled(kept.copy)
    return new.name


def _as_it_was(session: Session, earlier: Earlier, changes: Mapping[str, Any]) -> Submission:
    """The functions stay packed as they are: they need not be loaded here."""
    options = {option: checked(option, changes[option]) for option in OPTIONS if option in changes}
    options |= options.pop("scheduler", {})
    if options.get("max_bad") and not earlier.spec.has_map:
        raise JobArgumentError(f"max_bad={options['max_bad']!r}: this job has no map, which it would be for")
    if options.get("check") and not earlier.spec.has_map:
        raise JobArgumentError(f"check={options['check']!r}: this job has no map, which it would be for")
    spec = replace(earlier.spec, name=_new_name(earlier, changes), **{"pilot": 0, **options})
    told = {name: as_plain_data(name, value) for name, value in changes.items()}
    arguments = {**earlier.told(), **told, "name": spec.name}
    inputs = earlier.inputs()
    as_it_was = Submission(spec, earlier.pack, inputs, Functions(), session.signer(), frozenset())
    check = sample_bits(spec.nr_maps, spec.check)
    return as_it_was.signed_again(spec, arguments=arguments, pilot=None, check=check)


def _not_checked(submission: Submission, tasks: Sequence[Kept]) -> Submission:
    """What is kept may be of other code: it is not run again to see whether it gives the same."""
    spec = submission.spec
    kept = [kept.task.index for kept in tasks if kept.task.phase == "map"]
    if not spec.checked.intersection(kept):
        return submission
    return submission.signed_again(spec, check=without(spec.details["check"], kept))


def _new_name(earlier: Earlier, changes: Mapping[str, Any]) -> str:
    name = changes.get("name", earlier.name.partition("@")[0])
    if not isinstance(name, str) or not JOB_PREFIX.fullmatch(name):
        raise JobArgumentError(
            f"name={shown(name)}: a job's name takes 1 to 100 letters, digits, _ and -, no - first"
        )
    return unique_name(name)


def _put_together(session: Session, earlier: Earlier, changes: Mapping[str, Any]) -> Submission:
    """The job with the changes, its functions packed again."""
    arguments = {**_earlier_arguments(earlier, changes), **changes}
    name = arguments.pop("name", earlier.name.partition("@")[0])
    signer = session.signer()
    if "input" in arguments:
        given = arguments.pop("input")

        def partitions_of(address: str) -> int:
            return count_partitions(session.locator, address)

        submission = build(
            name, given, arguments, signer, partitions_of, required=_required(earlier, changes)
        )
        check_alike(submission.spec, submission.functions, session.partitioned)
    else:
        functions, inputs = _functions(earlier, arguments, changes), earlier.inputs()

        _check_cut(earlier, functions, inputs, changes)

        def planned(options: dict[str, Any]) -> tuple[Any, int]:
            for one in ("split_size", "files_per_task"):
                options.pop(one, None)
            nr_reduces = options.pop("nr_reduces", None)
            if functions.reduce and nr_reduces == 0:
                raise JobArgumentError("nr_reduces=0: a job with a reduce needs at least one")
            if nr_reduces is None:
                nr_reduces = default_reduces(len(inputs)) if functions.reduce else 0
            return inputs, nr_reduces

        required = _required(earlier, changes)
        submission = assembled(name, functions, planned, [], arguments, signer, required)
    spec, before = submission.spec, earlier.spec
    unchanged = {
        one: told
        for one, told in earlier.told().items()
        if one not in changes and one != "name" and getattr(spec, one, None) == getattr(before, one, None)
    }
    return submission.signed_again(spec, arguments={**spec.details["arguments"], **unchanged})


def _earlier_arguments(earlier: Earlier, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is not changed, of what the job was submitted with."""
    arguments = earlier.options()
    if not set(FUNCTIONS) <= changes.keys():
        arguments |= earlier.given_functions()
    if "params" not in changes and (params := earlier.unpacked.params()) is not None:
        arguments["params"] = params
    return arguments


def _functions(earlier: Earlier, arguments: Mapping[str, Any], changes: Mapping[str, Any]) -> Functions:
    functions = looked_at(arguments)
    check_packages(functions.map_reader)
    sides = earlier.functions.sides
    if sides and ("map" in changes or "map_reader" in changes):
        raise JobArgumentError("map: the inputs of this job have maps of their own: give input=[…] with them")
    if (functions.map is None) == earlier.spec.has_map:
        raise JobArgumentError("map: a job with another kind of input takes input=[…], too")
    return replace(functions, sides=sides)


def _check_cut(
    earlier: Earlier, functions: Functions, inputs: Sequence[MapInput], changes: Mapping[str, Any]
) -> None:
    """Refuse what asks for inputs that are cut otherwise: they stay as they were at the first submit."""
    told = earlier.told()
    for name in ("split_size", "files_per_task"):
        if name in changes and as_plain_data(name, changes[name]) != told.get(name):
            raise JobArgumentError(
                f"{name}={changes[name]!r}: the input stays as it was cut; give input=[…] to cut it again"
            )
    nr_reduces = changes.get("nr_reduces")
    if not earlier.spec.has_map and nr_reduces not in (None, earlier.spec.nr_reduces):
        raise JobArgumentError(
            f"nr_reduces={nr_reduces}: a job with a reduce only has one for each partition of its inputs: "
            f"{earlier.spec.nr_reduces}"
        )
    before, now = earlier.functions.map_reader, functions.map_reader
    if same_code(before, now) or (_is_of_lines(before) and _is_of_lines(now)):
        return
    if any(part[0].start or part[0].length is not None for entry in inputs for part in entry.parts):
        raise JobArgumentError(
            "map_reader: the files were cut for the earlier one, and pieces mean nothing to another; give "
            "input=[…], too"
        )


def _is_of_lines(reader: Any) -> bool:
    """Whether it reads pieces that are cut where lines end."""
    return reader is None or bool(getattr(reader, "line_based", False))


def _required(earlier: Earlier, changes: Mapping[str, Any]) -> Required:
    if not changes.keys() & set(_REQUIRED):
        return earlier.required
    modules, files = (changes.get(name, ()) for name in _REQUIRED)
    return gather(modules, files)

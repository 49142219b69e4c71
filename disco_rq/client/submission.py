"""From the arguments of ``new_job`` to a job: checked, its inputs planned, its functions packed, before
anything is queued.
"""

from __future__ import annotations

import getpass
import random
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from disco_rq.client.arguments import as_plain_data
from disco_rq.client.codes import CODE, Code, codes_of
from disco_rq.client.functions import FUNCTIONS
from disco_rq.client.options import OPTIONS, checked, with_near_miss
from disco_rq.client.partitioned import PARTITIONED, partitioned_by
from disco_rq.client.piloting import pilot_details
from disco_rq.client.sides import Share, shared_out
from disco_rq.client.sourcetext import source_texts
from disco_rq.client.uniqueness import Content, digest_of
from disco_rq.errors import DataError, JobArgumentError
from disco_rq.inputs.given import listed
from disco_rq.inputs.merging import PartitionsOf, plan_merge
from disco_rq.inputs.ownreaders import has_own_reader
from disco_rq.inputs.plan import Planned, plan_inputs, size_of
from disco_rq.inputs.rediskeys import KeysAt
from disco_rq.machine.tracing import carried
from disco_rq.model import JOB_PREFIX, Functions, JobSpec, shown
from disco_rq.outputs.addresses import job_of, preferred_node
from disco_rq.packing import JobSeal, Required, Signer, gather, pack_functions, sign_for
from disco_rq.params import Params
from disco_rq.planning.labels import needs_by_phase
from disco_rq.planning.owners import as_owner
from disco_rq.planning.sample import sample_bits
from disco_rq.readers import borders_of, check_packages, packages_of
from disco_rq.saving import check_target
from disco_rq.shuffle.ranges import total_order
from disco_rq.store.keptinputs import KeptInputs

MAX_DEFAULT_REDUCES = 100
SMALL_BYTES = 64 << 10
SMALL_TASKS = 16
"""A job that reads no more, in no more tasks, is mostly done before other processes have heard of it."""
_DEFAULTS: dict[str, Any] = {  # of what is no field of JobSpec, or no plain one
    "needs": {},
    "params": Params(),
    "split_size": 64 << 20,
    "files_per_task": 1,
    "scheduler": {},
    "required_modules": (),
    "required_files": (),
}
ARGUMENTS = ("name", "input", *FUNCTIONS, "params", "ext_params", *OPTIONS)
"""Every argument of ``new_job``."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that is ready to be stored."""

    spec: JobSpec
    pack: bytes
    inputs: Planned | KeptInputs
    functions: Functions
    signer: Signer
    modules: frozenset[str]
    """Of installed packages, without which no node can unpack it."""
    codes: Mapping[str, Code] = field(default_factory=dict)
    """What its maps do, by side of the inputs."""

    @property
    def seal(self) -> JobSeal:
        """The signatures of this job."""
        return self.signer.seal(self.spec.name)

    def notes(self) -> list[str]:
        """Lines for the job's history: what was done otherwise than the caller may think."""
        spec, notes = self.spec, [self.inputs.note()]
        if (spec.force_local or spec.force_remote) and not spec.details["on_nodes"]:
            asked = "force_local" if spec.force_local else "force_remote"
            notes.append(f"{asked} has no effect: no map has an input that is on a node, disco://NODE/…")
        return [note for note in notes if note]

    def renamed(self) -> Submission:
        """The same job under another name: nothing else is made again but the signature, which has it."""
        name = unique_name(self.spec.name.partition("@")[0])
        arguments = {**self.spec.details["arguments"], "name": name}
        return self.signed_again(replace(self.spec, name=name), arguments=arguments)

    def signed_again(self, spec: JobSpec, **details: Any) -> Submission:
        """The same functions and inputs with another spec, in which these details are others."""
        spec = replace(spec, details={**spec.details, **details})
        pack = sign_for(self.pack, self.signer.seal(spec.name), spec=spec.pack())
        return replace(self, spec=spec, pack=pack)


def jobs_read(inputs: Planned | KeptInputs) -> list[str]:
    """The jobs whose outputs are among the inputs: what its tasks may open on other nodes."""
    found = {job_of(url) for entry in inputs for url in entry.urls()}
    return sorted(job for job in found if job is not None)


def no_results(address: str) -> int:
    """The ``partitions_of`` of who has no cluster that keeps results. Raises ``DataError``."""
    raise DataError("results of a cluster's jobs cannot be read here", address)


def build(
    name: Any,
    input: Any,
    arguments: Mapping[str, Any],
    signer: Signer | None,
    partitions_of: PartitionsOf = no_results,
    keys_at: KeysAt | None = None,
    *,
    required: Required | None = None,
) -> Submission:
    """Check every argument and pack the job. Raises ``JobArgumentError`` naming what is wrong.

    ``partitions_of`` is asked about the results of other jobs that a job with a reduce only merges,
    ``keys_at`` about lists and streams of Redis. ``required``: see ``assembled``.
    """
    _check_names(name, arguments)
    given = listed(input)
    functions, shares = shared_out(given, arguments)
    _check_readers([functions.of_side(share.side).map_reader for share in shares], shares)

    def planned(options: dict[str, Any]) -> tuple[Planned, int]:
        return _planned(functions, shares, options, partitions_of, keys_at)

    return assembled(name, functions, planned, given, arguments, signer or Signer(), required)


def assembled(
    name: str,
    functions: Functions,
    planned: Callable[[dict[str, Any]], tuple[Planned | KeptInputs, int]],
    given: Any,
    arguments: Mapping[str, Any],
    signer: Signer,
    required: Required | None = None,
) -> Submission:
    """The job of these functions. ``planned`` takes of the options what says which inputs, and how many
    reduces. ``given``: the input as people are told it. ``required``: instead of what the arguments say.
    """
    options = {option: checked(option, arguments[option]) for option in OPTIONS if option in arguments}
    if options.get("sort_values") or functions.partition is total_order:
        options["sort"] = True
    _check_together(functions, options)
    scheduler = options.pop("scheduler", {})
    inputs, nr_reduces = planned(options)
    has_map = functions.map is not None
    needed = [options.pop(f"required_{what}", ()) for what in ("modules", "files")]
    required = gather(*needed) if required is None else required
    on_nodes = has_map and any(preferred_node(url) for entry in inputs for url in entry.urls())
    options.setdefault("owner", _user())
    options["needs"] = needs_by_phase(options.get("needs", {}))
    options.update(_saving(functions, options.pop("save", None), options.pop("save_format", None)))
    params = arguments.get("params", _DEFAULTS["params"])
    spec = JobSpec(
        name=unique_name(name),
        nr_maps=len(inputs) if has_map else 0,
        nr_inputs=0 if has_map else len(inputs),
        nr_reduces=nr_reduces,
        has_map=has_map,
        has_reduce=functions.reduce is not None,
        details={"on_nodes": on_nodes, **_details(functions, params, inputs, nr_reduces, options)},
        **options,
        **scheduler,
    )
    spec = replace(spec, details={**spec.details, "arguments": _plain_arguments(spec, given, arguments)})
    if spec.unique:
        told = digest_of(spec, Content(functions, params, required, inputs))
        spec = replace(spec, details={**spec.details, "unique": told})
    codes = codes_of(functions, params, spec, required)
    digests = {side: code.digest for side, code in codes.items() if code.digest}
    spec = replace(spec, details={**spec.details, CODE: digests})
    pack = pack_functions(functions, params, signer.seal(spec.name), spec=spec.pack(), required=required)
    readers = [side.map_reader for side in functions.sides] or [functions.map_reader]
    modules = pack.modules.union(*map(packages_of, readers))
    return Submission(spec, pack.data, inputs, functions, signer, modules, codes)


def _check_together(functions: Functions, options: Mapping[str, Any]) -> None:
    """Refuse options that do not fit the functions."""
    if options.get("max_bad") and functions.map is None:
        raise JobArgumentError(f"max_bad={options['max_bad']!r}: this job has no map, which it would be for")
    if options.get("pilot") and functions.map is None:
        raise JobArgumentError(f"pilot={options['pilot']!r}: this job has no map, which it would be for")
    if options.get("check") and functions.map is None:
        raise JobArgumentError(f"check={options['check']!r}: this job has no map, which it would be for")
    name = getattr(functions.reduce, "needs_sort", None)
    if name and not options.get("sort"):
        raise JobArgumentError(f"reduce={name}(…): give it sort_values=True, or sort=True")


def _check_readers(readers: list[Any], shares: list[Share]) -> None:
    """Refuse a reader that lacks a package, or would read nothing, since its inputs are no files."""
    for reader in readers:
        check_packages(reader)
    of_files = [
        reader
        for reader, share in zip(readers, shares, strict=True)
        if not share.entries or not all(map(has_own_reader, share.entries))
    ]
    for reader in readers:
        if reader is not None and not any(reader is other for other in of_files):
            raise JobArgumentError(
                f"map_reader={reader}: none of its inputs is a file; of records_input, and of lists and "
                "streams of Redis, a map gets the elements as they are"
            )


def _check_names(name: Any, arguments: Mapping[str, Any]) -> None:
    if not isinstance(name, str) or not JOB_PREFIX.fullmatch(name):
        raise JobArgumentError(
            f"name={shown(name)}: a job's name takes 1 to 100 letters, digits, _ and -, no - first"
        )
    unknown = sorted(set(arguments) - set(ARGUMENTS))
    if unknown:
        misses = ", ".join(with_near_miss(name, ARGUMENTS) for name in unknown)
        raise JobArgumentError(f"new_job() has no argument {misses}; it takes {', '.join(ARGUMENTS)}")


def _planned(
    functions: Functions,
    shares: list[Share],
    options: dict[str, Any],
    partitions_of: PartitionsOf,
    keys_at: KeysAt | None,
) -> tuple[Planned, int]:
    """What the maps read, or the reduces of a job without a map, and the number of reduces (of a map-only
    job: of partitions). Takes the options that say it.
    """
    nr_reduces = options.pop("nr_reduces", None)
    if functions.reduce and nr_reduces == 0:
        raise JobArgumentError("nr_reduces=0: a job with a reduce needs at least one")
    split_size = options.pop("split_size", _DEFAULTS["split_size"])
    files_per_task = options.pop("files_per_task", _DEFAULTS["files_per_task"])
    if functions.map is None:
        return plan_merge(shares[0].entries, nr_reduces, partitions_of)
    maps = Planned()
    for share in shares:
        reader = functions.of_side(share.side).map_reader
        planned = plan_inputs(
            share.entries,
            line_based=reader is None or getattr(reader, "line_based", False),
            split_size=split_size,
            files_per_task=files_per_task,
            borders=borders_of(reader),
            keys_at=keys_at,
        )
        maps += planned if share.side is None else [replace(one, side=share.side) for one in planned]
        maps.left_out += planned.left_out
    if functions.partition is total_order and not functions.reduce and not nr_reduces:
        raise JobArgumentError(
            "partition=func.total_order: without a reduce it takes nr_reduces, its partitions"
        )
    if nr_reduces is None:
        nr_reduces = default_reduces(len(maps)) if functions.reduce else 0
    return maps, nr_reduces


def default_reduces(nr_maps: int) -> int:
    """How many reduces a job of so many maps has by itself."""
    return min(max(nr_maps // 2, 1), MAX_DEFAULT_REDUCES)


def _details(
    functions: Functions,
    params: Any,
    inputs: Planned | KeptInputs,
    nr_reduces: int,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    pilot = pilot_details(inputs, options.get("pilot", 0))
    check = sample_bits(len(inputs) if functions.map is not None else 0, options.get("check", 0))
    is_small = not (pilot or check) and _is_small(functions, inputs, nr_reduces)
    told = {"reads": jobs_read(inputs), "is_small": is_small, "source": source_texts(functions)}
    if nr_reduces > 1:
        told[PARTITIONED] = partitioned_by(functions, params)
    return {**carried(), **told, "check": check, **pilot}


def _is_small(functions: Functions, inputs: Planned | KeptInputs, nr_reduces: int) -> bool:
    """Whether it has maps and reduces, of which each is small: what is not known may be large."""
    if functions.map is None or functions.reduce is None or len(inputs) + nr_reduces > SMALL_TASKS:
        return False
    sizes = [size_of(part[0]) for entry in inputs for part in entry.parts]
    return None not in sizes and sum(filter(None, sizes)) <= SMALL_BYTES


def unique_name(prefix: str) -> str:
    """``PREFIX@YYYYMMDD-HHMMSS-xxxx``, with the local time and four random letters or digits."""
    alphabet = string.ascii_lowercase + string.digits
    random_part = "".join(random.SystemRandom().choices(alphabet, k=4))
    return f"{prefix}@{time.strftime('%Y%m%d-%H%M%S')}-{random_part}"


def _saving(functions: Functions, save: Any, format: Any) -> dict[str, Any]:
    if save is None:
        if format is not None:
            raise JobArgumentError(f"save_format={format!r}: there is no save, which says where")
        if functions.save_by is not None:
            raise JobArgumentError("save_by: there is no save, which says where")
        return {}
    writer = "reduce_writer" if functions.reduce else "map_writer"
    has_writer = getattr(functions, writer) is not None
    if has_writer and functions.save_by is not None:
        raise JobArgumentError(f"save_by: the job's {writer} writes bytes, and no pairs to be told apart")
    address, format = check_target(save, format, writer if has_writer else None)
    return {"save": address, "save_format": format, "has_save_by": functions.save_by is not None}


def _plain_arguments(spec: JobSpec, input: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Every argument: as it was given, or its default."""
    given = {**arguments, "name": spec.name, "input": input}
    in_effect = {option: getattr(spec, option, _DEFAULTS.get(option)) for option in ARGUMENTS}
    in_effect |= {name: value for name, value in given.items() if (name, value) != ("nr_reduces", None)}
    return {argument: as_plain_data(argument, in_effect[argument]) for argument in ARGUMENTS}


def at_defaults(told: Mapping[str, Any]) -> list[str]:
    """Which of a job's arguments, as ``jobspec`` tells them, are as ``new_job`` has them by itself."""
    unset: dict[str, Any] = {f.name: f.default for f in fields(JobSpec) if f.default is not MISSING}
    return [
        name
        for name, value in told.items()
        if name not in ("name", "input", "owner", "nr_reduces")
        and value == as_plain_data(name, unset.get(name, _DEFAULTS.get(name)))
    ]


def _user() -> str:
    try:
        return as_owner(getpass.getuser())
    except (KeyError, OSError):  # a user without a name, in a container
        return "unknown"

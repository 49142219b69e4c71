"""Every key and script is documented where it is, and the two agree with their callers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import disco_rq
from disco_rq.model import JobSpec, StageResult, TaskId
from disco_rq.settings import PARTS
from disco_rq.store import keys
from disco_rq.store.adoption import Adoption, adopt_call, release_source
from disco_rq.store.attempts import Attempt, AttemptStore, Commit, Failure
from disco_rq.store.connection import script_sha, script_source
from disco_rq.store.ending import Ending
from disco_rq.store.inputheads import heads_of_large
from disco_rq.store.jobs import JobStore
from disco_rq.store.lead import BatchPlace, CopyOf, Lead
from disco_rq.store.nodes import NodeAdmin
from disco_rq.store.ranges import RangeStore

SCRIPTS = sorted(path.stem for path in Path(*disco_rq.__path__, "store", "scripts").glob("[a-z]*.lua"))
TABLE = keys.__doc__ or ""
JOB_KEYS = keys.JobKeys("JOB")
PROPERTIES = sorted(name for name, it in vars(keys.JobKeys).items() if isinstance(it, keys.RecordKey))
MAP = TaskId("map", 0)
ATTEMPT = Attempt("JOB", MAP, 1, "n1", "w1")


class Recorder:
    """Stands for the connection: keeps the script calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str], list[Any]]] = []
        self.redis: Any = None
        self.address = "here"

    def run(self, script: str, script_keys: list[str], args: list[Any], *, copied: bool = False) -> Any:
        self.calls.append((script, list(script_keys), list(args)))
        return {"claim_attempts": [], "renew_leases": [], "commit_attempts": [b"ok"], "forget_node": -1}.get(
            script, b"ok"
        )

    def run_many(self, calls: Any) -> list[Any]:
        return [self.run(*call) for call in calls]

    def add_script(self, _: object, script: str, script_keys: list[str], args: list[Any]) -> None:
        self.run(script, script_keys, args)


def header(script: str) -> dict[str, str]:
    """``{"KEYS": …, "ARGV": …, …}`` of the comment at the script's top."""
    parts: dict[str, str] = {}
    name = ""
    for line in script_source(script).split("-- Purpose:", 1)[1].splitlines():
        if not line.startswith("--") and parts:
            break
        text = line.removeprefix("--").strip()
        if found := re.match(r"(KEYS|ARGV|Returns|Kinds): (.*)", text):
            name, text = found[1], found[2]
        if name:
            parts[name] = f"{parts.get(name, '')} {text}".strip()
    return parts


def stated_keys(script: str) -> list[str]:
    stated = re.sub(r"and if [^:]*:", "", header(script)["KEYS"])
    return [word.strip() for word in re.split(r",(?![^(]*\))", stated)]


def call(what: Callable[[Any], object]) -> tuple[str, list[str], list[Any]]:
    recorder = Recorder()
    what(recorder)
    [only] = recorder.calls
    return only


PLACE = BatchPlace("JOB", "n1", "b")

CALLS: dict[str, Callable[[Any], object]] = {
    "submit_job": lambda it: JobStore(it).submit(
        JobSpec("JOB", 1, 1, True, True, details={"code": {"": "0123"}}), b"", []
    ),
    "adopt_tasks": lambda it: it.run(
        *adopt_call(JobSpec("JOB", 1, 1, True, True), "t", Adoption("SOURCE", []))
    ),
    "begin_purge": lambda it: Ending(it)._begin("JOB"),
    "release_source": lambda it: release_source(it, "SOURCE", "JOB"),
    "kill_job": lambda it: Ending(it).kill("JOB", "why"),
    "claim_attempts": lambda it: AttemptStore(it).claim("JOB", "b", "w1", []),
    "unclaim_attempts": lambda it: AttemptStore(it).unclaim("JOB", "b", [(MAP, 1)]),
    "renew_leases": lambda it: AttemptStore(it).renew("n1", "w1", "JOB", [(MAP, 1)]),
    "commit_attempts": lambda it: AttemptStore(it).commit(
        [Commit(ATTEMPT, "disco://x", 1, StageResult(1, 1, 1))]
    ),
    "fail_attempt": lambda it: AttemptStore(it).fail(ATTEMPT, "data", Failure("why"), survives=1),
    "lose_output": lambda it: AttemptStore(it).lose_output(
        ATTEMPT, MAP, "disco://n1/JOB/map-0.1", Failure("why"), survives=3
    ),
    "put_oob": lambda it: AttemptStore(it).put(ATTEMPT, "key", b"s", 1),
    "take_back_oob": lambda it: AttemptStore(it).take_back(ATTEMPT, ["key"]),
    "send_message": lambda it: AttemptStore(it).message("JOB", "n1", "text"),
    "fix_ranges": lambda it: RangeStore(it, "JOB").fix(b"", ""),
    "lead_cluster": lambda it: Lead(it, "token").take("host:1"),
    "head_inputs": lambda it: heads_of_large(it, "JOB", ["0"]),
    "redate_job": lambda it: Ending(it).end_in_the_past("JOB"),
    "forget_node": lambda it: NodeAdmin(it).forget("n1"),
    "resign_lead": lambda it: Lead(it, "token").resign(),
    "assign_copy": lambda it: Lead(it, "token").assign_copy(MagicMock(), PLACE, CopyOf(MAP, 2, 1, "why")),
    "assign_tasks": lambda it: Lead(it, "token").assign(MagicMock(), PLACE, [(MAP, 1)]),
}


def key_named(name: str) -> str:
    """The key that a script's header means by its words."""
    if name == "adopters":
        return keys.adopters("JOB")
    if name.startswith("codes (of"):
        return keys.codes("0123")
    if name.startswith("adopters (of"):
        return keys.adopters("SOURCE")
    if name == "sources":
        return keys.sources("JOB")
    if name.endswith(" (of the source)"):
        return str(getattr(keys.JobKeys("SOURCE"), name.removesuffix(" (of the source)").replace(" ", "_")))
    if name == "job":
        return JOB_KEYS.job
    if name in ("staged", "staged (of each attempt, in their order)"):
        return JOB_KEYS.staged(MAP)
    if name in ("node", "node (that had the output)"):
        return keys.node("n1")
    if name == "nodes (of the cluster)":
        return keys.NODES
    if name.endswith(" (of it)"):
        return str(getattr(keys, name.removesuffix(" (of it)"))("n1"))
    if (found := getattr(JOB_KEYS, name.replace(" ", "_"), None)) is not None:
        return str(found)
    return str(getattr(keys, name.upper()))


def test_every_script_is_called_by_the_store() -> None:
    assert sorted(CALLS) == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_what_it_takes_and_returns(script: str) -> None:
    assert {"KEYS", "ARGV", "Returns"} <= header(script).keys()


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_store_gives_a_script_the_keys_of_its_header_in_order(script: str) -> None:
    name, given, _ = call(CALLS[script])

    assert name == script
    assert given == [key_named(stated) for stated in stated_keys(script)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_uses_each_of_its_keys_and_no_other(script: str) -> None:
    used = {int(number) for number in re.findall(r"KEYS(?:\[|, )(\d+)", script_source(script))}

    assert used == set(range(1, len(stated_keys(script)) + 1))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_has_the_library_once_and_a_sha_of_its_own(script: str) -> None:
    assert script_source(script).count("local function now_ms") == 1
    assert [script_sha(other) for other in SCRIPTS].count(script_sha(script)) == 1


@pytest.mark.parametrize("name", sorted(name for name in vars(keys) if name.isupper() and name[0] != "_"))
def test_a_key_of_the_cluster_is_in_the_table(name: str) -> None:
    assert re.search(rf"(?<!\S){re.escape(getattr(keys, name))}(?!\S)", TABLE)


@pytest.mark.parametrize(
    "key", [keys.node("<node>"), keys.packages("<node>"), keys.purges("<node>"), keys.wake("<node>")]
)
def test_a_key_of_a_node_is_in_the_table(key: str) -> None:
    assert re.search(rf"(?<!\S){re.escape(key)}(?!\S)", TABLE)


@pytest.mark.parametrize("name", [*PROPERTIES, "staged"])
def test_a_key_of_a_job_is_in_the_table(name: str) -> None:
    key = JOB_KEYS.staged(MAP).replace("map:0", "<task>") if name == "staged" else getattr(JOB_KEYS, name)
    assert re.search(rf"(?<!\S):{re.escape(key.removeprefix(JOB_KEYS.prefix))}(?!\S)", TABLE)


def test_the_table_has_no_key_that_there_is_not() -> None:
    stated = set(re.findall(r"(?<!\S)(disco:(?!job:)\S+|:[a-z]\S*)", TABLE))
    cluster = {getattr(keys, name) for name in vars(keys) if name.isupper() and name[0] != "_"}
    nodes = {keys.node("<node>"), keys.packages("<node>"), keys.purges("<node>"), keys.wake("<node>")}
    jobs = {getattr(JOB_KEYS, name).removeprefix(JOB_KEYS.prefix) for name in PROPERTIES}

    others = {keys.adopters("<job>"), keys.sources("<job>"), keys.codes("<digest>")}

    assert stated == cluster | nodes | others | {f":{name}" for name in jobs} | {":staged:<task>"}


def test_the_types_of_the_keys_are_those_of_the_table() -> None:
    types = keys.cluster_types() | keys.node_types("<node>") | JOB_KEYS.types()
    types |= {**keys.adoption_types("<job>"), keys.codes("<digest>"): "zset"}
    types[":staged:<task>"] = "hash"
    types["(the key itself)"] = types.pop(JOB_KEYS.job)

    stated = re.findall(r"^(disco:\S+|:[a-z]\S*|\(the key itself\))\s+([a-z]+) {2,}", TABLE, re.MULTILINE)

    assert dict(stated) == {key.replace(JOB_KEYS.prefix, ":"): kind for key, kind in types.items()}


def test_the_records_of_a_job_are_all_its_keys() -> None:
    assert sorted(JOB_KEYS.records()) == sorted(
        [JOB_KEYS.job, *(getattr(JOB_KEYS, name) for name in PROPERTIES)]
    )


@pytest.mark.parametrize("script", ["submit_job", "commit_attempts", "_lib", "send_message"])
def test_every_field_of_a_jobs_hash_is_in_the_table(script: str) -> None:
    text = Path(*disco_rq.__path__, "store", "scripts", f"{script}.lua").read_text()
    literal = re.findall(r"'((?:map|reduce):[a-z]+|status|submitted|submission|ended|owner|priority)'", text)

    for name in set(literal):
        assert name.replace("reduce:", "map:") in TABLE, name


def test_no_prefix_may_begin_where_a_cluster_has_keys() -> None:
    of_one = (keys.node, keys.purges, keys.wake, keys.adopters, keys.sources, keys.codes)
    parts = {make("<name>").split(":")[1] for make in of_one}
    assert {*parts, JOB_KEYS.job.split(":")[1], "rq"} == PARTS

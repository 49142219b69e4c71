"""The API's answers, from stories that are told to Redis."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from disco_rq.model import TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, Failure
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from tests.redis.story import JOB, assign, commit, fail, started, submit
from tests.web.visitor import Visitor

HOSTILE = "<script>alert('x')</script>&\u2028"


def tasks_of(api: Visitor, **query: object) -> list[str]:
    return [task["task"] for task in api.job(JOB, "tasks", **query)["tasks"]]


# -- jobs


@pytest.fixture
def three_jobs(connection: Connection) -> list[str]:
    """Submitted in this order; the second one is dead."""
    names = [f"{word}@20260101-000000-000{i}" for i, word in enumerate(("words", "sorts", "WORDS"))]
    for i, name in enumerate(names):
        submit(connection, name=name)
        connection.redis.zadd(keys.JOBS, {name: 1000 + i})
        connection.redis.hset(keys.JobKeys(name).job, "submitted", 1000 + i)
    Ending(connection).kill(names[1], "it was killed")
    connection.redis.hset(keys.JobKeys(names[0]).job, "owner", "ada")
    return names


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({}, [2, 1, 0]),
        ({"order": "asc"}, [0, 1, 2]),
        ({"limit": 1, "offset": 1}, [1]),
        ({"offset": 7}, []),
        ({"q": "words"}, [2, 0]),
        ({"q": "ada"}, [0]),
        ({"owner": "me"}, [2, 1]),
        ({"state": "dead"}, [1]),
        ({"sort": "name", "order": "asc"}, [2, 1, 0]),
        ({"sort": "owner", "order": "asc"}, [0, 1, 2]),
        ({"sort": "state", "order": "desc"}, [1, 2, 0]),
        ({"sort": "took", "order": "asc"}, [1, 2, 0]),
    ],
)
def test_jobs_are_found_sorted_and_paged(
    api: Visitor, three_jobs: list[str], query: dict[str, object], places: list[int]
) -> None:
    answer = api.get("jobs", **query).json

    assert [job["name"] for job in answer["jobs"]] == [three_jobs[place] for place in places]
    whole = {**query, "offset": 0, "limit": 50}
    assert answer["total"] == len(api.get("jobs", **whole).json["jobs"])


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 501}, {"offset": -1}, {"sort": "luck"}, {"lmit": 3}, {"state": "sad"}]
)
def test_a_wrong_parameter_is_named(api: Visitor, query: dict[str, object]) -> None:
    answer = api.get("jobs", **query)

    assert (answer.status, answer.code) == (400, "bad-request")
    assert next(iter(query)) in answer.json["error"]["message"]


@pytest.mark.parametrize(
    "what",
    [
        *("", "/spec", "/tasks", "/tasks/map:0", "/tasks/map:0/log", "/timeline", "/profile"),
        *(
            "/partitions",
            "/pace",
            "/failures",
            "/bad",
            "/inputs",
            "/results",
            "/results/0/preview",
            "/results/0/download",
            "/oob",
            "/oob/key",
        ),
        *("/oob/key", "/oob/key/download", "/events", "/stream"),
    ],
)
def test_of_an_unknown_job_nothing_is_told(api: Visitor, what: str) -> None:
    answer = api.get(f"jobs/nothing{what}")

    assert (answer.status, answer.code) == (404, "unknown-job")


def test_a_job_in_numbers(api: Visitor, connection: Connection) -> None:
    submit(connection, maps=4, reduces=1)
    commit(connection, started(connection, "map:0"), counters={"lines": 7}, duration_ms=100)
    commit(connection, started(connection, "map:1"), duration_ms=300)
    fail(connection, started(connection, "map:2"))
    started(connection, "map:3", node="n2")

    job = api.job(JOB)

    maps, reduces = job["phases"]
    states = ("total", "waiting", "running", "done", "failed")
    assert [maps[state] for state in states] == [4, 1, 1, 2, 1]
    assert [job["maps"][state] for state in states] == [4, 1, 1, 2, 1]
    assert (maps["mean_ms"], maps["entries"], maps["records"], maps["bytes"]) == (200, 6, 4, 20)
    assert maps["rate"] > 0
    assert maps["remaining_s"] == pytest.approx(2 / maps["rate"])
    assert (reduces["started"], reduces["rate"], reduces["remaining_s"]) == (None, None, None)
    assert (job["progress"], job["nodes"], job["counters"]) == (0.4, ["n1", "n2"], {"lines": 7})


def test_tasks_of_a_paused_job_do_not_wait_for_workers(api: Visitor, connection: Connection) -> None:
    """An alert looks for tasks that wait while nobody works."""
    submit(connection, maps=3)

    def told(state: str) -> str:
        found = re.search(
            rf'disco_tasks{{phase="map",state="{state}"}} (.*)', api.get("/metrics").body.decode()
        )
        assert found is not None
        return found[1]

    assert (told("waiting"), told("paused")) == ("3.0", "0.0")
    api.act(f"jobs/{JOB}/pause")
    assert (told("waiting"), told("paused")) == ("0.0", "3.0")


def test_what_is_paused_has_no_time_left_that_anybody_knows(api: Visitor, connection: Connection) -> None:
    submit(connection, maps=2)
    commit(connection, started(connection, "map:0"))

    assert api.act(f"jobs/{JOB}/pause").json == {"ok": True}
    assert (api.job(JOB)["paused"], api.job(JOB)["phases"][0]["remaining_s"]) == (True, None)
    assert api.act(f"jobs/{JOB}/resume").json == {"ok": True}
    assert api.job(JOB)["paused"] is False


def test_the_cause_of_a_dead_job_comes_with_its_failures(api: Visitor, connection: Connection) -> None:
    submit(connection)
    fail(connection, started(connection, "map:0"), message="DataError: bad")
    fail(connection, started(connection, "map:0", 2), "fatal", message="KeyError: 'x'", traceback="Traceback")

    cause = api.job(JOB)["cause"]

    assert (cause["message"], cause["task"], cause["attempt"]) == ("KeyError: 'x'", "map:0", 2)
    assert cause["traceback"] == "Traceback"
    assert [failure["message"] for failure in cause["failures"]] == ["DataError: bad", "KeyError: 'x'"]
    [listed] = api.get("jobs").json["jobs"]
    assert listed["died_of"] == api.job(JOB)["died_of"] == "KeyError: 'x'"


def test_the_pace_of_a_phase_adds_up_to_its_tasks_and_their_time(
    api: Visitor, connection: Connection
) -> None:
    name = "paced@20260101-000000-eeee"
    submit(connection, maps=3, name=name)
    for index, duration_ms in enumerate((130, 1_700, 5_003)):
        commit(connection, started(connection, f"map:{index}", job=name), duration_ms=duration_ms)

    told = api.job(name, "pace")

    [maps] = told["phases"]
    step_s = told["step_ms"] / 1000
    assert len(maps["done"]) == len(maps["busy"]) <= 121
    assert sum(maps["done"]) * step_s == pytest.approx(3, rel=0.01)
    assert sum(maps["busy"]) * step_s == pytest.approx(6.833, rel=0.01)


def test_an_active_job_is_not_cleaned(api: Visitor, connection: Connection) -> None:
    submit(connection)

    assert (api.act(f"jobs/{JOB}/clean").status, api.act(f"jobs/{JOB}/clean").code) == (409, "refused")
    assert api.act(f"jobs/{JOB}/kill").json == api.act(f"jobs/{JOB}/clean").json == {"ok": True}
    assert api.get(f"jobs/{JOB}").code == "unknown-job"


# -- tasks


@pytest.fixture
def busy_job(connection: Connection) -> None:
    """Maps: 0 and 1 done, the second slowly, 2 failed and waits, 3 runs, 4 to 9 wait."""
    submit(connection, maps=10, reduces=2)
    commit(connection, started(connection, "map:0"), duration_ms=10)
    commit(connection, started(connection, "map:1", node="n2"), duration_ms=9_000)
    fail(connection, started(connection, "map:2"), traceback="Traceback of 2")
    started(connection, "map:3")


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, range(10)),
        ({"order": "desc", "limit": 2}, [9, 8]),
        ({"offset": 8}, [8, 9]),
        ({"offset": 10}, []),
        ({"state": "done"}, [0, 1]),
        ({"state": "waiting", "limit": 3}, [2, 4, 5]),
        ({"state": "running"}, [3]),
        ({"state": "failed"}, [2]),
        ({"node": "n2"}, [1]),
        ({"q": "map:7"}, [7]),
        ({"sort": "duration", "order": "desc", "limit": 3}, [1, 0, 2]),
        ({"sort": "records", "limit": 3}, [0, 1, 2]),
        ({"sort": "attempt", "order": "desc", "limit": 4}, [0, 1, 2, 3]),
        ({"sort": "node", "order": "desc", "limit": 2}, [1, 0]),
    ],
)
def test_tasks_are_found_sorted_and_paged(
    api: Visitor, busy_job: None, query: dict[str, object], numbers: Any
) -> None:
    assert tasks_of(api, **query) == [f"map:{number}" for number in numbers]


def test_tasks_of_the_other_phase(api: Visitor, busy_job: None) -> None:
    assert tasks_of(api, phase="reduce") == ["reduce:0", "reduce:1"]


def test_a_task_in_its_row(api: Visitor, busy_job: None) -> None:
    done, slow, failed, running, waiting, *_ = api.job(JOB, "tasks")["tasks"]

    assert (done["state"], done["duration"], done["entries"], done["slow"]) == ("done", 10, 3, False)
    assert (slow["node"], slow["duration"]) == ("n2", 9000)
    assert (failed["state"], failed["attempt"], failed["failures"]) == ("waiting", 1, 1)
    assert (running["state"], running["worker"], running["ended"]) == ("running", "w1", None)
    assert running["started"] > 0
    assert (waiting["state"], waiting["attempt"], waiting["node"]) == ("waiting", 0, "")


def test_a_task_is_slow_that_takes_much_longer_than_the_others(api: Visitor, connection: Connection) -> None:
    submit(connection, maps=10)
    for number in range(10):
        commit(connection, started(connection, f"map:{number}"), duration_ms=5_000 if number == 4 else 10)

    assert [task["task"] for task in api.job(JOB, "tasks")["tasks"] if task["slow"]] == ["map:4"]


def test_a_task_has_its_attempts_with_their_tracebacks(api: Visitor, connection: Connection) -> None:
    submit(connection)
    fail(connection, started(connection, "map:0"), message="DataError: bad", traceback="Traceback (most")
    commit(connection, started(connection, "map:0", 2))

    told = api.job(JOB, "tasks/map:0")

    first, second = told["attempts"]
    assert (first["outcome"], first["error"], first["traceback"]) == (
        "data",
        "DataError: bad",
        "Traceback (most",
    )
    assert first["replay"] == f"disco-rq replay {JOB} map:0 --attempt 1 --pdb"
    assert (second["outcome"], second["duration"], second["error"]) == ("done", 50, None)
    assert second["replay"] is None
    assert (told["state"], told["inputs"], told["output"]) == ("done", ["raw://0"], "disco://n1/out")


@pytest.mark.parametrize("task", ["map:2", "reduce:1", "map:999999999"])
def test_a_task_beyond_the_last_is_unknown(api: Visitor, connection: Connection, task: str) -> None:
    submit(connection, maps=2, reduces=1)

    assert api.get(f"jobs/{JOB}/tasks/{task}").code == "unknown-task"


@pytest.mark.parametrize("task", ["map", "map:x", "map:-1", "map:01", "shuffle:1"])
def test_what_is_no_task_is_refused(api: Visitor, connection: Connection, task: str) -> None:
    submit(connection)

    assert api.get(f"jobs/{JOB}/tasks/{task}").code == "bad-request"


def test_the_timeline_has_a_bar_for_each_attempt(api: Visitor, busy_job: None) -> None:
    timeline = api.job(JOB, "timeline")

    bars = {(slot["node"], bar["task"]): bar for slot in timeline["slots"] for bar in slot["bars"]}
    assert set(bars) == {("n1", "map:0"), ("n2", "map:1"), ("n1", "map:2"), ("n1", "map:3")}
    assert bars["n1", "map:2"]["failed"] == bars["n1", "map:3"]["running"] == 1
    assert timeline["start"] == min(bar["start"] for bar in bars.values())
    assert api.job(JOB, "timeline", phase="reduce") == {
        "start": None,
        "end": None,
        "merged": False,
        "slots": [],
    }


def test_a_job_tells_the_time_of_redis(
    api: Visitor, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(connection)
    # given a web server whose clock is an hour behind
    monkeypatch.setattr(time, "time", lambda: time.time_ns() / 1e9 - 3600)

    seconds, micros = connection.redis.time()
    before = int(seconds) * 1000 + int(micros) // 1000
    told = api.job(JOB)

    assert told["submitted"] <= before <= told["now_ms"] < before + 60_000
    connection.redis.hset(keys.JobKeys(JOB).job, "submitted", before - 65_000)
    assert "for 1 min" in api.get(f"/jobs/{JOB}").body.decode()


def test_tasks_of_a_dead_job_are_failed_or_stopped(api: Visitor, connection: Connection) -> None:
    # given a job with a map that is done, one that fails, one that is queued, and reduces that wait
    name = "ends@20261124-030000-abcd"  # its own: a page remembers the tasks that were filtered
    submit(connection, maps=3, reduces=1, name=name)
    commit(connection, started(connection, "map:0", job=name))
    assign(connection, [(TaskId("map", 2), 1)], job=name, batch="b2")
    fail(connection, started(connection, "map:1", job=name), "fatal")

    rows = [row for phase in ("map", "reduce") for row in api.job(name, "tasks", phase=phase)["tasks"]]

    assert [row["state"] for row in rows] == ["done", "failed", "stopped", "stopped"]
    filtered = {
        state: api.job(name, "tasks", state=state)["tasks"] for state in ("stopped", "failed", "waiting")
    }
    assert {state: [row["task"] for row in found] for state, found in filtered.items()} == {
        "stopped": ["map:2"],
        "failed": ["map:1"],
        "waiting": [],
    }
    assert api.job(name, "tasks/map:2")["state"] == "stopped"
    assert [one["outcome"] for one in api.job(name, "tasks/map:2")["attempts"]] == ["stopped"]
    assert [one["state"] for one in api.job(name, "partitions")["partitions"]] == ["stopped"]


def test_an_attempt_that_was_handed_back_from_a_queue_is_in_the_story(
    api: Visitor, connection: Connection
) -> None:
    # given a task whose first attempt was handed back before a worker took it
    submit(connection)
    assign(connection, [(TaskId("map", 0), 1)], batch="b1")
    fail(connection, Attempt(JOB, TaskId("map", 0), 1, "n1", "*"), "release")
    commit(connection, started(connection, "map:0", 2))

    first, second = api.job(JOB, "tasks/map:0")["attempts"]

    assert (first["attempt"], first["outcome"], first["started"]) == (1, "release", None)
    assert first["error"] == "handed back before it began"
    assert (second["attempt"], second["outcome"]) == (2, "done")
    assert api.get(f"jobs/{JOB}/tasks/map:0/log", attempt=1).json["text"] == ""


# -- what it was given, and what it left


def test_oob_results_are_found_shown_and_taken_home(api: Visitor, connection: Connection) -> None:
    submit(connection)
    attempt = started(connection, "map:0")
    store = AttemptStore(connection)
    values = {
        "text": b"s" + HOSTILE.encode(),
        "json": b'j{"a":[1]}',
        "bytes": b"b\x00\xffA",
        "big": b"s" + b"x" * 70_000,
    }
    for count, (key, value) in enumerate(values.items(), 1):
        assert store.put(attempt, key, value, count) == 0
    assert api.job(JOB, "oob")["results"] == []
    commit(connection, attempt)

    page = api.job(JOB, "oob", q="t", limit=1, offset=1)
    assert (page["total"], page["found"]) == (4, 2)
    assert page["results"] == [{"key": "text", "type": "str", "size": len(HOSTILE.encode()), "task": "map:0"}]
    assert api.job(JOB, "oob/text")["text"] == HOSTILE
    assert api.job(JOB, "oob/json")["text"] == '{\n  "a": [\n    1\n  ]\n}'
    assert api.job(JOB, "oob/bytes")["text"] == f"00000000  {'00 ff 41':<47}  ..A"
    assert api.job(JOB, "oob/big")["truncated"] is True

    taken = api.get(f"jobs/{JOB}/oob/text/download")
    assert taken.body == HOSTILE.encode()
    assert taken.headers["Content-Type"] == "application/octet-stream"
    assert taken.headers["Content-Disposition"] == 'attachment; filename="text.txt"'


@pytest.mark.parametrize("key", ["nothing", "no key", "%00"])
def test_an_oob_result_that_is_not_there(api: Visitor, connection: Connection, key: str) -> None:
    submit(connection)

    assert api.get(f"jobs/{JOB}/oob/{key.replace(' ', '%20')}").code == "unknown-key"


def test_inputs_and_results_by_page(api: Visitor, connection: Connection) -> None:
    submit(connection, maps=5, reduces=0)
    commit(connection, started(connection, "map:3"), address="disco://n1/out-3")

    inputs = api.job(JOB, "inputs", offset=3, limit=1)
    assert inputs["inputs"] == [
        {"task": "map:3", "parts": [{"replicas": ["raw://3"], "start": 0, "length": None}]}
    ]
    results = api.job(JOB, "results")
    assert (results["state"], results["total"]) == ("active", 5)
    assert [(one["index"], one["address"], one["records"]) for one in results["results"]] == [
        (3, "disco://n1/out-3", 2)
    ]


def test_the_history_is_read_forwards_and_backwards(api: Visitor, connection: Connection) -> None:
    submit(connection)
    store = AttemptStore(connection)
    for i in range(6):
        store.event(JOB, "n1", f"line {i}")

    def lines(**query: object) -> tuple[list[str], bool]:
        told = api.job(JOB, "events", limit=2, **query)
        return [event["message"] for event in told["events"]], told["more"]

    last = api.job(JOB, "events", limit=2)["events"]
    assert lines() == (["line 4", "line 5"], True)
    assert lines(before=last[0]["id"]) == (["line 2", "line 3"], True)
    assert lines(after=last[0]["id"]) == (["line 5"], False)
    assert lines(q="LINE 1") == (["line 1"], False)
    assert lines(kind="msg") == ([], False)
    assert lines(after="0-1")[1] is True


def test_whatever_is_written_stays_text(api: Visitor, connection: Connection) -> None:
    submit(connection)
    AttemptStore(connection).message(JOB, "n1", HOSTILE)
    AttemptStore(connection).fail(
        started(connection, "map:0"), "data", Failure(HOSTILE, HOSTILE, HOSTILE), survives=3
    )

    for what in ("events", "failures", "tasks/map:0", "stream"):
        if what == "stream":
            with api.opened("GET", f"/api/v1/jobs/{JOB}/stream") as response:
                body = b"".join(response.readline() for _ in range(17))
        else:
            answer = api.get(f"jobs/{JOB}/{what}")
            assert answer.headers["Content-Type"] == "application/json"
            assert HOSTILE in json.dumps(answer.json, ensure_ascii=False)
            body = answer.body
        assert b"<" not in body
        assert b"script\\u003e" in body

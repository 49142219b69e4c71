"""Whatever lies in one record of a job: page, API, client and command line tell the rest, and the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from disco_rq import Disco
from disco_rq.cli import main
from disco_rq.errors import DiscoError
from disco_rq.machine.redisserver import PrivateServer
from disco_rq.model import TaskId
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from tests.redis.story import JOB, OTHER, lead, submit
from tests.redis.test_forget import live_through_everything
from tests.redis.test_unreadable import another_type, garbage
from tests.web.visitor import Visitor, served

TYPES = keys.JobKeys(JOB).types() | {keys.JobKeys(JOB).staged(TaskId("map", 3)): "hash"}
OF_JOB = (
    *("", "spec", "tasks", "tasks?sort=duration", "tasks/map:0", "tasks/map:3", "timeline", "partitions"),
    *("failures", "inputs", "results", "oob", "oob/key", "events", "events?q=Job"),
)
GIVEN_UP = 404, 409, 502
"""That the job, or what was asked of it, cannot be read, in words."""


def said_by(ask: Callable[[], Any]) -> str:
    """The job, if it is refused by its name; nothing where it is answered."""
    try:
        ask()
    except DiscoError as error:
        return JOB if JOB in str(error) else str(error)
    return ""


@pytest.fixture
def told(connect: Callable[[], Connection]) -> Connection:
    connection = connect()
    lead(connection)
    live_through_everything(connection)
    submit(connection, name=OTHER)
    return connection


@pytest.mark.parametrize("how", [garbage, another_type])
@pytest.mark.parametrize(("key", "kind"), TYPES.items())
def test_page_and_api_tell_the_rest(
    told: Connection,
    private_redis: PrivateServer,
    key: str,
    kind: str,
    how: Any,
) -> None:
    how(told.redis, key, kind)

    with served(private_redis.url) as root:
        visitor = Visitor(root)
        for what in OF_JOB:
            answer = visitor.get(f"jobs/{JOB}/{what}".rstrip("/"))
            assert answer.status == 200 or answer.status in GIVEN_UP, (what, answer.body)
        for page in (f"/jobs/{JOB}", f"/jobs/{JOB}/tasks/map:0", "/"):
            assert visitor.get(page).status in (200, *GIVEN_UP), page
        assert visitor.get("/").status == 200
        assert OTHER in [head["name"] for head in visitor.get("jobs").json["jobs"]]
        assert visitor.get(f"jobs/{OTHER}").status == 200


@pytest.mark.parametrize("how", [garbage, another_type])
@pytest.mark.parametrize(("key", "kind"), TYPES.items())
def test_a_client_tells_the_rest_or_names_the_job(
    told: Connection,
    private_redis: PrivateServer,
    key: str,
    kind: str,
    how: Any,
) -> None:
    how(told.redis, key, kind)
    with Disco(private_redis.url) as disco:
        asked: list[Callable[[], Any]] = [
            lambda: disco.jobinfo(JOB),
            lambda: disco.oob_list(JOB),
            lambda: disco.job(JOB).story("map:0"),
            lambda: list(disco.events(JOB)),
        ]
        for ask in asked:
            assert said_by(ask) in ("", JOB)
        assert OTHER in [name for _, _, name in disco.joblist()]
        assert disco.jobinfo(OTHER)["active"] == "active"


@pytest.mark.parametrize("how", [garbage, another_type])
@pytest.mark.parametrize(("key", "kind"), TYPES.items())
def test_the_command_line_tells_the_rest_or_names_the_job(
    told: Connection,
    private_redis: PrivateServer,
    capfd: pytest.CaptureFixture[str],
    key: str,
    kind: str,
    how: Any,
) -> None:
    how(told.redis, key, kind)
    for verb in (["info", JOB], ["events", JOB], ["tasks", JOB], ["jobs"], ["failures", JOB]):
        with pytest.raises(SystemExit) as end:
            main([*verb, "--redis", private_redis.url])
        assert end.value.code in (None, 0, 1), verb
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        assert end.value.code == 0 or JOB in said.err, verb


@pytest.mark.parametrize("how", [garbage, another_type])
def test_failures_that_cannot_be_read_are_not_told_as_none(
    told: Connection, private_redis: PrivateServer, capfd: pytest.CaptureFixture[str], how: Any
) -> None:
    how(told.redis, keys.JobKeys(JOB).failures, "hash")
    with pytest.raises(SystemExit):
        main(["failures", JOB, "--redis", private_redis.url])
    assert "have failed, and what Redis keeps of them cannot be read" in capfd.readouterr().err

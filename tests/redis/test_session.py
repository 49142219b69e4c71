"""A client's session: a job whose name is taken gets another one, and nothing else of it is made again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq.client import session as session_module
from disco_rq.client import submission as submission_module
from disco_rq.client.session import MOST_NAMES, Session
from disco_rq.client.submission import build
from disco_rq.errors import BadSignature, DiscoError
from disco_rq.machine.redisserver import PrivateServer
from disco_rq.packing import Signer, unpack_functions
from disco_rq.settings import Settings
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.store.identity import cluster_id
from tests.redis.story import lead

SECRET = b"the key"
TAKEN, FREE = "job@20260101-000000-aaaa", "job@20260101-000000-bbbb"


@pytest.fixture
def session(private_redis: PrivateServer, connection: Connection) -> Iterator[Session]:
    lead(connection)
    session = Session(private_redis.url, Settings(secret=SECRET), is_own=True)
    yield session
    session.close()


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was built."""
    built: list[Any] = []

    def counted(*arguments: Any) -> Any:
        built.append(build(*arguments))
        return built[-1]

    monkeypatch.setattr(session_module, "build", counted)
    return built


def a_map(entry: str, params: Any) -> list[tuple[str, str]]:
    return [(entry, "result")]


def submit(session: Session) -> str:
    return session.submit("job", ["raw://a"], {"map": a_map}).name


def test_a_job_whose_name_is_taken_is_built_once_and_signed_for_its_other_name(
    session: Session, connection: Connection, builds: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given names that come again
    names = iter([TAKEN, TAKEN, TAKEN, FREE])
    monkeypatch.setattr(submission_module, "unique_name", lambda prefix: next(names))
    assert submit(session) == TAKEN

    # when
    name = submit(session)

    # then it was planned and packed once, and all that has its name has the new one
    assert name == FREE
    assert len(builds) == 2
    stored = AttemptStore(connection).job(FREE)
    assert stored is not None
    spec, pack = stored
    assert spec.name == spec.details["arguments"]["name"] == FREE
    signer, packed = Signer(SECRET, cluster_id(connection)), spec.pack()
    unpacked = unpack_functions(pack, signer.seal(FREE), spec=packed)
    assert unpacked.functions.map("a", None) == [("a", "result")]
    with pytest.raises(BadSignature):
        unpack_functions(pack, signer.seal(TAKEN), spec=packed)


def test_a_job_that_finds_no_free_name_says_so(
    session: Session, builds: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission_module, "unique_name", lambda prefix: TAKEN)
    submit(session)

    with pytest.raises(DiscoError) as caught:
        submit(session)

    assert str(caught.value) == f"no free name for a job: {MOST_NAMES} are taken, {TAKEN} among them"
    assert len(builds) == 2

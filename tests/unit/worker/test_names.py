"""The names of workers and nodes go into keys and paths: what these cannot hold is refused."""

from __future__ import annotations

import pytest
from redis import Redis

from disco_rq.errors import SettingsError
from disco_rq.settings import Settings
from disco_rq.worker.worker import DiscoWorker

NOWHERE = Redis("127.0.0.1", 1)


@pytest.mark.parametrize("name", ["my worker", "a\tb", "a/b", "..", "ü", "x" * 129, "a\nb"])
def test_a_worker_name_that_no_key_can_hold_is_refused_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match="1 to 128 of") as caught:
        DiscoWorker(["disco.n1"], name, connection=NOWHERE, settings=Settings(redis="redis://127.0.0.1:1"))

    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("queue", ["disco.my node", "disco.a/b", "disco.ü", "disco." + "x" * 65])
def test_a_queue_that_names_no_node_is_refused_by_name(queue: str) -> None:
    with pytest.raises(SettingsError, match="1 to 64 of") as caught:
        DiscoWorker([queue], connection=NOWHERE, settings=Settings(redis="redis://127.0.0.1:1"))

    assert repr(queue) in str(caught.value)


@pytest.mark.parametrize("node", [".", "..", "a b", "a/b"])
def test_a_node_name_that_is_no_directory_is_refused(node: str) -> None:
    with pytest.raises(SettingsError, match="DISCO_RQ_NODE"):
        Settings.from_env({"DISCO_RQ_NODE": node})

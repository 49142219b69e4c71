"""Files of jobs that Redis has forgotten: found, told, and deleted in the end; no others."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from disco_rq.node.sweep import Sweep
from disco_rq.outputs.datadir import DataDir
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.nodes import NodeStore, node_about
from disco_rq.worker.purging import purge_asked
from tests.redis.story import JOB, OTHER, everything, lead, started, submit

HOUR_S = 3600.0


@pytest.fixture
def data(tmp_path: Path, connection: Connection) -> DataDir:
    """A node that has files of two jobs, which Redis knows."""
    lead(connection)
    for job in (JOB, OTHER):
        submit(connection, name=job)
        started(connection, "map:0", job=job)
        Ending(connection).kill(job, "why")
        (tmp_path / job).mkdir()
        (tmp_path / job / "map-0.1").write_bytes(b"pairs")
    NodeStore(connection, "n1").register({"host": "h"})
    return DataDir(tmp_path)


def sweep_of(connection: Connection, data: DataDir, hours: float = 5) -> Sweep:
    return Sweep(NodeStore(connection, "n1"), data, hours * HOUR_S)


def told(connection: Connection) -> tuple[str, str]:
    about = node_about(connection, "n1")
    return about["unknown_jobs"], about["swept_in_s"]


def test_files_of_jobs_that_redis_knows_stay(connection: Connection, data: DataDir) -> None:
    for _ in range(10):
        sweep_of(connection, data).look()

    assert sorted(data.jobs()) == sorted([JOB, OTHER])
    assert told(connection) == ("0", "0")


def test_those_of_one_that_it_has_forgotten_go_after_so_many_looks(
    connection: Connection, data: DataDir, caplog: pytest.LogCaptureFixture
) -> None:
    connection.redis.flushdb()
    lead(connection)
    submit(connection, name=OTHER)
    for look in range(1, 5):
        sweep_of(connection, data).look()  # whatever became of the node in between
        assert told(connection) == ("1", f"{(5 - look) * 3600}")
    assert sorted(data.jobs()) == sorted([JOB, OTHER])

    with caplog.at_level(logging.WARNING):
        sweep_of(connection, data).look()

    assert data.jobs() == [OTHER]
    assert told(connection) == ("0", "0")
    assert f"{JOB}: Redis has not known this job for long" in caplog.text


def test_it_is_told_once_what_was_found(
    connection: Connection, data: DataDir, caplog: pytest.LogCaptureFixture
) -> None:
    connection.redis.flushdb()
    sweep = sweep_of(connection, data)
    with caplog.at_level(logging.WARNING):
        sweep.look()
        sweep.look()

    assert caplog.text.count(f"Redis does not know {JOB} {OTHER}") == 1
    assert "deleted in 4.0 h" in caplog.text


def test_a_redis_that_gets_its_data_back_in_time_loses_nothing(connection: Connection, data: DataDir) -> None:
    backup: dict[str, Any] = {key: connection.redis.dump(key) for key in everything(connection)}
    sweep = sweep_of(connection, data)
    for _ in range(3):  # as often as you like
        connection.redis.flushdb()
        for _ in range(4):
            sweep.look()
        for key, content in backup.items():
            connection.redis.restore(key, 0, content, replace=True)
        sweep.look()

    assert sorted(data.jobs()) == sorted([JOB, OTHER])
    assert not list(data.root.glob("*/.unknown"))


def test_the_files_of_a_job_that_was_cleaned_stay_for_good(connection: Connection, data: DataDir) -> None:
    Ending(connection).clean(JOB)
    purge_asked(NodeStore(connection, "n1"), data)
    for _ in range(10):
        sweep_of(connection, data).look()
    connection.redis.flushdb()
    for _ in range(10):
        sweep_of(connection, data).look()

    assert data.jobs() == [JOB]
    assert (data.job(JOB) / "map-0.1").read_bytes() == b"pairs"


def test_a_node_that_was_away_when_a_job_was_cleaned_marks_it_before_it_sweeps(
    connection: Connection, data: DataDir
) -> None:
    Ending(connection).clean(JOB)
    sweep_of(connection, data, hours=0).look()  # it has not done yet what it is asked

    assert JOB in data.jobs()
    purge_asked(NodeStore(connection, "n1"), data)
    sweep_of(connection, data, hours=0).look()
    assert JOB in data.jobs()
    assert NodeStore(connection, "n1").keeps() == []


def test_a_job_that_was_cleaned_can_still_be_purged(connection: Connection, data: DataDir) -> None:
    Ending(connection).clean(JOB)
    Ending(connection).purge(JOB)
    purge_asked(NodeStore(connection, "n1"), data)

    assert data.jobs() == [OTHER]
    assert NodeStore(connection, "n1").purges() == []

"""Deleting the files of purged jobs takes its time, and keeps no lease waiting."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest

from disco_rq.outputs.datadir import DataDir
from disco_rq.store.nodes import NodeStore
from disco_rq.worker import purging
from disco_rq.worker.purging import purge_asked

JOB = "old@20260101-000000-aaaa"


class Asked:
    """Of the store, what purging needs."""

    def __init__(self, *jobs: str) -> None:
        self.left = list(jobs)

    def purges(self) -> list[str]:
        return list(self.left)

    def keeps(self) -> list[str]:
        return []

    def spares(self) -> list[str]:
        return []

    def purged(self, job: str) -> None:
        self.left.remove(job)


def test_leases_are_renewed_while_files_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a disk that takes as long as it takes to renew twice
    monkeypatch.setattr(purging, "RENEW_S", 0.01)
    renewed = threading.Semaphore(0)
    purge = DataDir.purge

    def slow_purge(self: DataDir, job: str) -> None:
        for _ in range(2):
            assert renewed.acquire(timeout=10)
        purge(self, job)

    monkeypatch.setattr(DataDir, "purge", slow_purge)
    (tmp_path / JOB).mkdir()
    asked = Asked(JOB)
    # when
    purge_asked(cast(NodeStore, asked), DataDir(tmp_path), renewed.release)
    # then
    assert not (tmp_path / JOB).exists()
    assert asked.left == []


def test_what_is_no_job_is_done_with_and_the_others_too(tmp_path: Path) -> None:
    (tmp_path / JOB).mkdir()
    asked = Asked("../..", JOB)

    purge_asked(cast(NodeStore, asked), DataDir(tmp_path))

    assert not (tmp_path / JOB).exists()
    assert asked.left == []

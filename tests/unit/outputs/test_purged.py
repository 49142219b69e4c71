"""Names of purged jobs are remembered for as long as their signatures are good, and no longer."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from disco_rq.errors import BadSignature
from disco_rq.outputs import purged
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.purged import REMEMBERED_DAYS, PurgedJobs

SUBMITTED = date(2026, 3, 1)
JOB = "words@20260301-120000-abcd"
OTHER = "words@20260301-120000-abce"


@pytest.fixture
def jobs(tmp_path: Path) -> PurgedJobs:
    return PurgedJobs(tmp_path)


@pytest.fixture(autouse=True)
def _on_that_day(monkeypatch: pytest.MonkeyPatch) -> None:
    days_later(monkeypatch, 0)


def days_later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    monkeypatch.setattr(purged, "_today", lambda: SUBMITTED + timedelta(days=days))


def remembered(root: Path) -> list[str]:
    return sorted(file.name for file in (root / ".purged").iterdir())


def test_a_job_that_was_purged_is_refused_and_no_other(jobs: PurgedJobs) -> None:
    jobs.check(JOB)
    jobs.note(JOB)

    with pytest.raises(BadSignature, match=f"{JOB} was purged"):
        jobs.check(JOB)
    jobs.check(OTHER)
    jobs.check(JOB[:-1])


@pytest.mark.parametrize("days", [1, REMEMBERED_DAYS])
def test_it_is_remembered_until_the_last_day_that_a_signature_is_good(
    jobs: PurgedJobs, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    jobs.note(JOB)
    days_later(monkeypatch, days)
    jobs.sweep()

    with pytest.raises(BadSignature, match="was purged"):
        jobs.check(JOB)
    jobs.check(OTHER)


def test_a_job_that_is_older_is_refused_whether_it_was_purged_or_not(
    jobs: PurgedJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.note(JOB)
    days_later(monkeypatch, REMEMBERED_DAYS + 1)

    for name in (JOB, OTHER):
        with pytest.raises(BadSignature, match="more than 90 days ago"):
            jobs.check(name)


def test_names_are_swept_only_once_they_are_refused_for_their_age(
    jobs: PurgedJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given one purged at once, and one of the next day
    jobs.note(JOB)
    jobs.note("words@20260302-120000-abcd")

    # nodes' clocks may differ by a day
    days_later(monkeypatch, REMEMBERED_DAYS + 1)
    jobs.sweep()
    assert remembered(tmp_path) == ["20260301", "20260302"]

    days_later(monkeypatch, REMEMBERED_DAYS + 2)
    jobs.sweep()
    assert remembered(tmp_path) == ["20260302"]


def test_a_node_that_has_purged_nothing_has_nothing_to_sweep(jobs: PurgedJobs, tmp_path: Path) -> None:
    jobs.sweep()

    assert list(tmp_path.iterdir()) == []


def test_a_node_sweeps_them_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataDir(tmp_path)
    data.prepare()
    data.purged.note(JOB)
    days_later(monkeypatch, 2 * REMEMBERED_DAYS)

    data.sweep("n1.0-abcdef")

    assert remembered(tmp_path) == []

"""profile=True: what each task spent its time on, merged where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import DataError, Disco, DiscoError, JobError, UnknownJob
from disco_rq.func import kvgroup
from tests.cluster.small_jobs import data_dir, is_first_attempt, run


def really_unique_name(word: str) -> str:
    return word


def mapped(line: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in line.split():
        yield really_unique_name(word), 1


def reduced(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in kvgroup(pairs):
        yield word, sum(ones)


def calls(stats: Any) -> dict[str, int]:
    """How often each function of this module was called."""
    return {name: numbers[1] for (file, _, name), numbers in stats.stats.items() if file == __file__}


LINES = ["raw://gutta cavat cavat capidem"] * 6


def test_the_profiles_of_all_tasks_are_merged(disco: Disco) -> None:
    job = run(disco, input=LINES, map=mapped, reduce=reduced, nr_reduces=3, sort=True, profile=True)

    assert calls(job.profile_stats())["really_unique_name"] == 24
    assert calls(job.profile_stats("map"))["really_unique_name"] == 24
    assert "reduced" not in calls(job.profile_stats("map"))
    assert set(calls(job.profile_stats("reduce"))) == {"reduced"}
    job.profile_stats().sort_stats("cumulative")


def test_a_job_that_was_not_profiled_has_no_profile_data(disco: Disco) -> None:
    job = run(disco, map=mapped)
    with pytest.raises(JobError, match="No profile data"):
        job.profile_stats()
    assert not list(data_dir(disco, job).glob("*.prof"))


def test_a_phase_that_the_job_has_not_has_no_profile_data(disco: Disco) -> None:
    job = run(disco, map=mapped, profile=True)
    with pytest.raises(JobError, match="No profile data"):
        job.profile_stats("reduce")


def test_wrong_questions_are_refused(disco: Disco) -> None:
    with pytest.raises(DiscoError, match="mode='maps'"):
        disco.profile_stats("any", "maps")
    with pytest.raises(UnknownJob):
        disco.profile_stats("none@20260101-000000-abcd")


def test_failed_attempts_do_not_count(disco: Disco, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")

    def once(line: str, params: Any) -> Any:
        first = is_first_attempt(mark)
        pairs = list(mapped(line, params))
        if first:
            raise OSError("the first time")
        return pairs

    job = run(disco, input=LINES[:1], map=once, profile=True)
    assert calls(job.profile_stats())["really_unique_name"] == 4


def test_saved_results_are_profiled_too(disco: Disco, tmp_path: Path) -> None:
    job = run(disco, input=LINES, map=mapped, save=str(tmp_path), profile=True)
    assert calls(job.profile_stats())["really_unique_name"] == 24


def test_an_altered_profile_is_named(disco: Disco) -> None:
    job = run(disco, input=LINES[:1], map=mapped, profile=True)
    (data_dir(disco, job) / "map-0.1.prof").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"map-0\.1"):
        job.profile_stats()


def test_purge_takes_the_profiles_along(disco: Disco) -> None:
    job = run(disco, map=mapped, profile=True)
    job.purge()
    assert not data_dir(disco, job).exists()

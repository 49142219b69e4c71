"""Inputs as people hold them, on a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, func, records_input, result_iterator


def _lines(line: str, params: Any) -> Iterable[tuple[str, int]]:
    return [(line, 1)]


@pytest.mark.parametrize("kind", [iter, set, frozenset, tuple, dict.fromkeys])
def test_whatever_gives_addresses_is_an_input(disco: Disco, tmp_path: Path, kind: Any) -> None:
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text(path.name)
    given = kind(paths)
    job = disco.new_job("given", given.keys() if isinstance(given, dict) else given, map=_lines)
    assert list(result_iterator(job.wait(60))) == [("a", 1), ("b", 1)]
    assert job.jobspec()["input"] == [str(path) for path in paths]


def _users(line: str, params: Any) -> Iterable[tuple[str, str]]:
    name, _, town = line.partition(" ")
    return [(name, town)]


def _visits(row: dict[str, str], params: Any) -> Iterable[tuple[str, int]]:
    return [(row["name"], int(row["count"]))]


def _joined(pairs: Any, params: Any) -> Iterable[tuple[str, tuple[str, int]]]:
    for name, values in func.kvgroup(pairs):
        held = list(values)
        towns = [value for value in held if isinstance(value, str)]
        yield name, (towns[0], sum(value for value in held if isinstance(value, int)))


def test_two_files_with_different_maps_are_joined_by_one_job(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann york\nbob hull\n")
    (tmp_path / "visits.csv").write_text("name,count\nann,3\nbob,4\nann,5\n")
    job = disco.new_job(
        "join",
        [([tmp_path / "users"], _users), (tmp_path / "visits.csv", _visits, func.csv_reader())],
        reduce=_joined,
        sort=True,
    )
    assert sorted(result_iterator(job.wait(60))) == [("ann", ("york", 8)), ("bob", ("hull", 4))]
    assert job.jobinfo()["inputs"] == [[str(tmp_path / "users")], [str(tmp_path / "visits.csv")]]
    assert [told["map"].rpartition(".")[2] for told in job.jobspec()["input"]] == ["_users", "_visits"]


def _row(row: dict[str, Any], params: Any) -> Iterable[tuple[str, int]]:
    return [(row["name"], row["n"])]


def test_records_travel_with_the_job_and_go_with_its_purge(disco: Disco) -> None:
    rows = [{"name": f"n{i:02}", "n": i} for i in range(20)]
    job = disco.new_job("rows", records_input(rows, maps=4), map=_row)
    assert list(result_iterator(job.wait(60))) == [(row["name"], row["n"]) for row in rows]
    assert job.jobinfo()["mapi"][2] == 4
    assert job.jobinfo()["inputs"][0] == ["records://0-4"]
    assert job.jobspec()["input"] == ["records://20"]
    job.purge()
    assert not [key for key in disco.session.connection.redis.keys("*") if job.name.encode() in key]

"""The functions that are called once, before the first entry of a map or a reduce."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from disco_rq import Disco, Params
from tests.cluster.small_jobs import pairs, run


def skip_heading(entries: Any, params: Any) -> None:
    assert next(entries) == "skip this"
    params.x += 100


def map_number(line: str, params: Any) -> list[tuple[int, int]]:
    return [(int(line), int(line) + params.x)]


def set_y(pairs: Any, params: Any) -> None:
    params.y = 1000


def add_y(pairs: Any, out: Any, params: Any) -> None:
    for key, number in pairs:
        out.add(key, number + params.y)


def test_init_is_called_once_a_task_and_may_take_entries_and_change_params(
    disco: Disco, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{n}.txt" for n in range(10)]
    for n, path in enumerate(paths):
        path.write_text("skip this\n" + f"{n}\n" * 10)

    job = run(
        disco,
        input=[str(path) for path in paths],
        map_init=skip_heading,
        map=map_number,
        reduce_init=set_y,
        reduce=add_y,
        params=Params(x=10),
    )

    assert sorted(pairs(job)) == [(n, n + 1110) for n in range(10) for _ in range(10)]

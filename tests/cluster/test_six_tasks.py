"""Six tasks of a new user: each in twenty lines at most, run by the command at its top, as it stands."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import disco_rq.examples
from disco_rq import Disco, result_iterator
from tests.documents import section

pq: Any = pytest.importorskip("pyarrow.parquet")
pa: Any = pytest.importorskip("pyarrow")

EXAMPLES = Path(*disco_rq.examples.__path__)
TASKS = re.findall(
    r"^\| `(\w+)\.py` \|", section("first-job", "Six tasks in twenty lines each"), re.MULTILINE
)
TOP = {f"/page{number}": 12 - number for number in range(12)}


def test_the_manual_tells_six_tasks() -> None:
    assert set(TASKS) == {
        "top_pages",
        "sessions",
        "join_csv",
        "distinct_users",
        "mean_price",
        "parquet_batches",
    }


@pytest.mark.parametrize("name", TASKS)
def test_a_task_takes_twenty_lines_at_most(name: str) -> None:
    source = (EXAMPLES / f"{name}.py").read_text()
    docstring = ast.parse(source).body[0]
    assert docstring.end_lineno is not None
    lines = [line for line in source.splitlines()[docstring.end_lineno :] if line.strip()]
    assert len(lines) <= 20


def run_as_told(disco: Disco, directory: Path, name: str) -> list[str]:
    """The lines that the command at the top of an example prints, in that directory."""
    [command] = re.findall(r"``(disco-rq run .*?)``", (EXAMPLES / f"{name}.py").read_text(), re.DOTALL)
    _, *words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", "disco_rq.cli", *words],
        cwd=directory,
        env={**os.environ, "DISCO_RQ_REDIS": disco.url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_top_of_an_access_log(disco: Disco, tmp_path: Path) -> None:
    asked = [page for page, number in TOP.items() for _ in range(number)]
    for half in range(2):
        lines = [f'1.2.3.4 - - [x] "GET {page}?a=1 HTTP/1.1" 200 5\n' for page in asked[half::2]]
        lines += ['1.2.3.4 - - [x] "GET /gone HTTP/1.1" 404 5\n'] * 50
        (tmp_path / f"access.log.{half}").write_text("".join(lines))

    assert run_as_told(disco, tmp_path, "top_pages") == [
        f"{page}\t{number}" for page, number in list(TOP.items())[:10]
    ]


def test_sessions(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "views.csv").write_text(
        "user,time,page\n"
        "kim,2026-11-29T10:40:00,/c\n"
        "kim,2026-11-29T09:00:00,/a\n"
        "ann,2026-11-29T09:30:00,/\n"
        "kim,2026-11-29T09:29:00,/b\n"
        "kim,2026-11-29T09:59:00,/a\n"
    )

    lines = run_as_told(disco, tmp_path, "sessions")

    assert sorted(lines) == [
        "ann\t('2026-11-29 09:30:00', 1, '/', '/')",
        "kim\t('2026-11-29 09:00:00', 3, '/a', '/a')",
        "kim\t('2026-11-29 10:40:00', 1, '/c', '/c')",
    ]


def test_a_join_of_two_csv_files(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text('id,name\n1,ann\n2,"bob, jr."\n3,cy\n')
    (tmp_path / "visits.csv").write_text("day,id\nmay,1\njune,2\njuly,1\naugust,9\n")

    lines = run_as_told(disco, tmp_path, "join_csv")

    assert sorted(lines) == [
        "1\t({'name': 'ann'}, {'day': 'july'})",
        "1\t({'name': 'ann'}, {'day': 'may'})",
        "2\t({'name': 'bob, jr.'}, {'day': 'june'})",
        "3\t({'name': 'cy'}, None)",
    ]


def test_distinct_users(disco: Disco, tmp_path: Path) -> None:
    views = [{"page": page, "user": user % 30} for page in ("/", "/a") for user in range(50)]
    views.append({"page": "/a", "user": "kim"})
    (tmp_path / "views.jsonl").write_text("".join(f"{json.dumps(view)}\n" for view in views))

    assert sorted(run_as_told(disco, tmp_path, "distinct_users")) == ["/\t30", "/a\t31"]


def test_a_mean_of_json_lines_of_which_some_are_bad(disco: Disco, tmp_path: Path) -> None:
    sales = [
        json.dumps({"country": country, "price": price}) for country in ("de", "fr") for price in range(200)
    ]
    sales += ["no JSON", json.dumps({"country": "de"}), json.dumps({"country": "fr", "price": "much"})]
    (tmp_path / "sales.jsonl").write_text("\n".join(sales))

    assert sorted(run_as_told(disco, tmp_path, "mean_price")) == ["de\t99.5", "fr\t99.5"]


def test_the_latest_version_of_each_record(disco: Disco, tmp_path: Path) -> None:
    changes = [{"id": number % 3, "changed": f"2026-11-{29 - number}", "n": number} for number in range(9)]
    for half in range(2):
        text = "".join(f"{json.dumps(change)}\n" for change in changes[half::2])
        (tmp_path / f"changes{half}.jsonl").write_text(text)

    lines = sorted(run_as_told(disco, tmp_path, "latest"))

    assert list(map(json.loads, lines)) == [[number, changes[number]] for number in range(3)]


def test_the_dearest_sales_of_each_country(disco: Disco, tmp_path: Path) -> None:
    sales = [(country, f"thing{price}", price) for country in ("de", "fr") for price in range(50)]
    for half in range(2):
        text = "".join(f"{country},{product},{price}\n" for country, product, price in sales[half::2])
        (tmp_path / f"sales{half}.csv").write_text(f"country,product,price\n{text}")

    best = [(49.0, "thing49"), (48.0, "thing48"), (47.0, "thing47")]
    assert sorted(run_as_told(disco, tmp_path, "dearest")) == [f"de\t{best}", f"fr\t{best}"]


def test_parquet_to_parquet(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "sales").mkdir()
    for file, prices in enumerate(([1.0, 2.0, None], [4.5, 3.0, 3.0])):
        sales = {"country": ["de", "fr", "de"], "price": prices, "other": [1, 2, 3]}
        pq.write_table(pa.table(sales), tmp_path / "sales" / f"{file}.parquet")

    run_as_told(disco, tmp_path, "parquet_batches")

    [*files] = sorted(map(str, (tmp_path / "sums").rglob("*.parquet")))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    expected = {"de": {"sales": 3, "mean": 8.5 / 3}, "fr": {"sales": 2, "mean": 2.5}}
    assert {row["key"]: row["value"] for row in rows} == expected
    assert dict(result_iterator(files)) == expected


def test_polars_groups_each_batch(disco: Disco, tmp_path: Path) -> None:
    pytest.importorskip("polars")
    sales = [(f"2026-{day % 3 + 9:02}-0{day % 9 + 1}", "de" if day % 2 else "fr", day) for day in range(60)]
    for half in range(2):
        text = "".join(f"{day},{country},{price}\n" for day, country, price in sales[half::2])
        (tmp_path / f"sales{half}.csv").write_text(f"day,country,price\n{text}")

    expected: dict[tuple[str, str], tuple[int, float]] = {}
    for day, country, price in sales:
        number, total = expected.get((country, day[:7]), (0, 0.0))
        expected[country, day[:7]] = number + 1, total + price
    lines = run_as_told(disco, tmp_path, "polars_sums")
    assert sorted(lines) == sorted(f"{key}\t{value}" for key, value in expected.items())

"""The shipped examples that run several jobs, and the small ones that need their arguments."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from disco_rq import Disco
from disco_rq.examples.join import join
from disco_rq.examples.kmeans import kmeans
from disco_rq.examples.pagerank import pagerank


def typed(disco: Disco, *words: str, status: int = 0) -> tuple[list[str], str]:
    """``python -m`` these words, on the tests' cluster: the lines of stdout, and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, "DISCO_RQ_REDIS": disco.url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    return done.stdout.splitlines(), done.stderr


def run_program(disco: Disco, name: str, *words: str, status: int = 0) -> tuple[list[str], str]:
    return typed(disco, "disco_rq.cli", "run", "-q", f"disco_rq.examples.{name}", *words, status=status)


# -- grep and the inverted index


def test_grep_gives_the_lines_that_match_with_their_files(disco: Disco, tmp_path: Path) -> None:
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    one.write_text("status 200\nstatus 404\n")
    two.write_text("40404\nfine\n")

    lines, _ = run_program(disco, "grep", "-p", "pattern=404", str(one), str(two))

    assert sorted(lines) == [f"{one}\tstatus 404", f"{two}\t40404"]


def test_grep_without_a_pattern_says_how_to_name_one(disco: Disco, text_files: list[str]) -> None:
    lines, told = run_program(disco, "grep", *text_files, status=1)

    assert lines == []
    assert "no pattern: name one with -p pattern=REGEX" in told


def test_the_inverted_index_names_the_files_of_each_word_the_richest_first(
    disco: Disco, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("The cat.\nA cat, the dog\n")
    two.write_text("cat cat CAT\nbird\n")

    lines, _ = run_program(disco, "inverted_index", "--json", str(one), str(two))

    assert sorted(lines) == [
        f'["a", [["{one}", 1]]]',
        f'["bird", [["{two}", 1]]]',
        f'["cat", [["{two}", 3], ["{one}", 2]]]',
        f'["dog", [["{one}", 1]]]',
        f'["the", [["{one}", 2]]]',
    ]


# -- k-means


CENTERS = [(0.0, 0.0), (0.0, 100.0), (100.0, 0.0)]


@pytest.fixture
def point_files(tmp_path: Path) -> list[str]:
    """30 points in a square around each of the centers, whose mean is that center, in four files."""
    around = [(x, y) for x in (-2, -1, 0, 1, 2) for y in (-3, -2, -1, 1, 2, 3)]
    points = [(cx + x, cy + y) for cx, cy in CENTERS for x, y in around]
    random.Random(7).shuffle(points)
    paths = [tmp_path / f"points{n}.csv" for n in range(4)]
    for n, path in enumerate(paths):
        path.write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in points[n::4]))
    return [str(path) for path in paths]


def test_kmeans_finds_the_clusters(disco: Disco, point_files: list[str]) -> None:
    before = len(disco.joblist())

    found = kmeans(disco, point_files, 3)

    assert sorted((tuple(round(number, 9) for number in center), points) for center, points in found) == [
        (center, 30) for center in CENTERS
    ]
    assert len(disco.joblist()) == before


def test_kmeans_looks_for_no_more_clusters_than_there_are_points(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("1,1\n1,1\n5,5\n")

    assert sorted(kmeans(disco, [str(tmp_path / "few.csv")], 4)) == [((1.0, 1.0), 2), ((5.0, 5.0), 1)]


def test_kmeans_tells_of_each_round_and_prints_its_clusters(disco: Disco, point_files: list[str]) -> None:
    lines, told = typed(disco, "disco_rq.examples.kmeans", "-k", "1", *point_files)

    assert lines == ["90\t33.3333,33.3333"]
    assert "squared distance to 1 centers" in told


# -- PageRank


def test_pagerank_gives_the_known_ranks(disco: Disco, tmp_path: Path) -> None:
    """The graph of four pages in many a lecture; its ranks to four digits are well known."""
    (tmp_path / "links.txt").write_text("a b c\nb c\nc a\nd c\n")
    before = len(disco.joblist())

    ranks = dict(pagerank(disco, [str(tmp_path / "links.txt")]))

    known = {"a": 0.3725, "b": 0.1958, "c": 0.3941, "d": 0.0375}
    assert {page: rank / 4 for page, rank in ranks.items()} == pytest.approx(known, abs=1e-4)
    assert len(disco.joblist()) == before


def test_pagerank_loses_no_rank_in_pages_without_links(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "links.txt").write_text("a b\n")

    ranks = dict(pagerank(disco, [str(tmp_path / "links.txt")], precision=1e-3))

    assert sum(ranks.values()) == pytest.approx(2)
    assert ranks["b"] / ranks["a"] == pytest.approx(1.85, abs=0.01)


def test_pagerank_prints_its_ranks(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "links.txt").write_text("a b\nb a\n")

    lines, _ = typed(disco, "disco_rq.examples.pagerank", str(tmp_path / "links.txt"))

    assert sorted(lines) == ["a\t1.0000", "b\t1.0000"]


# -- the table that is cleaned

SALES = """day,country,price
2026-11-01, fi ,2.50
2026-11-30,FI,1.25
2026-12-01,se,4
"""


def test_a_table_is_cleaned_and_summed(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(
        SALES + "2026-12-02,se,1\n" * 96 + "some day,se,1\n2026-12-03,se,free\n2026-12-03,no,-1\nx\n"
    )

    lines, _ = run_program(disco, "clean", str(path))

    assert sorted(lines) == ["('FI', '2026-11')\t3.75", "('SE', '2026-12')\t100"]
    bad = list(disco.bad_entries(disco.joblist()[0][2]))
    assert [one.error.partition(":")[0] for one in bad] == [
        *("ValueError", "InvalidOperation", "a price below zero", "1 columns, the header has 3")
    ]


def test_a_table_of_which_much_is_bad_is_refused_with_the_rows(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(SALES + "2026-12-03,no,-1\n")

    lines, told = run_program(disco, "clean", str(path), status=1)

    assert lines == []
    assert "too many bad entries: 1 of 4 that were read, more than max_bad=0.05 allows: once a price" in told
    assert f"{path}, byte " in told


# -- the join


def test_the_join_gives_each_pair_of_rows_with_the_same_key(disco: Disco, tmp_path: Path) -> None:
    people, visits = tmp_path / "people.csv", tmp_path / "visits.csv"
    people.write_text('1,ann\n2,bob\n\n3,"cy, jr."\n3,cy\n')
    visits.write_text("1,2026,may\n3,2025,june\n1,2024,july\n9,2023,may\n")
    before = len(disco.joblist())

    rows = sorted(join(disco, [str(people)], [str(visits)]))

    assert rows == [
        ["1", "ann", "2024", "july"],
        ["1", "ann", "2026", "may"],
        ["3", "cy", "2025", "june"],
        ["3", "cy, jr.", "2025", "june"],
    ]
    assert len(disco.joblist()) == before


def test_the_join_prints_rows_and_names_a_table_that_is_missing(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "left.csv").write_text("1,a\n")
    (tmp_path / "right.csv").write_text('1,"b, c"\n')
    program, left, right = "disco_rq.examples.join", str(tmp_path / "left.csv"), str(tmp_path / "right.csv")

    assert typed(disco, program, left, right)[0] == ['1,a,"b, c"']
    assert typed(disco, program, left, "/none.csv", status=1) == (
        [],
        "join: input /none.csv: no such file\n",
    )

"""What README and manual show as a program runs as it is printed, and gives what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.documents import README, example, output_of, page, section


def test_the_readme_shows_what_its_job_prints() -> None:
    text = README.read_text()
    program = example(text)
    [printed] = re.findall(r"^```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)

    assert len([line for line in program.splitlines() if line.strip()]) <= 22
    assert output_of(program) == printed.splitlines()


def test_the_first_job_runs_as_printed() -> None:
    lines = output_of(example(section("first-job", "A job in twenty lines")))

    expected = re.findall(r"\w+", README.read_text().lower())
    counts = dict(line.split() for line in lines[:-1])
    assert int(counts["disco"]) == expected.count("disco")
    assert len(counts) == len(set(expected))
    assert lines[-1] == f"localhost {{'words': {len(expected)}}}"


def test_the_job_in_one_process_runs_as_printed() -> None:
    *lines, message, counters = output_of(example(section("testing", "A job in one process")))

    words = re.findall(r"\w+", README.read_text().lower())
    assert dict(line.split() for line in lines) == {
        word: str(words.count(word)) for word in {"map", "reduce"}
    }
    assert message == "['map 0 is here', 'map 1 is here']"
    assert counters == f"{{'words': {len(words)}}}"


def test_the_bad_entries_are_printed() -> None:
    assert output_of(example(section("jobs-over-time", "Bad entries"))) == [
        "21 | 2 | ValueError: could not convert string to float: 'free' | {'country': 'se', 'price': 'free'}",
        "29 | 3 | a price below zero | {'country': 'no', 'price': '-1'}",
        "35 | 4 | 1 columns, the header has 2 | no",
    ]


def test_a_job_that_died_goes_on_as_printed() -> None:
    [line] = output_of(example(section("jobs-over-time", "Going on with a job that died")))

    pairs, kept = line.rsplit(" ", 1)
    assert pairs == "[(0, 1), (1, 1), (2, 1)]"
    assert int(kept) <= 2


def test_the_daily_job_maps_new_files_only_as_printed() -> None:
    printed = output_of(example(section("jobs-over-time", "Every day again")))

    assert printed == ["1 0", "2 1", "3 2"]


def test_the_external_program_runs_as_printed() -> None:
    lines = output_of(example(page("external")))

    long_words = [word for word in README.read_text().split() if len(word) > 25]
    found = dict(line.split(" ", 1) for line in lines)
    assert set(found) == {word[0] for word in long_words}
    for letter, word in found.items():
        assert len(word) == max(len(other) for other in long_words if other[0] == letter)
        assert word in long_words


def test_a_map_in_a_unit_test_passes() -> None:
    assert output_of(example(section("testing", "A map in a unit test")) + "\n\ntest_map()\n") == []


def test_the_join_prints_what_it_says() -> None:
    told = section("joins", "Two files, one job")
    [printed] = re.findall(r"^```text\n(.*?)^```", told, re.DOTALL | re.MULTILINE)

    assert output_of(example(told)) == printed.splitlines()


def test_a_combiner_of_ones_own_combines() -> None:
    combiner = example(section("combiners", "A combiner of your own"))
    job = """
from disco_rq import local, result_iterator

def map(line, params):
    return [(word, len(word)) for word in ("aa", "b", "aa")]

job = local.run("longest", ["raw://x"], map=map, combiner=longest)
print(sorted(result_iterator(job.wait())))
"""

    assert output_of(combiner + job) == ["[('aa', 2), ('b', 1)]"]


def test_a_program_file_runs_as_shown(tmp_path: Path) -> None:
    program = example(section("first-job", "A program file"))
    (tmp_path / "longest.py").write_text(program)

    done = subprocess.run(
        [sys.executable, "-m", "disco_rq.cli", "run", "--local", "longest.py", "raw://Ada saw an aardvark"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert sorted(done.stdout.splitlines()) == ["a\t8", "s\t3"], done.stderr

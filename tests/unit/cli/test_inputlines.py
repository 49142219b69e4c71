"""What a job reads, in a few lines."""

from __future__ import annotations

from disco_rq.cli.inputlines import MOST_LINES, grouped


def test_few_inputs_have_a_line_each_with_their_replicas() -> None:
    assert grouped([["a.txt"], ["b.txt", "c.txt"]], 2) == ["a.txt", "b.txt c.txt"]


def test_pieces_of_a_file_are_one_line() -> None:
    assert grouped([["a.txt"]] * 3 + [["b.txt"]], 4) == ["a.txt (3 maps)", "b.txt"]


def test_many_inputs_have_a_line_for_each_folder() -> None:
    days = [[f"/logs/{day}.gz"] for day in range(10, 30)]

    assert grouped([*days, ["/more/x"]], 21) == ["/logs/: 20 inputs, from 10.gz to 29.gz", "/more/x"]


def test_many_folders_are_counted() -> None:
    found = grouped([[f"/{number}/a"] for number in range(15)], 15)

    assert len(found) == MOST_LINES + 1
    assert found[-1] == "and 5 more in 5 other folders"


def test_the_maps_that_were_not_told_are_counted() -> None:
    assert grouped([["a"]], 5_001) == ["a", "and those of 5,000 more maps"]
    assert grouped([], 5) == []

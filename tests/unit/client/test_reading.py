"""``result_iterator``: what it takes beside a list of addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from disco_rq import DataError, DiscoError, result_iterator
from disco_rq.cli.app import cli
from disco_rq.errors import ConnectionLost


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A directory of results of several formats, and what others left there."""
    directory = tmp_path / "out"
    (directory / "day=1").mkdir(parents=True)
    (directory / "part-00001.jsonl").write_text('{"key":"b","value":[2]}\n')
    (directory / "part-00000.txt").write_text("a\t1\n")
    (directory / ".part-00000.1-12345678.txt").write_text("hidden\t1\n")
    (directory / "_SUCCESS").touch()
    (directory / "day=1" / "part-00002.csv").write_text("key,value\r\nc,3\r\n")
    return directory


def test_a_directory_and_a_pattern_stand_for_the_files_that_inputs_stand_for(saved: Path) -> None:
    above = [("a", "1"), ("b", [2])]
    assert list(result_iterator(saved)) == above
    assert list(result_iterator(f"{saved}/")) == above
    assert list(result_iterator(f"dir://{saved}")) == above
    assert list(result_iterator(f"{saved}/*.txt")) == above[:1]
    assert list(result_iterator(f"{saved}/day=*/*")) == [("c", "3")]
    assert sorted(result_iterator(f"{saved}/**")) == [*above, ("c", "3")]


def test_one_address_and_a_path_are_results_too(saved: Path) -> None:
    assert list(result_iterator(f"file://{saved}/part-00000.txt")) == [("a", "1")]
    assert list(result_iterator([saved / "part-00000.txt"])) == [("a", "1")]
    assert list(result_iterator([["/gone", saved / "part-00000.txt"]])) == [("a", "1")]


def test_who_has_results_is_asked_for_them_and_their_order_is_kept(saved: Path) -> None:
    class Waits:
        def wait(self) -> list[str]:
            return [f"{saved}/part-00001.jsonl", f"{saved}/part-00000.txt"]

    assert list(result_iterator(Waits())) == [("b", [2]), ("a", "1")]


def test_the_command_line_prints_saved_results_with_no_cluster(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISCO_RQ_REDIS", raising=False)

    assert CliRunner().invoke(cli, ["cat", str(saved)]).output == "a\t1\nb\t[2]\n"


def test_what_is_not_there_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISCO_RQ_REDIS", raising=False)
    with pytest.raises(DataError, match=r"^/nowhere/at/all: no such file$"):
        list(result_iterator("/nowhere/at/all"))
    with pytest.raises(DataError, match="nowhere: no such file; the whole name of a job is like count@2026"):
        list(result_iterator("nowhere"))
    with pytest.raises(DataError, match=r"none\*: nothing matches"):
        list(result_iterator(f"{saved}/none*"))
    with pytest.raises(ConnectionLost, match=r"count@20261129-120000-a1b2 is a job .* or set DISCO_RQ_REDIS"):
        list(result_iterator("count@20261129-120000-a1b2"))
    with pytest.raises(
        DiscoError, match=r"takes a job, its name, a directory, a pattern, or a list .* not 7"
    ):
        list(result_iterator(7))  # type: ignore[call-overload]
    with pytest.raises(DiscoError, match="takes addresses as text, not 7"):
        list(result_iterator([[7]]))  # type: ignore[list-item]

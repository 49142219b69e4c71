"""Replicas: the next one is read for one that fails, wherever it fails; what that one gave does not count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, local, result_iterator
from disco_rq.runtime import counter, data_err, this_input, this_inputs
from tests.unit.inputs.webserver import WebFile, served

Run = Callable[..., Any]
LINES = [f"line {i}" for i in range(60_000)]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
CUT = 400_000
"""Lines were mapped before so many bytes came."""


@pytest.fixture(params=["cluster", "local"])
def run(request: pytest.FixtureRequest, disco: Disco) -> Run:
    """Runs a job to its end, where the parameter says."""

    def ended(*args: Any, **arguments: Any) -> Any:
        job = (disco.new_job if request.param == "cluster" else local.run)("replicas", *args, **arguments)
        job.wait(timeout=60)
        return job

    return ended


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    with ExitStack() as opened:
        yield lambda **how: opened.enter_context(served(WebFile(TEXT, **how))).url


def told(line: str, params: Any) -> list[tuple[str, Any]]:
    counter("lines")
    return [(line, (this_input(), this_inputs()))]


def rows(job: Any) -> list[Any]:
    return list(result_iterator(job.wait()))


def test_one_that_ends_in_the_middle_gives_nothing_and_the_next_all(run: Run, serve: Any) -> None:
    cut, whole = serve(cuts=[CUT] * 9), serve()
    job = run([[cut, whole]], map=told, max_failures=1)
    assert rows(job) == [(line, (whole, [whole])) for line in LINES]


def test_one_that_is_gone_does_not_make_one_that_failed_come_again(
    run: Run, serve: Any, tmp_path: Path
) -> None:
    gone, cut, whole = f"{tmp_path}/gone", serve(cuts=[CUT] * 9), serve()
    job = run([[gone, cut, whole]], map=told, max_failures=1)
    assert rows(job) == [(line, (whole, [whole])) for line in LINES]


def test_the_one_that_is_read_is_named(run: Run, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_text("a\n")
    job = run([[f"{tmp_path}/gone", str(good)], "raw://b"], map=told)
    assert rows(job) == [("a", (str(good), [str(good)])), ("b", ("raw://b", ["raw://b"]))]


def test_pieces_of_a_file_go_on_with_another(run: Run, serve: Any) -> None:
    accepts = {"Accept-Ranges": "bytes"}
    first, second = serve(headers=accepts, cuts=[20, 20, 20]), serve(headers=accepts)
    job = run([[first, second]], map=told, split_size=200_000, max_failures=1)
    assert sorted(line for line, _ in rows(job)) == sorted(LINES)


def test_one_that_was_rewritten_is_dropped_for_the_next(run: Run, tmp_path: Path) -> None:
    for name in ("changes", "stays"):
        (tmp_path / name).write_text("a\n")

    def rewrites(line: str, params: Any) -> list[tuple[str, Any]]:
        if this_input() == params:
            Path(params).write_text("b\n")
            data_err("it was another", params)
        return [(line, this_inputs())]

    changes, stays = f"{tmp_path}/changes", f"{tmp_path}/stays"
    assert rows(run([[changes, stays]], map=rewrites, params=changes)) == [("a", [stays])]


def test_when_all_have_failed_the_first_is_tried_again(run: Run, tmp_path: Path) -> None:
    replicas = [str(tmp_path / name) for name in ("one", "two")]
    for replica in replicas:
        Path(replica).write_text("a\n")

    def third_time(line: str, params: Any) -> list[tuple[str, Any]]:
        tries = Path(params)
        tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
        if len(tries.read_text()) < 3:
            data_err("not yet")
        return [(line, this_inputs())]

    params = f"{tmp_path}/tries"
    assert rows(run([replicas], map=third_time, params=params)) == [("a", replicas[:1])]
    Path(params).unlink()
    with pytest.raises(JobError, match="not yet"):
        run([replicas], map=third_time, params=params, max_failures=1)

"""What makes the way from Disco shorter: stages, hints for what Disco did otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq import Disco, DiscoError, JobError, UnknownJob, local, result_iterator
from disco_rq.func import chain_reader
from tests.cluster.small_jobs import run


def words(line: str, params: Any) -> list[tuple[str, int]]:
    return [(word, 1) for word in line.split()]


def total(pairs: Any, params: Any) -> list[tuple[str, int]]:
    return [("all", sum(n for _, n in pairs))]


def uses_a_module(line: str, params: Any) -> list[tuple[str, int]]:
    return [(json.loads(line), 1)]  # type: ignore[name-defined]  # noqa: F821


INPUT = ["raw://a b", "raw://c d e"]


def test_what_each_stage_wrote_can_be_read_and_reduced_again(disco: Disco) -> None:
    job = run(disco, input=INPUT, map=words, reduce=total, nr_reduces=2)
    results = job.wait(timeout=30)

    maps = job.stage_results("map")
    assert sorted(result_iterator(maps)) == [(word, 1) for word in "abcde"]
    assert job.stage_results("reduce") == results == disco.stage_results(job.name, "reduce")
    again = run(disco, input=maps, reduce=total, nr_reduces=2)
    assert sorted(result_iterator(again.wait(timeout=30))) == sorted(result_iterator(results))
    with pytest.raises(DiscoError, match="stage_results\\('shuffle'\\): it takes"):
        job.stage_results("shuffle")  # type: ignore[arg-type]
    job.purge()
    with pytest.raises(UnknownJob):
        job.stage_results("map")


def test_a_local_job_has_stages_too() -> None:
    job = local.run("stages", INPUT, map=words, reduce=total, nr_reduces=2)

    assert sorted(result_iterator(job.stage_results("map"))) == [(word, 1) for word in "abcde"]
    assert job.stage_results("reduce") == job.wait()


def test_a_stage_that_the_job_does_not_have_is_empty(disco: Disco) -> None:
    job = run(disco, input=INPUT, map=words)

    assert job.wait(timeout=30) == job.stage_results("map")
    assert job.stage_results("reduce") == []


def test_a_module_that_is_not_imported_is_told_with_the_argument_that_brings_it(disco: Disco) -> None:
    with pytest.raises(JobError, match=r"NameError.*submit with required_modules=\['json'\]"):
        run(disco, input=["raw://1"], map=uses_a_module)

    mended = run(disco, input=["raw://1"], map=uses_a_module, required_modules=["json"])
    assert list(result_iterator(mended.wait(timeout=30))) == [(1, 1)]


@pytest.mark.parametrize("asked", ["force_local", "force_remote"])
def test_a_wish_for_nodes_that_no_input_names_is_told(disco: Disco, asked: str) -> None:
    def history(**arguments: Any) -> list[str]:
        job = run(disco, scheduler={asked: True}, **arguments)
        job.wait(timeout=30)
        return [message for _, (_, _, message) in job.events() if "has no effect" in message]

    made = run(disco, input=INPUT, map=words)
    told = f"{asked} has no effect: no map has an input that is on a node, disco://NODE/…"
    assert history(input=INPUT, map=words) == [told]
    if asked == "force_local":
        assert history(input=made.wait(timeout=30), map=words_of_pairs, map_reader=chain_reader) == []


def words_of_pairs(entry: Any, params: Any) -> list[Any]:
    return [entry]

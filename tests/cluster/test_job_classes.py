"""A job that is described by a class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq import Disco, Job, JobArgumentError, Params, result_iterator
from disco_rq.func import kvgroup, sum_combiner
from tests.cluster.small_jobs import pairs
from tests.documents import README, page


class Words(Job):
    sort = True
    params = Params(least=1)

    @staticmethod
    def map(line: str, params: Any) -> Iterator[tuple[str, int]]:
        yield from ((word, 1) for word in line.split() if len(word) >= params.least)

    @staticmethod
    def reduce(iter: Any, params: Any) -> Iterator[tuple[str, int]]:
        for word, ones in kvgroup(iter):
            yield word, sum(ones)


class LongWords(Words):
    name = "long"
    input = ("raw://a bb ccc ccc",)
    params = Params(least=3)


def test_its_attributes_are_the_arguments(disco: Disco) -> None:
    job = Words.submit(disco, ["raw://a b a"])

    assert isinstance(job, Words)
    assert job.name.startswith("Words@")
    assert pairs(job) == [("a", 2), ("b", 1)]
    assert job.jobspec()["sort"] is True


def test_a_variant_inherits(disco: Disco) -> None:
    job = LongWords.submit(disco)

    assert job.name.startswith("long@")
    assert pairs(job) == [("ccc", 2)]


def test_what_is_given_wins_over_the_class(disco: Disco) -> None:
    job = LongWords.submit(disco, ["raw://a bb"], params=Params(least=2), nr_reduces=2)

    assert pairs(job) == [("bb", 1)]
    assert job.jobinfo()["redi"] == [0, 0, 2, 0]


def test_a_class_of_a_function_is_shipped(disco: Disco) -> None:
    class Inner(Words):
        @staticmethod
        def map(line: str, params: Any) -> Iterator[tuple[str, int]]:
            yield from Words.map(line.upper(), params)

    assert pairs(Inner.submit(disco, ["raw://a A"])) == [("A", 2)]


def test_mistakes_are_refused_as_by_new_job(disco: Disco) -> None:
    class WithSelf(Job):
        def map(self, line: str, params: Any) -> list[Any]:
            return []

    with pytest.raises(JobArgumentError, match=r"map is called with \(entry, params\)"):
        WithSelf.submit(disco, ["raw://a"])
    with pytest.raises(JobArgumentError, match="@staticmethod"):
        WithSelf.submit(disco, ["raw://a"])

    class NearMiss(Words):
        nr_reduce = 2

    with pytest.raises(
        JobArgumentError, match=r"NearMiss.nr_reduce is no argument of a job \(nr_reduces\?\)"
    ):
        NearMiss.submit(disco, ["raw://a"])
    with pytest.raises(JobArgumentError, match="input takes a list"):
        Words.submit(disco)
    with pytest.raises(JobArgumentError, match="neither"):
        Job.submit(disco, ["raw://a"])


def test_the_example_of_the_manual_runs(disco: Disco, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = re.findall(
        r"test_job_classes runs this -->\n```python\n(.*?)```", page("arguments"), re.DOTALL
    )
    monkeypatch.chdir(README.parent)
    space: dict[str, Any] = {"__name__": "__main__", "Job": Job, "disco": disco}

    exec(example, space | {"kvgroup": kvgroup, "sum_combiner": sum_combiner}, space)  # noqa: S102  it is ours

    counts = dict(result_iterator(space["job"].wait(timeout=30)))
    assert counts == Counter(README.read_text().split())


def test_a_property_is_no_argument(disco: Disco) -> None:
    class WithProperty(Words):
        @property
        def params(self) -> Params:  # type: ignore[override]
            return Params(least=2)

    with pytest.raises(JobArgumentError, match=r"WithProperty\.params is a property"):
        WithProperty.submit(disco, ["raw://a"])


def test_a_class_does_not_hide_what_every_job_has(disco: Disco) -> None:
    class Results(Words):
        results = 5  # type: ignore[assignment]

    class Waits(Words):
        @staticmethod
        def wait() -> None:  # type: ignore[override]
            pass

    class Louder(Words):
        def kill(self) -> None:
            super().kill()

    for cls in (Results, Waits):
        with pytest.raises(JobArgumentError, match="hides the method"):
            cls.submit(disco, ["raw://a"])
    assert pairs(Louder.submit(disco, ["raw://a"])) == [("a", 1)]


def test_a_class_that_submit_cannot_make_an_object_of_is_refused_before_it_runs(disco: Disco) -> None:
    class Made(Words):
        def __init__(self, day: str) -> None:
            self.day = day

    with pytest.raises(JobArgumentError, match=r"Made\.__init__ must take \(disco, name\)"):
        Made.submit(disco, ["raw://a"])
    assert not [job for _, _, job in disco.joblist() if job.startswith("Made@")]

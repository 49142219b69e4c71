"""Params with functions: of the program itself, of local modules, lambdas, in every job function."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from disco_rq import Disco, Params
from disco_rq.func import kvgroup
from disco_rq.settings import PREFIX
from tests.cluster import helper_module
from tests.cluster.small_jobs import death, pairs, run

ROOT = Path(__file__).parents[2]


def add(a: int, b: int) -> int:
    return a + b


def over_ten(x: int) -> int:
    return int(x > 10)


def mapped(entry: str, params: Any) -> list[tuple[str, int]]:
    return [(entry, params.f1(int(entry), params.x))]


def reduced(iter: Any, out: Any, params: Any) -> None:
    for key, value in iter:
        out.add(key, params.f2(int(value)))


def test_functions_in_params_are_called_in_map_and_reduce(disco: Disco) -> None:
    job = run(
        disco,
        input=[f"raw://{n}" for n in range(10)],
        map=mapped,
        params=Params(x=5, f1=add, f2=over_ten),
        reduce=reduced,
        nr_reduces=1,
    )

    assert sorted(pairs(job)) == [(str(n), over_ten(n + 5)) for n in range(10)]


def test_lambdas_closures_local_and_installed_functions_all_travel(disco: Disco) -> None:
    factor = 3
    params = Params(
        steps=[lambda n: n + 1, lambda n: n * factor, helper_module.double, abs], named={"sum": sum}
    )

    def through(entry: str, params: Any) -> list[tuple[str, int]]:
        number = int(entry)
        for step in params.steps:
            number = step(number)
        return [(entry, params.named["sum"]([number, 1]))]

    assert pairs(run(disco, input=["raw://-5"], map=through, params=params)) == [("-5", 25)]


def test_functions_in_params_may_use_the_runtime(disco: Disco) -> None:
    def tell(entry: str) -> None:
        put(entry, this_partition())  # type: ignore[name-defined]  # noqa: F821

    def putting(entry: str, params: Any) -> list[Any]:
        params.tell(entry)
        return []

    job = run(disco, input=["raw://a", "raw://b"], map=putting, params=Params(tell=tell))
    assert {key: job.oob_get(key) for key in job.oob_list()} == {"a": 0, "b": 1}


def test_each_task_has_a_copy_of_its_own_and_its_phases_share_it(disco: Disco) -> None:
    def start(entries: Any, params: Any) -> None:
        params.seen = ["init"]

    def seen(entry: str, params: Any) -> list[tuple[str, int]]:
        params.seen.append(entry)
        return [(",".join(params.seen), 1)]

    def count(iter: Any, params: Any) -> Iterator[tuple[str, bool]]:
        for key, _ in kvgroup(iter):
            yield key, hasattr(params, "seen")

    job = run(
        disco,
        input=["raw://a\nb", "raw://c"],
        map=seen,
        map_init=start,
        reduce=count,
        sort=True,
        params=Params(x=1),
    )
    assert pairs(job) == [("init,a", False), ("init,a,b", False), ("init,c", False)]


def test_a_param_that_is_not_there_is_named(disco: Disco) -> None:
    told = death(disco, map=lambda entry, params: [(entry, params.limt)], params=Params(limit=1))
    assert "AttributeError: the job's params have no 'limt', only limit" in told


def test_functions_of_a_program_and_of_modules_beside_it_travel(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("OFFSET = 100\ndef shift(n):\n    return n + OFFSET\n")
    (tmp_path / "program.py").write_text(
        textwrap.dedent("""
            import beside
            from disco_rq import Disco, Params, result_iterator

            def twice(n):
                return 2 * helper(n)

            def helper(n):
                return n + 1

            def map(entry, params):
                return [(entry, params.shift(params.twice(int(entry))) + params.more(0))]

            if __name__ == "__main__":
                with Disco() as disco:
                    params = Params(twice=twice, shift=beside.shift, more=lambda n: helper(n))
                    job = disco.new_job("main", ["raw://5"], map=map, params=params)
                    print(list(result_iterator(job.wait(timeout=30))))
                    job.purge()
        """)
    )
    environment = {**os.environ, PREFIX + "REDIS": disco.url, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.stdout, done.stderr) == ("[('5', 113)]\n", "")

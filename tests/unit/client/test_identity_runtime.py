"""Names of the runtime API count, however code comes to them: an output with its job's name is its own."""

from __future__ import annotations

from typing import Any

import pytest

import disco_rq
import disco_rq.runtime as api
from disco_rq.client.identity import identity_of


def names_the_job() -> str:
    return this_name()  # type: ignore[name-defined, no-any-return]  # noqa: F821


def by_the_module() -> Any:
    return api.this_name()


def by_the_package() -> Any:
    return disco_rq.runtime.this_name()


def by_an_import_of_a_name() -> Any:
    from disco_rq.runtime import this_name as name

    return name()


def by_an_import_of_the_module() -> Any:
    from disco_rq import runtime

    return runtime.this_name()


def by_an_import_under_another_name() -> Any:
    import disco_rq.runtime as short

    return short.this_name()


def by_getattr() -> Any:
    return getattr(api, "this_" + "name")()


def out_of_a_set() -> Any:
    return [one() for one in _SET]


_SET = {names_the_job}


@pytest.mark.parametrize(
    "function",
    [
        *(by_the_module, by_the_package, by_an_import_of_a_name, by_an_import_of_the_module),
        *(by_an_import_under_another_name, by_getattr, out_of_a_set),
    ],
)
def test_names_of_the_runtime_are_told_however_the_code_comes_to_them(function: Any) -> None:
    assert "this_name" in identity_of(function).runtime


def test_an_import_of_one_name_of_the_runtime_is_of_that_name_only() -> None:
    def maps(line: dict[str, int], params: Any) -> Any:
        from disco_rq.runtime import counter

        counter("lines", line.get("n", 1))

    assert identity_of(maps).runtime == {"counter"}

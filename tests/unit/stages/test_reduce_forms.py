"""Which of its two forms a reduce has: ``(pairs, params)``, or ``(pairs, out, params)``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stages.test_stages import Job, words


def of_two(pairs: Any, params: Any) -> Any:
    return [("two", params)]


def with_an_option(pairs: Any, params: Any, top: int = 10) -> Any:
    return [("two", params), ("top", top)]


def with_options_by_name(pairs: Any, params: Any, *, top: int = 10) -> Any:
    return [("two", params), ("top", top)]


def with_options(pairs: Any, params: Any = None, top: int = 10, *more: Any) -> Any:
    return [("two", params), ("top", top)]


def of_three(pairs: Any, out: Any, params: Any) -> None:
    out.add("three", params)


def with_default_params(iter: Any, out: Any, params: Any = None) -> None:
    out.add("three", params)


def of_any(pairs: Any, *more: Any) -> None:
    out, params = more
    out.add("three", params)


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    return call


class Called:
    def __call__(self, pairs: Any, params: Any, top: int = 10) -> Any:
        return with_an_option(pairs, params, top)


TWO: list[Callable[..., Any]] = [of_two, wrapped(of_two)]
WITH_TOP: list[Callable[..., Any]] = [
    with_an_option,
    with_options_by_name,
    with_options,
    wrapped(with_an_option),
    partial(with_an_option, top=10),
    lambda pairs, params, top=10: with_an_option(pairs, params, top),
    Called(),
]
THREE: list[Callable[..., Any]] = [
    of_three,
    with_default_params,
    of_any,
    wrapped(of_three),
    wrapped(with_default_params),
]


def given_out(reduce: Callable[..., Any], directory: Path) -> Any:
    return Job(directory, {"map": words, "reduce": reduce, "params": "P"}).run("raw://x")


@pytest.mark.parametrize("reduce", TWO)
def test_of_two_arguments_the_second_is_params(reduce: Callable[..., Any], tmp_path: Path) -> None:
    assert given_out(reduce, tmp_path) == [[("two", "P")]]


@pytest.mark.parametrize("reduce", WITH_TOP)
def test_a_third_argument_that_has_a_default_keeps_it(reduce: Callable[..., Any], tmp_path: Path) -> None:
    assert given_out(reduce, tmp_path) == [[("two", "P"), ("top", 10)]]


@pytest.mark.parametrize("reduce", THREE)
def test_of_three_arguments_the_second_is_out(reduce: Callable[..., Any], tmp_path: Path) -> None:
    assert given_out(reduce, tmp_path) == [[("three", "P")]]

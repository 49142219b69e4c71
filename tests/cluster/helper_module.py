"""A local module of the job functions in test_jobs: it travels with them."""

from __future__ import annotations


def double(number: int) -> int:
    return _times(number, 2)


def _times(number: int, factor: int) -> int:
    return number * factor

"""Inputs as people hold them, on a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, result_iterator


def _lines(line: str, params: Any) -> Iterable[tuple[str, int]]:
    return [(line, 1)]


@pytest.mark.parametrize("kind", [iter, set, frozenset, tuple, dict.fromkeys])
def test_whatever_gives_addresses_is_an_input(disco: Disco, tmp_path: Path, kind: Any) -> None:
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text(path.name)
    given = kind(paths)
    job = disco.new_job("given", given.keys() if isinstance(given, dict) else given, map=_lines)
    assert list(result_iterator(job.wait(60))) == [("a", 1), ("b", 1)]
    assert job.jobspec()["input"] == [str(path) for path in paths]

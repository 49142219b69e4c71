"""A map that dies leaves no input open, however long its error is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from disco_rq import JobError
from disco_rq.local import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what is open")


def is_open(path: Path) -> bool:
    links = []
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            links.append(str(fd.readlink()))
    return str(path) in links


@pytest.mark.parametrize("more", [{}, {"max_bad": 0}, {"max_bad": 0, "sort": True}])
def test_it_is_closed_while_the_error_is_still_there(tmp_path: Path, more: dict[str, Any]) -> None:
    lines = tmp_path / "lines"
    lines.write_text("1\nx\n3\n")
    seen = []

    def number(line: str, params: Any) -> Iterator[tuple[int, int]]:
        seen.append(is_open(lines))
        yield int(line), 1

    with pytest.raises(JobError) as kept:
        run("dies", [str(lines)], map=number, **more)

    assert seen == [True, True]
    assert not is_open(lines)
    assert "invalid literal" in str(kept.value)

"""``func.re_reader``: the matches are those in the whole text, wherever its reads end."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disco_rq import func
from disco_rq.errors import WrongContent
from disco_rq.readers import expressions

EXPRESSIONS = [
    r"(\d+),?",
    r"(\d+)\s+",
    r"(a+)(?:bc)?",
    r"(a)(?!bc)|(b)(?=c$)|(c)",
    r"(.*?)\n",
    r"(.*)\n",
    r"(.*),",
    r"(a.*?c|a|\s)",
    r"(\w+)\b|(\W+)",
    r"(?s)(a+|.)$|(.)",
    r"^(\w)|(,)",
    r"(?<!a)(.)|(?<=a)(b)",
    r"\A([ab]*)\B(c?)",
    r"(?m)([^\n]*)$\n?",
    r"(é+)(\d{0,3})",
]


def in_whole(expression: str, text: str) -> list[Any]:
    """Disco's rule: a match at the start of the text, then one at the start of what is left."""
    found: list[Any] = []
    while (match := re.match(expression, text)) and match.end():
        found.append(match.groups())
        text = text[match.end() :]
    return [*found, [text]] if text else found


def read(expression: str, text: str, buffer_size: int = 8192) -> list[Any]:
    data = text.encode()
    file = io.BytesIO(data)
    return list(
        func.re_reader(expression, file, len(data), "f", output_tail=True, read_buffer_size=buffer_size)
    )


@pytest.mark.parametrize("expression", EXPRESSIONS)
@settings(max_examples=30, deadline=None)
@given(st.text("abc, \n12é", max_size=60), st.integers(1, 9))
def test_matches_are_those_in_the_whole_text_however_little_is_read_at_a_time(
    expression: str, text: str, buffer_size: int
) -> None:
    # No line is longer, nor does an expression look farther.
    text = re.sub("([^\n]{7})", "\\1\n", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expressions, "_AHEAD_CHARS", 10)
        assert read(expression, text, buffer_size) == in_whole(expression, text)


def test_numbers_at_the_border_of_a_read_are_not_cut() -> None:
    numbers = [str(number * 7919) for number in range(20_000)]
    assert [number for (number,) in read(r"(\d+),?", ",".join(numbers))] == numbers


def test_a_match_may_go_on_far_behind_what_is_read_at_a_time() -> None:
    text = "a" * 300_000 + "b" + "c" * 100_000
    assert read("(a+)(?:bc)?(c*)", text) == [("a" * 300_000, "c" * 99_999)]
    assert read("(?s)(.*)b", text) == [("a" * 300_000,), ["c" * 100_000]]


def test_what_decides_a_match_may_lie_as_far_as_the_buffer_is_large() -> None:
    text = "a" + "b" * 90_000 + "c" + "d" * 200_000
    assert read("(a)(?!b*c)", text, 100_000) == [[text]]


def test_a_match_without_an_end_is_named_and_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "_MATCH_CHARS", 1 << 20)
    with pytest.raises(WrongContent, match=r"f: no match of '\(\.\*\?\);' ends in the 2,.* from 'xxxxxxx"):
        read("(.*?);", "a;" + "x" * 3_000_000)


def test_a_buffer_of_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="read_buffer_size=0"):
        read("(.)", "a", 0)

"""Which failures are of one cause: their messages differ in numbers and ids only."""

from __future__ import annotations

import pytest

from disco_rq.views.failures import cause_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 17", "KeyError: 4"),
        ("ValueError: rate 0.25 is over 1e-05", "ValueError: rate 3.5 is over 7"),
        (
            "AttributeError: <app.Row object at 0x7f3a2bcd9e10> has no id",
            "AttributeError: <app.Row object at 0x7fffaa01c0de> has no id",
        ),
        (
            "KeyError: '550e8400-e29b-41d4-a716-446655440000'",
            "KeyError: 'deadbeef-cafe-abba-face-decafdecafed'",
        ),
        (
            "OSError: checksum d41d8cd98f00b204e9800998ecf8427e of block 3",
            "OSError: checksum 0cc175b9c0f1b6a831c399e269772661 of block 12",
        ),
        ("JobFailure: commit a1b2c3d is no release", "JobFailure: commit 9f8e7d6c5b is no release"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/tmp/tmpk3_x9zab/part'",
            "FileNotFoundError: [Errno 2] No such file or directory: '/tmp/tmpq81lmno4/part'",
        ),
        (
            "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9 in position 7 (in entry 3 of a.txt)",
            "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xfc in position 12 (in entry 9 of b.txt)",
        ),
    ],
)
def test_numbers_and_ids_make_no_other_cause(one: str, other: str) -> None:
    assert cause_of(one) == cause_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'facade'", "KeyError: 'decade'"),
        ("KeyError: 'accede'", "KeyError: 'effaced'"),
        ("ValueError: bad tmpfs", "ValueError: bad template"),
        ("TypeError: x", "ValueError: x"),
    ],
)
def test_words_do(one: str, other: str) -> None:
    assert cause_of(one) != cause_of(other)

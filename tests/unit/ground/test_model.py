"""The shared records travel without loss."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disco_rq.model import JOB_NAME, JOB_PREFIX, NODE_NAME, OOB_KEY, Input, JobSpec, MapInput, TaskId

SPEC = JobSpec("job@20260101-000000-aaaa", 3, 1, True, True, task_timeout=2.5, details={"on_nodes": True})
INPUTS = st.builds(Input, st.text(), st.integers(0, 2**62), st.none() | st.integers(0, 2**62))


@pytest.mark.parametrize("task", [TaskId("map", 0), TaskId("reduce", 49_999)])
def test_a_task_reads_back_what_it_wrote(task: TaskId) -> None:
    assert TaskId.parse(str(task)) == task


@pytest.mark.parametrize(
    "text",
    [
        *("", "map", "map:", "map:x", "shuffle:1", ":1", "1:map", "map:1\n"),
        *("map:-1", "map: 1", "map:1_0", "map:٣", "map:1:2"),
        *("map:01", "map:1" + 9 * "0"),  # each task has one text, and none has so great a number
    ],
)
def test_what_is_no_task_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        TaskId.parse(text)


def test_tasks_sort_by_phase_and_number() -> None:
    texts = ["reduce:1", "map:10", "map:9", "reduce:0"]

    assert [str(task) for task in sorted(map(TaskId.parse, texts))] == [
        "map:9",
        "map:10",
        "reduce:0",
        "reduce:1",
    ]


def test_a_spec_travels_as_msgpack() -> None:
    assert JobSpec.from_dict(msgpack.unpackb(msgpack.packb(SPEC.to_dict()))) == SPEC


def test_a_spec_of_a_newer_version_is_read_without_its_new_fields() -> None:
    assert JobSpec.from_dict(SPEC.to_dict() | {"colour": "blue"}) == SPEC


@settings(max_examples=30)
@given(st.lists(st.lists(INPUTS, min_size=1).map(tuple), min_size=1).map(tuple))
def test_an_input_travels_as_msgpack(parts: tuple[tuple[Input, ...], ...]) -> None:
    entry = MapInput(parts)

    assert MapInput.unpack(msgpack.unpackb(msgpack.packb(entry.pack()))) == entry
    assert entry.urls() == [replica.url for part in parts for replica in part]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (OOB_KEY, ["a", "-", "A_b:c-9", "x" * 256], ["", "x" * 257, "a b", "é", "a\n", "a\nb", "a.b", "a/b"]),
        (JOB_PREFIX, ["job", "Job_9", "a-b", "x" * 100], ["", "-a", "a@b", "jöb", "a\n", "x" * 101]),
        (
            JOB_NAME,
            ["a@20260101-000000-ab12", "a-b@20260101-000000-ab12"],
            ["a", "a@1-2-3", "a@20260101-000000-ab12\n"],
        ),
        (NODE_NAME, ["n1", "node-7.example_x"], ["", "a b", "x" * 65, "a/b", "n\n"]),
    ],
)
def test_the_alphabets_hold_for_the_whole_word(pattern: object, good: list[str], bad: list[str]) -> None:
    match = pattern.fullmatch  # type: ignore[attr-defined]

    assert all(match(word) for word in good)
    assert not any(match(word) for word in bad)

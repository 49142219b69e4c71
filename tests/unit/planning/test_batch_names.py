"""The ids of batches: the job's name in the letters that RQ takes, and back."""

from __future__ import annotations

import re

import pytest

from disco_rq.model import JOB_NAME, TaskId
from disco_rq.planning.assignment import Assignment, job_of_batch, rq_name

NAMES = [
    "a@20260101-000000-aaaa",
    "a-@20260101-000000-aaaa",
    "a-20260101-000000-aaaa@20260101-000000-aaaa",
    "a_map-0_1@20260101-000000-aaaa",
    "a_map-0_1-b@20260101-000000-aaaa",
]


def test_names_with_dashes_stay_apart() -> None:
    assert all(JOB_NAME.fullmatch(name) for name in NAMES)
    assert len({rq_name(name) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_job_of_a_batch_is_told_by_its_id(name: str) -> None:
    batch = Assignment(job=name, node="n-1", tasks=((TaskId("map", 3), 2),), tag="ab12")

    assert re.fullmatch(r"[a-zA-Z0-9_\-]+", batch.batch_id)
    assert job_of_batch(batch.batch_id) == rq_name(name)

"""What a reduce reads: outputs of its own job, where its nodes have them."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from disco_rq.attempt.stored import StoredFeed
from disco_rq.errors import BadSignature
from disco_rq.model import JobSpec, TaskId
from disco_rq.packing import JobSeal

JOB = "job@20260101-000000-abcd"
SPEC = JobSpec(JOB, 2, 1, has_map=True, has_reduce=True)
OWN = {0: f"disco://n1/{JOB}/map-0.1", 1: f"disco://n2/{JOB}/map-1.3"}


def feed(outputs: dict[int, str]) -> StoredFeed:
    store: Any = MagicMock()
    store.map_outputs.return_value = (outputs, 0)
    return StoredFeed(store, SPEC, TaskId("reduce", 0), JobSeal(JOB, b"secret"))


def test_outputs_of_its_maps_are_read() -> None:
    assert feed(OWN).map_outputs() == list(OWN.values())


@pytest.mark.parametrize(
    "address",
    [
        "disco://n1/other@20260101-000000-abcd/map-1.1",
        f"disco://n1/{JOB}/map-0.1",
        f"disco://n1/{JOB}/reduce-1.1",
        f"disco://n1/{JOB}/map-1.1/../../other",
        "file:///etc/passwd",
        "/etc/passwd",
        "raw://anything",
        "",
    ],
)
def test_no_other_address_is_read_for_one_whoever_told_it(address: str) -> None:
    with pytest.raises(BadSignature, match="not an output of map:1 of this job"):
        feed(OWN | {1: address}).map_outputs()

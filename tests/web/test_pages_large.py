"""A job of 50,000 tasks is looked at like a small one."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import Visit
from tests.web.conftest import WebCluster

NR_MAPS = 50_000


@pytest.mark.long
def test_the_page_of_a_job_of_50000_tasks_shows_them_by_the_hundred(visitor: Callable[..., Visit]) -> None:
    with WebCluster() as cluster:
        cluster.master()  # and no node, so that the job waits
        visit = visitor(cluster.page_root())
        inputs = [f"raw://{number}" for number in range(NR_MAPS)]
        name = cluster.disco.new_job("large", inputs, map=lambda line, params: [(line, 1)]).name
        visit.open()

        print(f"loaded in {[f'{seconds_to_load(visit, name):.2f} s' for _ in range(5)]}")
        page = visit.page
        page.get_by_role("button", name="Next").click()
        expect(page.locator("#panel-tasks tbody tr").first).to_contain_text("map:100")
        expect(page.locator("#panel-tasks .pager")).to_contain_text("101 to 200 of 50,000")
        cluster.disco.purge(name)
        gone = page.get_by_role("alert").filter(has_text="This job was purged or cleaned")
        expect(gone).to_be_visible(timeout=60_000)  # beside the answer to what was just asked, perhaps


def seconds_to_load(visit: Visit, name: str) -> float:
    """From the address to the page that is live, with its first hundred tasks."""
    visit.page.goto("about:blank")
    began = time.monotonic()
    page: Page = visit.open("jobs", name, tab="tasks")
    page.wait_for_selector('#live[data-state="live"]')
    page.wait_for_selector("#panel-tasks tbody tr:nth-child(100)")
    return time.monotonic() - began

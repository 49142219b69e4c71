"""What jobs say is shown as text, wherever it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from disco_rq import Job, JobError
from disco_rq.runtime import counter, msg, put
from disco_rq.store import keys
from tests.web.browser import Visit
from tests.web.conftest import WebCluster

ATTACK = '"><img src=x onerror="window.hacked=true"><script>window.hacked=true</script>'


def hostile_map(fd: str, params: Any) -> Iterator[tuple[str, str]]:
    msg(ATTACK)
    counter(ATTACK)
    put("attack", ATTACK)
    print(ATTACK)
    yield ATTACK, ATTACK


def hostile_failure(line: str, params: Any) -> Iterator[tuple[str, int]]:
    print(ATTACK)
    yield line, {"nothing": 1}[ATTACK]


@pytest.fixture(scope="module")
def hostile(cluster: WebCluster, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job that is ready and whose file name, message, counter, value and records are attacks."""
    file = tmp_path_factory.mktemp("hostile") / ATTACK.replace("/", "\u2215")
    file.write_text("a line\n")
    job = cluster.disco.new_job("hostile", [str(file)], map=hostile_map)
    job.wait(timeout=30)
    cluster.connection.redis.hset(keys.JobKeys(job.name).job, "owner", ATTACK)  # no client would
    return job


TURNED = "user\u202etxt.exe\u200b\u2066"
"""Turns the text behind it around, and is not all seen."""
HIDDEN = {character for character in TURNED if not character.isascii()}


def turning_map(line: str, params: Any) -> Iterator[tuple[str, str]]:
    msg(TURNED)
    counter(TURNED)
    put("turned", TURNED)
    print(TURNED)
    raise ValueError(TURNED)
    yield TURNED, TURNED


def assert_harmless(page: Page) -> None:
    assert page.evaluate("window.hacked") is False
    expect(page.locator("img")).to_have_count(0)


def test_an_attack_in_a_message_a_counter_or_a_file_name_is_text(visit: Visit, hostile: Job) -> None:
    page = visit.open("jobs", hostile.name)
    expect(page.locator("#job")).to_contain_text(ATTACK)  # its owner
    expect(page.get_by_role("log")).to_contain_text(ATTACK)

    for tab in ("Counters", "Inputs"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel")).to_contain_text(
            ATTACK.replace("/", "\u2215") if tab == "Inputs" else ATTACK
        )

    assert_harmless(page)


def test_an_attack_in_a_value_or_a_record_is_text(visit: Visit, hostile: Job) -> None:
    page = visit.open("jobs", hostile.name, tab="oob")
    page.get_by_role("button", name="attack").click()
    expect(page.locator("#oob-value")).to_have_text(ATTACK)
    assert_harmless(page)

    page.get_by_role("tab", name="Results").click()
    page.get_by_role("button", name="Preview").first.click()
    expect(page.locator(".records")).to_contain_text("window.hacked=true")
    assert_harmless(page)


def test_an_attack_in_a_traceback_or_a_log_is_text(visit: Visit, cluster: WebCluster) -> None:
    job = cluster.disco.new_job("hostile", ["raw://x"], map=hostile_failure)
    with pytest.raises(JobError):
        job.wait(timeout=30)

    page = visit.open("jobs", job.name, tab="failures")
    expect(page.locator("#cause pre")).to_contain_text("window.hacked=true")
    expect(page.locator(".failure pre")).to_contain_text("window.hacked=true")
    assert_harmless(page)
    page = visit.open("jobs", job.name, "tasks", "map:0")
    expect(page.locator("[data-log] pre")).to_contain_text(ATTACK)
    assert_harmless(page)


def test_an_attack_in_an_address_or_a_search_is_text(visit: Visit) -> None:
    page = visit.open("jobs", ATTACK.replace("/", "\u2215"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("unknown job")
    assert_harmless(page)

    page = visit.open()
    page.get_by_role("searchbox").fill(ATTACK + "nobody")
    expect(page.locator("#no-jobs")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?q="))
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value(ATTACK + "nobody")
    assert_harmless(page)


def test_an_attack_in_a_job_name_of_an_action_goes_nowhere(visit: Visit, tmp_path: Path) -> None:
    page = visit.open("jobs", "x@20260101-000000-aaaa", "tasks", ATTACK.replace("/", "\u2215"))

    expect(page.get_by_role("link", name="All jobs")).to_be_visible()
    assert_harmless(page)


def test_text_that_turns_text_around_or_is_not_seen_is_written_out(
    visit: Visit, cluster: WebCluster, tmp_path: Path
) -> None:
    file = tmp_path / TURNED
    file.write_text("a line\n")
    job = cluster.disco.new_job("turning", [str(file)], map=turning_map, owner=TURNED)
    with pytest.raises(JobError):
        job.wait(timeout=30)
    shown = r"user\u202etxt.exe\u200b\u2066"
    for tab, where in (
        ("messages", "#messages"),
        ("failures", "#cause"),
        ("inputs", "main"),
        ("spec", "main"),
    ):
        page = visit.open("jobs", job.name, tab=tab)
        expect(page.locator(where)).to_contain_text(shown)
        assert not HIDDEN & {*page.locator("body").inner_text()}
    page = visit.open("jobs", job.name, "tasks", "map:0")
    expect(page.locator("[data-log] pre")).to_contain_text(shown)
    assert not HIDDEN & {*page.locator("body").inner_text()}

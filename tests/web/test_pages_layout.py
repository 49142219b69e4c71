"""Phones, themes, contrast, and what to do next where there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from disco_rq import Job
from disco_rq.runtime import counter, msg, put
from disco_rq.views import figures
from tests.web.browser import Visit, scrolls_sideways
from tests.web.conftest import WebCluster

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
LONG_NAME = "a_name_that_is_" + "very_" * 16 + "long"

PAIRS = [
    *(("--text", "--ground"), ("--text", "--surface"), ("--muted", "--ground"), ("--muted", "--surface")),
    *(
        ("--muted", "--sunken"),
        ("--accent", "--ground"),
        ("--accent", "--surface"),
        ("--accent", "--accent-ground"),
    ),
    *(
        ("--good", "--good-ground"),
        ("--warn", "--warn-ground"),
        ("--bad", "--bad-ground"),
        ("--bad", "--surface"),
    ),
    *(
        ("--warn", "--surface"),
        ("--on-accent", "--accent"),
        ("--on-map", "--map"),
        ("--on-reduce", "--reduce"),
    ),
]
"""Text and ground as the style sheets pair them."""


@pytest.fixture(scope="module")
def long(cluster: WebCluster) -> Job:
    """A job with a long name, long inputs and long messages."""

    def map(line: str, params: Any) -> list[tuple[str, int]]:
        msg("m" * 250)
        counter("c" * 120)
        put("k" * 256, "v" * 5000)
        return [(line, 1)]

    def reduce(pairs: Any, params: Any) -> Any:
        return iter(pairs)

    job = cluster.disco.new_job(LONG_NAME, ["raw://" + "i" * 300], map=map, reduce=reduce)
    job.wait(timeout=30)
    return job


def test_no_page_scrolls_sideways_on_a_phone(
    visitor: Callable[..., Visit], cluster: WebCluster, long: Job
) -> None:
    visit = visitor(cluster.page_root(), **PHONE)

    for parts in ((), ("nodes",), ("jobs", long.name, "tasks", "map:0"), ("no", "such", "page")):
        page = visit.open(*parts)
        expect(page.get_by_role("link", name="Nodes").first).to_be_visible()
        assert scrolls_sideways(page) <= 0, parts
    page = visit.open("jobs", long.name)
    for tab in page.get_by_role("tab").all():
        tab.click()
        expect(page.get_by_role("tabpanel").locator(".card:visible, .empty:visible").first).to_be_visible()
        assert scrolls_sideways(page) <= 0, tab.inner_text()


def test_the_theme_is_the_systems_until_the_reader_chooses(
    visitor: Callable[..., Visit], cluster: WebCluster
) -> None:
    visit = visitor(cluster.page_root(), color_scheme="dark")
    page = visit.open()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    page.get_by_role("button", name="Light or dark").click()

    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    expect(visit.open("nodes").locator("html")).to_have_attribute("data-theme", "light")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visit: Visit, theme: str) -> None:
    page = visit.open()
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)

    for text, ground in PAIRS:
        light, dark = sorted((luminance(page, text), luminance(page, ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {ground} in {theme}"


def luminance(page: Any, variable: str) -> float:
    """Of a colour of the style sheet, as WCAG 2 has it."""
    text = page.evaluate(
        "name => getComputedStyle(document.documentElement).getPropertyValue(name)", variable
    )
    channels = [int(text.strip()[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_page_that_is_not_there_says_what_to_do(visit: Visit) -> None:
    for parts in (("jobs", "gone@20260101-000000-aaaa"), ("nowhere",)):
        page = visit.open(*parts)
        expect(page.get_by_text("The list of jobs has all there are")).to_be_visible()
    page.get_by_role("link", name="All jobs").click()
    expect(page.locator("#nodes")).to_be_visible()


def test_times_are_in_the_zone_of_the_reader(
    visitor: Callable[..., Visit], cluster: WebCluster, long: Job
) -> None:
    shown = set()
    for zone in ("Asia/Tokyo", "America/New_York"):
        page = visitor(cluster.page_root(), timezone_id=zone).open("jobs", long.name)
        submitted = page.locator("#job time")
        expect(submitted).not_to_contain_text("UTC")
        shown.add((submitted.inner_text(), submitted.get_attribute("title")))

    assert len({text for text, _ in shown}) == 2
    (title,) = {title for _, title in shown}
    assert title is not None
    assert title.endswith("Z")


def test_the_first_paint_and_the_live_page_say_numbers_alike(
    visitor: Callable[..., Visit], cluster: WebCluster
) -> None:
    page = visitor(cluster.page_root(), locale="en-US").open()
    numbers = [0, 1, 999, 1023, 1024, 1048575, 1048576, 5_000, 59_999, 61_000, 3_600_000, 7_384_000]
    numbers += [172_800_000, 1_234_567_890, 5_000_000_000_000]

    for told in (figures.count, figures.size, figures.duration, figures.age):
        live = page.evaluate(
            "([name, numbers]) => import('/static/format.js').then(module => numbers.map(module[name]))",
            [told.__name__, numbers],
        )
        assert live == [told(number) for number in numbers], told.__name__

"""axe-core finds nothing to mend on the pages, in either theme, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from disco_rq import JobError
from disco_rq.runtime import counter, msg, put
from disco_rq.web.pages import TABS
from tests.web.browser import Visit
from tests.web.conftest import WebCluster

AXE = Path(__file__).parents[2] / "build/npm/node_modules/axe-core/axe.min.js"
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
FIND = """() => axe.run({resultTypes: ["violations"]}).then(({violations}) => violations.map((it) =>
    `${it.id} (${it.help}): ${it.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(" | ")}`))"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The rules. ``make axe`` brings them."""
    if AXE.exists():
        return AXE.read_text()
    pytest.skip("axe-core is not there: make axe")


def has_everything(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    msg(f"I read {entry}")
    counter("lines")
    put(entry, {"a": 1})
    yield entry, 1 // int(entry != "bad")


def all_pairs(pairs: Any, params: Any) -> Any:
    return iter(pairs)


@pytest.fixture(scope="module")
def jobs(cluster: WebCluster) -> list[str]:
    """One that is ready, with something in every tab, and one that is dead."""
    inputs = ["raw://a", "raw://b", "raw://bad"]
    ready = cluster.disco.new_job(
        "ready", inputs, map=has_everything, reduce=all_pairs, nr_reduces=2, max_bad=1, profile=True
    )
    dead = cluster.disco.new_job("dead", ["raw://bad"], map=has_everything)
    ready.wait(timeout=30)
    with pytest.raises(JobError):
        dead.wait(timeout=30)
    return [ready.name, dead.name]


def found(page: Page, axe: str) -> list[str]:
    """What axe says of the page as it is."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    violations: list[str] = page.evaluate(FIND)
    return violations


@pytest.mark.parametrize(
    ("profile", "theme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")]
)
def test_nothing_is_found(
    visitor: Callable[..., Visit],
    cluster: WebCluster,
    jobs: list[str],
    axe: str,
    profile: dict[str, Any],
    theme: str,
) -> None:
    visit = visitor(cluster.page_root(), color_scheme=theme, **profile)
    ready, dead = jobs
    wrong = {}
    first = (profile, theme) in ((DESK, "light"), (PHONE, "dark"))
    more = (("nodes",), ("jobs", dead, "tasks", "map:0")) if first else ()
    for parts in ((), *more, ("jobs", dead), ("jobs", ready)):
        page = visit.open(*parts)
        if "tasks" not in parts:
            expect(page.locator("#live")).not_to_have_attribute("data-state", "waiting")
        wrong["/".join(parts)] = found(page, axe)
    if profile is PHONE:
        top = page.locator('[role="tablist"]').bounding_box()
        assert top is not None
        assert top["y"] + top["height"] <= PHONE["viewport"]["height"]  # type: ignore[index]
    # What the tabs are made of is the same in both widths and themes.
    for tab, title in TABS if first and profile is DESK else ():
        page.get_by_role("tab", name=title).first.click()
        shown = page.locator(f"#panel-{tab}").locator(".card:visible, .empty:visible").first
        expect(shown).to_be_visible()
        wrong[tab] = found(page, axe)

    assert not any(wrong.values()), {where: what for where, what in wrong.items() if what}

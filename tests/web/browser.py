"""Debian's Chromium, driven by Playwright: one for all tests, a profile of its own for each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

WAIT_S = 30.0
"""For how long a test waits for what a page is to show."""
_TOASTS_STAY = """
const timeout = window.setTimeout;
window.setTimeout = (run, ms, ...rest) => timeout(run, ms === 4000 ? 60000 : ms, ...rest);
"""
"""A line that says what was done goes after four seconds. On a busy machine a test may look later."""


@contextlib.contextmanager
def started(program: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


class Visit:
    """A reader of the pages at an address, with a profile of their own."""

    def __init__(self, browser: Browser, root: str, **profile: Any) -> None:
        """``profile``: of Playwright's ``new_context``, such as ``viewport`` or ``color_scheme``."""
        self.root = root
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(base_url=root, **profile)
        self.context.set_default_timeout(WAIT_S * 1000)
        self.context.add_init_script("window.hacked = false;" + _TOASTS_STAY)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)
        self.page.on("dialog", self._refuse)

    def open(self, *parts: str, tab: str = "") -> Page:
        """``open("jobs", name, tab="oob")``: the page, when it is live."""
        self.page.goto("/" + "/".join(quote(part, safe="") for part in parts) + (f"#{tab}" if tab else ""))
        return self.page

    def close(self) -> None:
        self.context.close()

    def _listen(self, message: ConsoleMessage) -> None:
        # A page that the policy stops from running something says so here; an answer of 404 is none of that.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _refuse(self, dialog: Any) -> None:
        self.complaints.append(f"a script opened a box: {dialog.message}")
        dialog.dismiss()


def scrolls_sideways(page: Page) -> int:
    """By how many pixels the page is wider than the screen."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width

"""The page of a master: a process of its own, so that nothing that is asked of it costs a master its lead."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

from disco_rq.errors import DiscoError
from disco_rq.master.master import run_master
from disco_rq.settings import Settings
from disco_rq.web.port import WebPort

__all__ = ["Page", "run_master_with_page"]

log = logging.getLogger("disco_rq.web")

RETRY_S = 2.0
"""How often a master without the address looks whether it has become free, and one whose page has died starts
it again.
"""
LOOK_MS = 500
"""How late a page that nobody has visited yet notices its end."""
FAREWELL_S = 4.0
"""A page that is asked to end, and has not by then, is killed."""


def run_master_with_page(
    settings: Settings, port: WebPort, token: str | None = None, page_key: bytes | None = None
) -> None:
    """Run a master (see ``run_master``) and serve the page at the port, as long as it runs.

    ``page_key``: its page asks for a token of that, where there is no secret.
    """
    page = Page(settings, port, page_key)
    page.start()
    try:
        run_master(replace(settings, http=port.address), token)
    finally:
        page.stop()


class Page(threading.Thread):
    """Keeps the page's process running. It is started when the first visitor comes: a master that runs small
    jobs, or lives for one, does not pay for it.
    """

    def __init__(self, settings: Settings, port: WebPort, page_key: bytes | None = None) -> None:
        super().__init__(name="web page", daemon=True)
        self._settings = settings
        self._port = port
        self._page_key = page_key
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that serves; None before the first visit."""
        return None if self._process is None else self._process.pid

    def run(self) -> None:
        if self._port.is_off:
            return
        while not self._ended.is_set():
            try:
                self._wait_for_the_address()
                if self._wait_for_a_visitor():
                    self._serve()
            except (DiscoError, OSError) as error:
                log.warning("the web page is not served: %s", error, extra={"action": "serve"})
            except Exception:  # the boundary of the thread: the master goes on
                log.exception("the web page is not served", extra={"action": "serve"})
            self._ended.wait(RETRY_S)

    def stop(self) -> None:
        """End it; live streams end with it."""
        self._ended.set()
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(FAREWELL_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self.join(FAREWELL_S)

    def _wait_for_the_address(self) -> None:
        while self._port.listener is None:
            if self._ended.wait(RETRY_S):
                return
            if self._port.listen():
                log.info("the web page: %s", self._port.url, extra={"action": "serve"})

    def _wait_for_a_visitor(self) -> bool:
        poll = select.poll()
        if self._port.listener is not None:
            poll.register(self._port.listener, select.POLLIN)
        while self._port.listener is not None and not self._ended.is_set():
            if poll.poll(LOOK_MS):
                return True
        return False

    def _serve(self) -> None:
        assert self._port.listener is not None
        listener = self._port.listener.fileno()
        # It finds its modules where we have found ours.
        paths = json.dumps([str(Path(entry).absolute()) for entry in sys.path])
        start = f"import sys; sys.path[:] = {paths}; from disco_rq.web.process import main; main()"
        process = self._process = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            pass_fds=[listener],
            start_new_session=True,  # Ctrl-C is the master's, which ends it
        )
        if self._ended.is_set():
            process.terminate()
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(self._order(listener))
        status = process.wait()
        if not self._ended.is_set():
            log.warning("the web page's process ended with %s", status, extra={"action": "died"})

    def _order(self, listener: int) -> bytes:
        """What the process is to do; not in its arguments, which others may see."""

        def text(secret: bytes | None) -> str | None:
            return None if secret is None else secret.hex()

        order = {
            "parent": os.getpid(),
            "listener": listener,
            "address": self._port.address,
            "redis": self._settings.redis,
            "secret": text(self._settings.secret),
            "page_key": text(self._page_key),
            "level": logging.getLogger("disco_rq").getEffectiveLevel(),
        }
        return json.dumps(order).encode()

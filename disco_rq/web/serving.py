"""The thread of a master that serves its web page."""

from __future__ import annotations

import logging
import select
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from disco_rq.errors import DiscoError
from disco_rq.master.master import run_master
from disco_rq.settings import Settings
from disco_rq.web.port import WebPort

if TYPE_CHECKING:
    import uvicorn

    from disco_rq.web.stream import Streams

__all__ = ["Page", "run_master_with_page"]

log = logging.getLogger("disco_rq.web")

RETRY_S = 2.0
"""How often a master without the address looks whether it has become free."""
LOOK_S = 0.5
"""How late a page that nobody has visited yet notices its end."""
GRACE_S = 2
"""For how long a page that is asked to end goes on with what it is sending."""


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
    """Serves in a loop of its own. Nothing is imported for it before the first visitor comes: a master that
    runs small jobs, or lives for one, does not pay for it.
    """

    def __init__(self, settings: Settings, port: WebPort, page_key: bytes | None = None) -> None:
        super().__init__(name="web page", daemon=True)
        self._settings = settings
        self._port = port
        self._page_key = page_key
        self._ended = threading.Event()
        self._server: uvicorn.Server | None = None
        self._streams: Streams

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
        if self._server is not None:
            self._streams.closing = self._server.should_exit = True
        self.join(GRACE_S + 1)

    def _wait_for_the_address(self) -> None:
        while self._port.listener is None:
            if self._ended.wait(RETRY_S):
                return
            if self._port.listen():
                log.info("the web page: %s", self._port.url, extra={"action": "serve"})

    def _wait_for_a_visitor(self) -> bool:
        while self._port.listener is not None and not self._ended.is_set():
            if select.select([self._port.listener], [], [], LOOK_S)[0]:
                return True
        return False

    def _serve(self) -> None:
        # Only now, see above.
        import uvicorn

        from disco_rq.web.app import create_app

        assert self._port.listener is not None
        app = create_app(self._settings, self._port.address, self._page_key)
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._streams, self._server = app.state.streams, uvicorn.Server(config)
        if not self._ended.is_set():
            self._server.run([self._port.listener])

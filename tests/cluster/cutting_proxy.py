"""A proxy on loopback that cuts connections in the middle of an answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class CuttingProxy:
    """Passes bytes to a server on loopback, which may begin later."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._lock = threading.Lock()
        self.cut_next()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut_next(self, *cuts: int, before: Callable[[], object] = lambda: None) -> None:
        """Of the next ``len(cuts)`` answers only so many bytes each are passed on."""
        self._cuts = list(cuts)
        self._before_cut = before
        self.cut = 0  # how many connections it has cut

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=20)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            left = self._cuts.pop(0) if self._cuts else -1
        with client, suppress(OSError), socket.create_connection(self._target, timeout=20) as server:
            request = threading.Thread(target=_pass_on, args=[client, server], daemon=True)
            request.start()
            while left and (piece := server.recv(min(left, 65536) if left > 0 else 65536)):
                client.sendall(piece)
                left -= len(piece) if left > 0 else 0
            if left == 0:
                self._before_cut()
                self.cut += 1
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            request.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)


@contextmanager
def proxy_to(port: int) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()

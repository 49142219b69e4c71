"""A real S3 server on loopback: moto's, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
import s3fs

BUCKET = "bucket"
_PROGRAM = """
import sys
from moto.s3.models import FakeKey
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

unlocked = FakeKey.etag.fget
def etag(key):  # moto's own may read the content while another thread does, and then be wrong
    with key.lock:
        return unlocked(key)
FakeKey.etag = property(etag)

server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


class S3Server:
    """The server, and its files as a client sees them that goes past our code."""

    def __init__(self, url: str, fs: Any) -> None:
        self.url = url
        self._fs = fs

    def put(self, files: Mapping[str, bytes]) -> list[str]:
        """Store files in the bucket; their addresses."""
        for name, content in files.items():
            self._fs.pipe_file(f"{BUCKET}/{name}", content)
        return [f"s3://{BUCKET}/{name}" for name in files]

    def names(self, directory: str) -> list[str]:
        """All names below a directory of the bucket."""
        self._fs.invalidate_cache()
        prefix = f"{BUCKET}/{directory}/"
        return sorted(name.removeprefix(prefix) for name in self._fs.find(prefix))

    def get(self, address: str) -> bytes:
        content: bytes = self._fs.cat_file(address)
        return content

    @contextmanager
    def locked(self) -> Iterator[None]:
        """From here on it looks at the access key of each request, and knows none."""
        self._set_free_requests(0)
        try:
            yield
        finally:
            self._set_free_requests(1 << 62)

    def _set_free_requests(self, count: int) -> None:
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth",
            str(count).encode(),
            {"Content-Type": "text/plain"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10):
            pass


@contextmanager
def s3_server(log: Path) -> Iterator[S3Server]:
    """Start it, with one bucket; every process that begins meanwhile finds it by its environment."""
    with log.open("wb") as errors, pytest.MonkeyPatch.context() as patch:
        process = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, stderr=errors)
        try:
            assert process.stdout is not None
            port = process.stdout.readline().decode().strip()
            assert port, log.read_text()
            url = f"http://127.0.0.1:{port}"
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            patch.setenv("AWS_ENDPOINT_URL", url)
            patch.setenv("AWS_ACCESS_KEY_ID", "tester")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            patch.setenv("AWS_CONFIG_FILE", os.devnull)
            patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
            s3fs.S3FileSystem.clear_instance_cache()  # those of the server of another file of tests
            fs = fsspec.filesystem("s3", skip_instance_cache=True)
            fs.mkdir(BUCKET)
            yield S3Server(url, fs)
        finally:
            process.kill()
            process.communicate()

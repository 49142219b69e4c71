"""Settings: every ``DISCO_RQ_…`` variable, its meaning and its default, in one place."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from disco_rq.errors import SettingsError
from disco_rq.model import NODE_NAME

PREFIX = "DISCO_RQ_"
OFF = "off"


@dataclass(frozen=True, slots=True)
class Settings:
    """One process' settings. The programs' options have the same names and win over the environment."""

    redis: str | None = None
    """``redis://…``, ``rediss://…`` or ``unix://…``; without it a client starts the embedded cluster."""
    node: str = "localhost"
    """The name of this node, ``[a-zA-Z0-9_.-]``, 64 characters at most."""
    data: Path = Path("disco-data")
    """The directory in which this node keeps the files of its tasks."""
    secret: bytes | None = None
    """The key that signs function packs; a worker that has one refuses packs without a good signature."""
    http: str = "127.0.0.1:8989"
    """``host:port`` on which a master serves the web page and the API; port 0 is any; ``off`` serves none."""
    data_http: str = "127.0.0.1:0"
    """``host:port`` on which this node serves its files to the others; port 0 is any free one."""
    data_url: str | None = None
    """Where the others reach that, if not at the host and port on which it listens."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises ``SettingsError`` naming the variable that is wrong."""
        env = os.environ if env is None else env
        node = env.get(PREFIX + "NODE") or socket.gethostname()
        if not NODE_NAME.fullmatch(node):
            raise SettingsError(f"{PREFIX}NODE={node!r}: a node name takes 1 to 64 of [a-zA-Z0-9_.-]")
        data = env.get(PREFIX + "DATA")
        home = Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        secret = env.get(PREFIX + "SECRET")
        return cls(
            redis=env.get(PREFIX + "REDIS") or None,
            node=node,
            data=Path(data) if data else home / "disco-rq" / node,
            secret=secret.encode() if secret else None,
            http=env.get(PREFIX + "HTTP", "127.0.0.1:8989") or OFF,
            data_http=env.get(PREFIX + "DATA_HTTP") or "127.0.0.1:0",
            data_url=env.get(PREFIX + "DATA_URL") or None,
        )

"""From the address of a task output to its bytes: the file, if it may be read directly, or a data server."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from disco_rq.errors import DataError
from disco_rq.outputs.addresses import split_address
from disco_rq.outputs.datadir import NODE_ID
from disco_rq.outputs.wire import Pass, data_keys, is_sealed, keys_of_job, passes

__all__ = ["Locator", "Server", "readable_root", "server_of"]


@dataclass(frozen=True, slots=True)
class Server:
    """Where a node serves its files, and what opens those of one job there; None where there is no secret."""

    url: str
    opened_by: Pass | None = field(repr=False)


class Locator:
    """From a ``disco://`` address to the file, where this process may read it directly, or to its server."""

    def __init__(
        self,
        about: Callable[[str], dict[str, str]],
        own: tuple[str, Path] | None = None,
        secret: bytes | None = None,
    ) -> None:
        """``about``: what a node tells of itself. ``own``: this process' node and data directory, if it has
        one. ``secret``: the cluster's, if this process has it; one that runs tasks is given ``job_keys``.
        """
        self._about = about
        self._roots: dict[str, Path | None] = dict([own]) if own else {}
        self._secret = secret
        self._job_keys: Mapping[str, Sequence[bytes]] | None = None

    def open_only(self, job_keys: Mapping[str, Sequence[bytes]]) -> None:
        """Instead of all that the secret opens: the files of these jobs, by their ``wire.keys_of_job``."""
        self._secret, self._job_keys = None, job_keys

    def path(self, address: str) -> Path | None:
        """The file behind an address, there or not; None if its node's files cannot be read from here.

        ``DataError`` if there is no such node.
        """
        node, job, name = split_address(address)
        if node not in self._roots:
            self._roots[node] = readable_root(self._of(node, address))
        root = self._roots[node]
        return None if root is None else root / job / name

    def server(self, address: str) -> Server:
        """The data server of an address' node, as told now: it may move. ``DataError`` if it has none, and as
        ``server_of``.
        """
        node, job, _ = split_address(address)
        about = self._of(node, address)
        if "url" not in about:
            host = about.get("host", "")
            raise DataError(
                f"the files of node {node} ({host}) cannot be read from here, and it serves none: "
                "run 'disco-rq node' there",
                url=address,
            )
        if self._job_keys is None:
            return server_of(node, about, self._secret, job)
        if job not in self._job_keys:
            raise DataError(f"no input that is signed is of {job}: its files are closed", url=address)
        return _server(node, about, self._job_keys[job])

    def _of(self, node: str, address: str) -> dict[str, str]:
        about = self._about(node)
        if "word" not in about:
            raise DataError(f"there is no node {node}", url=address)
        return about


def server_of(node: str, about: Mapping[str, str], secret: bytes | None, job: str) -> Server:
    """The data server of which a node tells, for one job. ``DataError``, which blames no file, if somebody
    else may have told it.
    """
    if not is_sealed(secret, node, about):
        hint = "" if "life" in about else ", or by another version"
        raise DataError(
            f"the address of node {node}, {about['url']}, is not signed with the DISCO_RQ_SECRET here{hint}"
        )
    return _server(node, about, keys_of_job(data_keys(secret), job))


def _server(node: str, about: Mapping[str, str], keys: Sequence[bytes]) -> Server:
    url = about["url"]
    return Server(url, next(iter(passes(keys, node, about.get("life", ""), url)), None))


def readable_root(about: dict[str, str]) -> Path | None:
    """The directory of a node, if it is the same one here, and of our own user: whoever can write to Redis
    and has a shell here could else have us read a directory of theirs.
    """
    if not about.get("data"):
        return None
    try:
        root = Path(about["data"]).resolve()
        is_ours = root.stat().st_uid == os.geteuid()
        return root if is_ours and (root / NODE_ID).read_text() == about["word"] else None
    except (OSError, ValueError):  # not there, not ours to read, or not a text
        return None

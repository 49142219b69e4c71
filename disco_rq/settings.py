"""Settings: every ``DISCO_RQ_…`` variable, its meaning and its default, in one place."""

from __future__ import annotations

import os
import re
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from disco_rq.errors import SettingsError
from disco_rq.model import NODE_NAME

PREFIX = "DISCO_RQ_"
ON, OFF = "on", "off"
SECRETS = (f"{PREFIX}SECRET", f"{PREFIX}SECRET_FILE")
WEBHOOK_SECRET = f"{PREFIX}WEBHOOK_SECRET"
KEPT = f"{PREFIX}SECRET_KEPT"
"""In the environment of tasks: there is a secret, and it is not for them."""
GRACE_S = 30.0
SWEEP_S = 7 * 86400.0
REUSE_MAX = 1000
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
KEYS = "disco"
"""What the keys of a cluster begin with, unless PREFIX says something else; those of RQ with rq then."""
_KEYS = re.compile(r"(?=.*[A-Za-z0-9])(?!rq(:|$))[A-Za-z0-9_.{}-][A-Za-z0-9_.:{}-]{0,63}(?<!:)")
_HASH_TAG = re.compile(r"[^{}]*(\{[^{}]+\}[^{}]*)?")
PARTS = frozenset({"job", "node", "purges", "wake", "adopters", "sources", "codes", "rq"})
"""What has keys below it in a cluster's own, as in disco:job:…: no other cluster may begin there."""
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-_]*")
_secrets: list[bytes] = []
_TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Settings:
    """One process' settings. The programs' options have the same names and win over the environment."""

    redis: str | None = field(default=None, repr=False)
    """``redis://…``, ``rediss://…``, ``unix://…`` or ``redis+sentinel://…``; without it a client starts the
    embedded cluster.
    """
    prefix: str = KEYS
    """What all keys of the cluster in Redis begin with, ``[A-Za-z0-9_.:{}-]``; RQ's then begin with that and
    ``:rq``, unless ``RQ_KEY_PREFIX`` is set. One for a whole process: see ``store.keys``.
    """
    node: str = "localhost"
    """The name of this node, ``[a-zA-Z0-9_.-]``, 64 characters at most."""
    labels: str = ""
    """What this node has, for jobs that need it: ``gpu,ram=64``."""
    shares: str = ""
    """How a master deals slots among owners of jobs: ``alice=3,bob=1,*=1``; nothing: all are equals."""
    owner_slots: str = ""
    """How many slots jobs of one owner have at most: ``alice=8,*=4``."""
    otel: bool = False
    """Jobs, phases and attempts are spans of OpenTelemetry."""
    data: Path = Path("disco-data")
    """The directory in which this node keeps the files of its tasks."""
    secret: bytes | None = field(default=None, repr=False)
    """The key that signs function packs; a worker that has one refuses packs without a good signature."""
    http: str = "127.0.0.1:8989"
    """``host:port`` on which a master serves the web page and the API; port 0 is any; ``off`` serves none."""
    data_http: str = "127.0.0.1:0"
    """``host:port`` on which this node serves its files to the others; port 0 is any free one."""
    data_url: str | None = None
    """Where the others reach that, if not at the host and port on which it listens."""
    task_memory: int | None = None
    """Bytes that the processes of one task may hold on this node; None is no limit."""
    tasks_per_process: int | None = None
    """After so many tasks a worker's process is replaced by a new one; None is as long as it is fit."""
    min_free: int | None = None
    """Bytes of disk below which this node takes no tasks; None is 256 MiB, or 5 % of a small disk."""
    fsync: bool = True
    """Results are on the disk before they count."""
    grace: float = GRACE_S
    """Seconds for which a node that is asked to leave lets its tasks run on, before it hands them back."""
    sweep_after: float = SWEEP_S
    """Seconds for which this node keeps files of a job that Redis does not know, unless it was cleaned."""
    gc_after: float | None = None
    """Seconds after its end when the master purges a job that does not say it itself; None is never."""
    reuse_max: int = REUSE_MAX
    """Purged jobs whose files stay for jobs that have adopted outputs of them."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises ``SettingsError`` naming the variable that is wrong."""
        env = os.environ if env is None else env
        node = env.get(PREFIX + "NODE") or socket.gethostname()
        if not NODE_NAME.fullmatch(node) or not node.strip("."):  # . and .. are no directories of a node
            raise SettingsError(f"{PREFIX}NODE={node!r}: a node name takes 1 to 64 of [a-zA-Z0-9_.-]")
        data = env.get(PREFIX + "DATA")
        prefix = key_prefix(env)
        home = Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "disco-rq"
        if prefix != KEYS:  # a node of the same name in another cluster has another directory
            home /= prefix
        task_memory, min_free = _least_memory(env), _number(env, "MIN_FREE", _SIZES)
        more_schemes(env)  # read where an address is opened, also in clients; what is wrong is told at once
        grace, reuse_max = _number(env, "GRACE", _TIMES), _count(env, "REUSE_MAX")
        gc_after = _above_0(env, "GC_AFTER", "leave it empty for never")
        sweep_after = _above_0(env, "SWEEP_AFTER", "a long time, such as 3650d, for never")
        return cls(
            redis=env.get(PREFIX + "REDIS") or None,
            prefix=prefix,
            node=node,
            labels=env.get(PREFIX + "LABELS") or "",
            shares=env.get(PREFIX + "SHARES") or "",
            owner_slots=env.get(PREFIX + "OWNER_SLOTS") or "",
            otel=_is_on(env, "OTEL", otherwise=OFF),
            data=Path(data) if data else home / node,
            secret=_secret(env),
            http=env.get(PREFIX + "HTTP", "127.0.0.1:8989") or OFF,
            data_http=env.get(PREFIX + "DATA_HTTP") or "127.0.0.1:0",
            data_url=env.get(PREFIX + "DATA_URL") or None,
            task_memory=None if task_memory is None else int(task_memory),
            tasks_per_process=_count(env, "TASKS_PER_PROCESS"),
            min_free=None if min_free is None else int(min_free),
            fsync=_is_on(env, "FSYNC"),
            grace=GRACE_S if grace is None else grace,
            sweep_after=SWEEP_S if sweep_after is None else sweep_after,
            gc_after=gc_after,
            reuse_max=REUSE_MAX if reuse_max is None else reuse_max,
        )


def key_prefix(env: Mapping[str, str]) -> str:
    """PREFIX, what the keys of the cluster begin with. Raises ``SettingsError`` for what cannot be one."""
    prefix = env.get(PREFIX + "PREFIX") or KEYS
    if not _KEYS.fullmatch(prefix):
        raise SettingsError(
            f"{PREFIX}PREFIX={prefix!r}: it takes 1 to 64 of [A-Za-z0-9_.:{{}}-], no : at its ends, not rq"
        )
    if not _HASH_TAG.fullmatch(prefix):
        raise SettingsError(f"{PREFIX}PREFIX={prefix!r}: it takes one pair of braces, or none: {{disco}}")
    outer, colon, part = prefix.rpartition(":")
    while colon:
        if part in PARTS:
            raise SettingsError(
                f"{PREFIX}PREFIX={prefix!r}: keys of the cluster {outer} begin so, take another"
            )
        outer, colon, part = outer.rpartition(":")
    return prefix


def rq_prefix(env: Mapping[str, str]) -> str:
    """What RQ's keys of the cluster begin with."""
    prefix = key_prefix(env)
    return env.get("RQ_KEY_PREFIX") or ("rq" if prefix == KEYS else f"{prefix}:rq")


def rq_program(env: Mapping[str, str]) -> str:
    """RQ's own program, as one types it for this cluster: it has to know the prefix of its keys."""
    prefix = rq_prefix(env)
    return "rq" if prefix == "rq" else f"RQ_KEY_PREFIX={shlex.quote(prefix)} rq"


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Those of a worker that tells the ends of jobs to addresses."""

    secret: bytes | None = field(default=None, repr=False)
    """The key that signs what is told."""
    local: bool = False
    """Addresses on loopback and link-local are told, too."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> WebhookSettings:
        """Read the environment. Without a secret of its own it is the cluster's, the first key of it."""
        env = os.environ if env is None else env
        own = env.get(WEBHOOK_SECRET, "").encode() or (_secret(env) or b"").split(b",")[0].strip()
        return cls(own or None, _is_on(env, "WEBHOOK_LOCAL", otherwise=OFF))


def _is_on(env: Mapping[str, str], name: str, otherwise: str = ON) -> bool:
    """``on`` or ``off``; ``otherwise`` if the variable is not set."""
    text = env.get(PREFIX + name, "").strip().lower() or otherwise
    if text not in (ON, OFF):
        raise SettingsError(f"{PREFIX}{name}={text!r}: it takes {ON} or {OFF}")
    return text == ON


def _secret(env: Mapping[str, str]) -> bytes | None:
    """The secret itself, or what is in the file that holds it, without white space around it."""
    secret, file = env.get(PREFIX + "SECRET"), env.get(PREFIX + "SECRET_FILE")
    if secret and file:
        raise SettingsError(f"{PREFIX}SECRET and {PREFIX}SECRET_FILE are both set: give one of them")
    if not file:
        if not secret and env.get(KEPT):
            raise SettingsError(
                f"the secret of this cluster is kept from tasks: set {PREFIX}SECRET for what is to have it"
            )
        return _once(secret.encode()) if secret else None
    try:
        content = Path(file).read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{PREFIX}SECRET_FILE={file!r}: {error.strerror or error}") from None
    if not content:
        raise SettingsError(f"{PREFIX}SECRET_FILE={file!r}: the file is empty")
    return _once(content)


def _once(secret: bytes) -> bytes:
    """One object for all that read it here: what forgets the secret overwrites that."""
    if secret not in _secrets:
        _secrets.append(secret)
    return _secrets[_secrets.index(secret)]


def more_schemes(env: Mapping[str, str]) -> frozenset[str]:
    """The schemes of fsspec that are opened beside those that always are (see ``inputs.schemes``): SCHEMES,
    separated by commas or blanks. Raises ``SettingsError`` for what is no scheme.
    """
    named = env.get(PREFIX + "SCHEMES", "").replace(",", " ").split()
    for scheme in named:
        if not _SCHEME.fullmatch(scheme):
            raise SettingsError(f"{PREFIX}SCHEMES: {scheme!r} is no scheme, such as reference or git")
    return frozenset(named)


def _least_memory(env: Mapping[str, str]) -> float | None:
    """TASK_MEMORY. ``SettingsError`` for one in which no process has room: a 2 that is meant as 2g."""
    size = _number(env, "TASK_MEMORY", _SIZES)
    if size is not None and size < _SIZES["m"]:
        raise SettingsError(
            f"{PREFIX}TASK_MEMORY={env[PREFIX + 'TASK_MEMORY']!r}: it takes 1m or more, such as 2g; "
            "leave it empty for no limit"
        )
    return size


def _above_0(env: Mapping[str, str], name: str, never: str) -> float | None:
    """A time that is not 0. ``never``: what to write for that."""
    seconds = _number(env, name, _TIMES)
    if seconds == 0:
        raise SettingsError(
            f"{PREFIX}{name}={env[PREFIX + name]!r}: it takes a time above 0, such as 7d; {never}"
        )
    return seconds


def _count(env: Mapping[str, str], name: str) -> int | None:
    """A number of things, from 1; None if the variable is not set."""
    text = env.get(PREFIX + name, "").strip()
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) == 0:
        raise SettingsError(f"{PREFIX}{name}={text!r}: it takes a number from 1")
    return int(text)


def _number(env: Mapping[str, str], name: str, units: Mapping[str, int]) -> float | None:
    """A number with a unit behind it, such as ``2g`` or ``7d``; None if the variable is not set."""
    text = env.get(PREFIX + name, "").strip().lower()
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]?)", text)
    if found is None or found[2] not in units:
        shown = ", ".join(unit for unit in units if unit)
        raise SettingsError(
            f"{PREFIX}{name}={text!r}: it takes a number, with one of {shown} behind it or none"
        )
    return float(found[1]) * units[found[2]]


NAMES = frozenset(PREFIX + setting.name.upper() for setting in fields(Settings)) | {
    *(*SECRETS, WEBHOOK_SECRET, KEPT),
    *(PREFIX + name for name in ("SCHEMES", "WEBHOOK_LOCAL", "POSIX_ONLY")),
}
"""Every variable that is read, here or in ``machine.kernel``."""

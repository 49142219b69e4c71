"""The connection to Redis, and the Lua scripts on it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha1
from importlib import resources
from inspect import signature
from typing import Any, Self

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.client import Pipeline
from redis.connection import AbstractConnection
from redis.exceptions import AuthenticationError, NoScriptError, OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from disco_rq.errors import ConnectionLost, RedisFull
from disco_rq.store.address import is_cluster, is_sentinel, shown_address
from disco_rq.store.clients import open_client
from disco_rq.store.line import Arg, Line

log = logging.getLogger("disco_rq.store")

OLDEST_SERVER = (6, 2)
AWAY_PATIENCE_S = 30.0
"""For how long a program waits for a Redis that is away."""
TOLD_AFTER_S = 2.0
"""A program that waits for so long says for what."""
SOCKET_TIMEOUT_S = 5.0
"""For how long one answer is waited for: a server that is stopped, or cut off, is away too."""
FULL_PAUSE_S = 0.5
FULL_TOLD_S = 10.0
"""How often a program that waits for memory asks again, and says so."""
COPIED_WITHIN_MS = 100
"""For how long a replica is waited for; one that keeps up takes less than one."""
HISTORY = 10_000
"""About how many lines the history of a job keeps."""
MAX_BLOCK_S = 2.5
"""For how long the server may be asked to wait with an answer; safely less than the above."""


# redis-py looks its own version up, in files, for each new connection, and tells it in more round trips;
# RESP3 takes two more.
_QUIET: dict[str, Any] = {}
if "driver_info" in signature(AbstractConnection).parameters:
    _QUIET["driver_info"] = None


@cache
def script_source(name: str) -> str:
    """The text of one script as the server gets it."""
    scripts = resources.files("disco_rq.store") / "scripts"
    settings = f"local HISTORY = {HISTORY}\n"
    return settings + "".join((scripts / f"{one}.lua").read_text("utf-8") for one in ("_lib", name))


@cache
def script_sha(name: str) -> str:
    return sha1(script_source(name).encode(), usedforsecurity=False).hexdigest()


def load_scripts() -> None:
    """Read all scripts now: who forks spares its children the reading."""
    for path in (resources.files("disco_rq.store") / "scripts").iterdir():
        if path.name.endswith(".lua") and not path.name.startswith("_"):
            script_sha(path.name.removesuffix(".lua"))


def is_full(answer: object) -> bool:
    """Whether it is the error of a server that has reached its ``maxmemory``.

    A script is refused at its first write that takes memory, and none of ours has written before that what
    it could not write again; a transaction is refused whole.
    """
    return isinstance(answer, OutOfMemoryError) or (
        isinstance(answer, ResponseError) and "command not allowed when used memory" in str(answer)
    )


class PatientRetry(Retry):
    """Tries a command again, at first at once, then about once a second, until ``patience_s`` are over."""

    def __init__(self, patience_s: float) -> None:
        backoff = ExponentialWithJitterBackoff(cap=1.0, base=0.05)  # 0.05, 0.1 … 1 s
        super().__init__(backoff, 1_000_000)  # the time ends it, not the number: one try may take seconds
        self._patience_s = patience_s
        self._told_full_at = -math.inf

    def call_with_retry(self, do: Any, fail: Any, *args: Any, **kwargs: Any) -> Any:
        failing_since: float | None = None

        def fail_in_time(error: Exception, *count: int) -> None:
            nonlocal failing_since
            fail(error, *count)
            now = time.monotonic()
            failing_since = now if failing_since is None else failing_since
            self._note_failure(error, now - failing_since)
            if now - failing_since > self._patience_s:
                raise self._given_up(error)

        while True:
            failing_since = None
            try:
                return super().call_with_retry(do, fail_in_time, *args, **kwargs)
            except ResponseError as error:
                if not is_full(error):
                    raise
                self.wait_for_memory()

    def wait_for_memory(self) -> None:
        """The server was full and has refused the command: return when it is time to ask again.

        For ever, if need be: nothing can be told to anybody, and nothing may be lost.
        """
        if time.monotonic() - self._told_full_at > FULL_TOLD_S:
            self._told_full_at = time.monotonic()
            log.warning("Redis has reached its maxmemory: this waits", extra={"action": "full"})
        time.sleep(FULL_PAUSE_S)

    def _note_failure(self, error: Exception, waited_s: float) -> None:
        pass

    def _given_up(self, error: Exception) -> Exception:
        return error


class _State:
    """What became of a connection; one for all copies that redis-py makes of its settings."""

    def __init__(self) -> None:
        self.closed = False
        self.failed_at = self.told_at = -math.inf

    def __deepcopy__(self, _: object) -> Self:
        return self


class _TellingRetry(PatientRetry):
    """Says in our own words that the time is up, or the connection closed."""

    def __init__(self, address: str, patience_s: float, state: _State, waits_for_memory: bool) -> None:
        super().__init__(patience_s)
        self._waits_for_memory = waits_for_memory
        self._address = address
        self._state = state

    def call_with_retry(self, *args: Any, **kwargs: Any) -> Any:
        if self._state.closed:
            raise ConnectionLost(f"the connection to Redis at {self._address} was closed")
        return super().call_with_retry(*args, **kwargs)

    def wait_for_memory(self) -> None:
        if not self._waits_for_memory:
            raise RedisFull(
                f"Redis at {self._address} has reached its maxmemory and takes nothing more: purge old jobs, "
                "or give it more with CONFIG SET maxmemory"
            )
        super().wait_for_memory()

    def _note_failure(self, error: Exception, waited_s: float) -> None:
        now = self._state.failed_at = time.monotonic()
        if waited_s > TOLD_AFTER_S and now - self._state.told_at > self._patience_s:
            self._state.told_at = now
            told = "Redis at %s cannot be reached (%s): waiting up to %.0f s"
            log.warning(told, self._address, error, self._patience_s, extra={"action": "wait"})

    def _given_up(self, error: Exception) -> Exception:
        lost = ConnectionLost(f"Redis at {self._address} cannot be reached: {error}")
        lost.__cause__ = error
        return lost


class Connection:
    """One Redis, opened by its address.

    ``patience_s`` says for how long a command tries again when the server cannot be reached; every script is
    safe to ask again. After that, and when ``check`` finds no usable server, ``ConnectionLost`` names the
    address.
    """

    def __init__(
        self, url: str, *, patience_s: float = AWAY_PATIENCE_S, waits_for_memory: bool = False
    ) -> None:
        """``waits_for_memory``: as long as the server is full; else a refused write raises ``RedisFull``."""
        self.url = url
        self.address = shown_address(url)
        self._state = _State()
        self._retry = _TellingRetry(self.address, patience_s, self._state, waits_for_memory)
        self._full_at = -math.inf  # when a script was last refused for lack of memory
        # Over TLS redis-py takes what follows the handshake for a stray answer, but not with RESP3.
        self._protocol: dict[str, Any] = {} if url.startswith("rediss") else {"protocol": 2}
        self.redis: redis.Redis = open_client(
            url,
            retry=self._retry,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            socket_timeout=SOCKET_TIMEOUT_S,
            **_QUIET | self._protocol,
        )
        self._has_replicas = is_sentinel(url) or is_cluster(url)
        self.line = Line(self.redis.connection_pool)

    def check(self) -> None:
        """Raise ``ConnectionLost`` unless a server of a version that we can use answers now."""
        # By the same protocol: with another one a server may take a password that it refuses later.
        single_try = open_client(
            self.url, retry=Retry(NoBackoff(), 0), socket_timeout=SOCKET_TIMEOUT_S, **self._protocol
        )
        try:
            info: Any = single_try.info("server")
        except AuthenticationError as error:
            raise ConnectionLost(f"Redis at {self.address} refuses the login: {error}") from None
        except (RedisError, OSError) as error:
            raise ConnectionLost(f"Redis at {self.address} cannot be reached: {error}") from None
        finally:
            single_try.close()
        version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
        if version < OLDEST_SERVER:
            raise ConnectionLost(
                f"Redis at {self.address} is version {info['redis_version']}; 6.2 or newer is needed"
            )

    @property
    def silent_for_s(self) -> float:
        """How long ago it was that the server could not be reached, or had no memory for what was written."""
        return time.monotonic() - max(self._full_at, self._state.failed_at)

    def run(self, script: str, keys: Sequence[str], args: Sequence[Arg], *, copied: bool = False) -> Any:
        """Run one script; load it first where the server does not have it.

        ``copied``: where sentinels may make a replica the master, wait until one has it, too, but for
        ``COPIED_WITHIN_MS`` at most.
        """
        return self.run_many([(script, keys, args)], copied=copied)[0]

    def run_many(
        self, calls: Iterable[tuple[str, Sequence[str], Sequence[Arg]]], *, copied: bool = False
    ) -> list[Any]:
        """Run several scripts in one round trip, each a transition of its own. Answers in order."""
        calls = list(calls)
        commands: list[Sequence[Arg]] = [
            ("EVALSHA", script_sha(script), len(keys), *keys, *args) for script, keys, args in calls
        ]
        if copied and self._has_replicas:
            commands.append(("WAIT", 1, COPIED_WITHIN_MS))
        answers = self._ask(commands)[: len(calls)]
        for i, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                script, keys, args = calls[i]
                answers[i] = self.redis.eval(script_source(script), len(keys), *keys, *args)
            elif is_full(answer):
                self._full_at = time.monotonic()
                self._retry.wait_for_memory()
                answers[i] = self.run_many([calls[i]])[0]
                self._full_at = time.monotonic()
            elif isinstance(answer, ResponseError):
                raise answer
        return answers

    def run_together(
        self, calls: Iterable[tuple[str, Sequence[str], Sequence[Arg]]], *, copied: bool = False
    ) -> list[Any]:
        """Run several scripts as one transition, in order: nobody sees what is between. ``copied``: see
        ``run``.
        """
        pipe = self.redis.pipeline(transaction=True)
        for script, keys, args in calls:
            self.add_script(pipe, script, keys, args)
        answers = pipe.execute()
        if copied and self._has_replicas:
            self.redis.wait(1, COPIED_WITHIN_MS)
        return answers

    def read(self, *command: Arg) -> Any:
        """The answer to one command that reads, as the server gives it."""
        (answer,) = self._ask([command])
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    def read_together(self, *commands: Sequence[Arg]) -> list[Any]:
        """The answers to commands that read, of one moment, as the server gives them."""
        answers = self._ask([("MULTI",), *commands, ("EXEC",)])
        found = answers[-1] if isinstance(answers[-1], list) else answers
        for answer in found:
            if isinstance(answer, ResponseError):
                raise answer
        return found

    def _ask(self, commands: Sequence[Sequence[Arg]]) -> list[Any]:
        answers = self.line.ask(commands)
        if answers is None:
            pipe = self.redis.pipeline(transaction=False)
            pipe.response_callbacks = {}  # type: ignore[assignment]  # answers as the server gives them
            for command in commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
            answers = pipe.execute(raise_on_error=False)
        return answers

    def add_script(self, pipe: Pipeline, script: str, keys: Sequence[str], args: Sequence[Arg]) -> None:
        """Add a script to a transaction, with its text, since EXEC cannot load one and ask again."""
        pipe.eval(script_source(script), len(keys), *keys, *args)

    def close(self) -> None:
        """Close it for good: what is asked of it afterwards raises ``ConnectionLost`` at once."""
        self._state.closed = True
        self.line.close()
        self.redis.close()


class Vigil:
    """Looks now and then whether Redis is there, and notices when it has been away for too long."""

    def __init__(self, url: str, patience_s: float = AWAY_PATIENCE_S) -> None:
        self._address = shown_address(url)
        self._patience_s = patience_s
        self._redis = open_client(
            url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=1.0, socket_timeout=1.0
        )
        self._away_since: float | None = None

    def look(self) -> None:
        """Takes a second at most. Raises ``ConnectionLost`` when it is away for longer than the patience."""
        try:
            self._redis.ping()
            self._away_since = None
        except (RedisConnectionError, RedisTimeoutError) as error:
            now = time.monotonic()
            if self._away_since is None:
                self._away_since = now
            elif now - self._away_since > self._patience_s:
                raise ConnectionLost(f"Redis at {self._address} cannot be reached: {error}") from error

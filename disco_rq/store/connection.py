"""The connection to Redis, and the Lua scripts on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha1
from importlib import resources
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.client import Pipeline
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from disco_rq.errors import ConnectionLost, SettingsError

Arg: TypeAlias = str | bytes | int | float

OLDEST_SERVER = (6, 2)


@cache
def script_source(name: str) -> str:
    """The text of one script as the server gets it."""
    scripts = resources.files("disco_rq") / "scripts"
    return (scripts / "_lib.lua").read_text() + (scripts / f"{name}.lua").read_text()


@cache
def script_sha(name: str) -> str:
    return sha1(script_source(name).encode(), usedforsecurity=False).hexdigest()


def redact(url: str) -> str:
    """The address without its password, for messages and logs."""
    try:
        parts = urlsplit(url)
    except ValueError:  # "redis://[::1"
        return url.partition("://")[0] + "://…"
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))


def url_of(client: redis.Redis) -> str:
    """The address of a client that somebody else made, for connections of our own."""
    pool = client.connection_pool
    options = pool.connection_kwargs
    login = ""
    if options.get("password"):
        login = f"{quote(options.get('username') or '', safe='')}:{quote(options['password'], safe='')}@"
    database = options.get("db") or 0
    if "path" in options:
        return f"unix://{login}{options['path']}?db={database}"
    scheme = "rediss" if issubclass(pool.connection_class, redis.SSLConnection) else "redis"
    return f"{scheme}://{login}{options.get('host', 'localhost')}:{options.get('port', 6379)}/{database}"


class _PatientRetry(Retry):
    """Tries again for a while, about once a second; then says so in our own words, whatever the command."""

    def __init__(self, address: str, patience_s: float) -> None:
        backoff = ExponentialWithJitterBackoff(cap=1.0, base=0.05)  # 0.05, 0.1 … 1 s
        super().__init__(backoff, max(1, round(patience_s)) + 4)
        self._address = address

    def call_with_retry(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().call_with_retry(*args, **kwargs)
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise ConnectionLost(f"Redis at {self._address} cannot be reached: {error}") from error


class Connection:
    """One Redis, opened by its address.

    ``patience_s`` says for how long a command tries again when the server cannot be reached; every script is
    safe to ask again. After that, and when ``check`` finds no usable server, ``ConnectionLost`` names the
    address.
    """

    def __init__(self, url: str, *, patience_s: float = 30.0) -> None:
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise SettingsError(
                f"{redact(url)!r} is no Redis address: it takes redis://, rediss:// or unix://"
            )
        self.url = url
        self.address = redact(url)
        try:
            self.redis: redis.Redis = redis.Redis.from_url(
                url, retry=_PatientRetry(self.address, patience_s), socket_connect_timeout=5.0
            )
        except ValueError as error:  # a port that is no number, an option that is none
            raise SettingsError(f"{self.address!r} is no Redis address: {error}") from None

    def check(self) -> None:
        """Raise ``ConnectionLost`` unless a server of a version that we can use answers now."""
        single_try = redis.Redis.from_url(
            self.url, retry=Retry(ExponentialWithJitterBackoff(), 0), socket_timeout=5.0
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

    def run(self, script: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run one script; load it first where the server does not have it."""
        try:
            return self.redis.evalsha(script_sha(script), len(keys), *keys, *args)
        except NoScriptError:
            return self.redis.eval(script_source(script), len(keys), *keys, *args)

    def run_many(self, calls: Iterable[tuple[str, Sequence[str], Sequence[Arg]]]) -> list[Any]:
        """Run several scripts in one round trip, each a transition of its own. Answers in order."""
        calls = list(calls)
        pipe = self.redis.pipeline(transaction=False)
        for script, keys, args in calls:
            pipe.evalsha(script_sha(script), len(keys), *keys, *args)
        answers: list[Any] = pipe.execute(raise_on_error=False)
        for i, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                answers[i] = self.run(*calls[i])
            elif isinstance(answer, ResponseError):
                raise answer
        return answers

    def add_script(self, pipe: Pipeline, script: str, keys: Sequence[str], args: Sequence[Arg]) -> None:
        """Add a script to a transaction, with its text, since EXEC cannot load one and ask again."""
        pipe.eval(script_source(script), len(keys), *keys, *args)

    def close(self) -> None:
        self.redis.close()

"""A line to Redis for short commands.

redis-py's client takes as long as a short command itself for finding a connection, measuring, and being ready
to try again. The line is one of its connections, without the client around it, for one thread: others, and
who finds it broken, ask the client.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from hiredis import pack_command
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Arg: TypeAlias = str | bytes | int | float

_BROKEN = (RedisConnectionError, RedisTimeoutError, OSError)


class Line:
    """One connection of the thread that asks first. It is made then, or by ``open`` before a fork.

    No lock guards it: a time limit that strikes between taking and noting it would keep it locked for ever.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._thread: tuple[int, int] | None = None
        self._connection: Any = None

    def open(self) -> None:
        """Connect, if that goes at once."""
        self._connection = self._connection or self._pool.make_connection()
        try:
            self._connection.connect_check_health(check_health=False, retry_socket_connect=False)
        except _BROKEN:
            self._connection.disconnect()

    def give_away(self) -> None:
        """After a fork: the connection is the child's now. Ours is closed without a word to the server."""
        if self._connection is not None and self._connection._sock is not None:
            ours, self._connection._sock = self._connection._sock, None
            self._connection._parser.on_disconnect()
            ours.close()

    def ask(self, commands: Sequence[Sequence[Arg]]) -> list[Any] | None:
        """The answers, among them ``ResponseError`` objects; None if the line is another thread's, or another
        process' (of whom a fork took it along), or broke.

        Then it is not known whether the commands were carried out.
        """
        here = os.getpid(), threading.get_ident()
        self._thread = self._thread or here
        if self._thread != here:
            return None
        try:
            if self._connection is None:
                self._connection = self._pool.make_connection()
            packed = b"".join(pack_command(cast("Any", tuple(command))) for command in commands)
            self._connection.send_packed_command([packed], check_health=False)
            return [self._answer() for _ in commands]
        except _BROKEN:
            return None
        except BaseException:
            # A time limit may strike anywhere: no answer must be left for the next who asks.
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()

    def _answer(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as error:
            return error

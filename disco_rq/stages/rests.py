"""When a map rests, to tell how far it is: by time, with one look at the clock for many entries."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["MOST_IN_A_ROW", "REST_EACH_S", "Rests"]

REST_EACH_S = 0.2
"""About so often, while entries take as long as those before them."""
MOST_IN_A_ROW = 8192
"""However fast they are: a rest costs some microseconds."""


class Rests:
    """How many entries a map gets in a row: one at first, then as many as it takes in that time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.in_a_row = 1
        """Entries until the next rest."""
        self._clock = clock
        self._since = clock()

    def rest(self, nr_entries: int) -> None:
        """It has had so many since the last one: fewer than it was to get where an input ends."""
        now = self._clock()
        took_s, self._since = now - self._since, now
        if took_s > REST_EACH_S:
            self.in_a_row = min(max(int(nr_entries * REST_EACH_S / took_s), 1), MOST_IN_A_ROW)
        elif took_s < REST_EACH_S / 2 and nr_entries >= self.in_a_row:
            self.in_a_row = min(self.in_a_row * 2, MOST_IN_A_ROW)

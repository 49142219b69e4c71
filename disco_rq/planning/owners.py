"""Owners of jobs: what share of the slots each is due, how many it may have at most, and has. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, floor, inf
from typing import TypeAlias

__all__ = [
    "OTHERS",
    "Dealing",
    "Owners",
    "Portions",
    "Rank",
    "as_owner",
    "is_owner",
    "parse_owner_slots",
    "parse_shares",
    "portions_of",
    "quotas",
]

OTHERS = "*"
"""Each owner that is not named."""
CREDIT_MAX = 3600.0
"""In seconds of a slot: what came long ago does not count for ever."""
MOST = 1000
_SEPARATORS = re.compile(r"[\s,;=]+")
_SHARE = re.compile(r"\d{1,6}(\.\d{1,3})?")
_SLOTS = re.compile(r"\d{1,6}")
_NEARLY = 1e-9

Rank: TypeAlias = tuple[int, float, int]
"""An owner's place, the smallest first."""


@dataclass(frozen=True, slots=True)
class Portions:
    """What the settings say. Without shares the jobs of all owners take turns alike."""

    shares: Mapping[str, float] = field(default_factory=dict)
    slots: Mapping[str, int] = field(default_factory=dict)

    def share(self, owner: str) -> float:
        """1 where nothing is said."""
        return self.shares.get(owner, self.shares.get(OTHERS, 1.0))

    def most(self, owner: str) -> float:
        """How many slots it may have; infinite where nothing is said."""
        return self.slots.get(owner, self.slots.get(OTHERS, inf))


def is_owner(name: str) -> bool:
    """Whether a job may have that owner: one that the settings can name, and that is not each other one."""
    return bool(name) and name != OTHERS and not _SEPARATORS.search(name)


def as_owner(user: str) -> str:
    """The owner that a user of this machine is."""
    return _SEPARATORS.sub("_", user)


def portions_of(shares: str, slots: str) -> Portions:
    """Of both settings. ``ValueError`` names the setting and the word that is wrong."""
    try:
        parsed = parse_shares(shares)
    except ValueError as error:
        raise ValueError(f"DISCO_RQ_SHARES: {error}") from None
    try:
        return Portions(parsed, parse_owner_slots(slots))
    except ValueError as error:
        raise ValueError(f"DISCO_RQ_OWNER_SLOTS: {error}") from None


def parse_shares(text: str) -> dict[str, float]:
    """``alice=3,bob=1,*=1``, separated by commas or blanks. ``ValueError`` names what is no share."""
    found = _parsed(text, _SHARE, "alice=3 or *=0.5: a number above 0", "share")
    return {owner: float(number) for owner, number in found.items()}


def parse_owner_slots(text: str) -> dict[str, int]:
    """``alice=8,*=4``, separated by commas or blanks. ``ValueError`` names what is no number of slots."""
    found = _parsed(text, _SLOTS, "alice=8 or *=4: a whole number from 1", "number of slots")
    return {owner: int(number) for owner, number in found.items()}


def _parsed(text: str, pattern: re.Pattern[str], such_as: str, what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in text.replace(",", " ").split():
        owner, _, number = entry.rpartition("=")
        # Other separators would make a part of the name of what was meant as another owner.
        if not (owner == OTHERS or is_owner(owner)) or not pattern.fullmatch(number) or not float(number):
            raise ValueError(f"{entry!r} is no {what} of an owner, such as {such_as}")
        if owner in found:
            raise ValueError(f"{entry!r}: {owner} is named twice")
        found[owner] = number
    if len(found) > MOST:
        raise ValueError(f"{len(found)} owners are more than {MOST}")
    return found


class Owners:
    """How many batches of each owner are under way. What is in a node's queue counts like what runs."""

    def __init__(self, portions: Portions | None = None) -> None:
        self.portions = portions or Portions()
        self.held: dict[str, int] = {}

    @property
    def has_caps(self) -> bool:
        return bool(self.portions.slots)

    def add(self, owner: str) -> None:
        self.held[owner] = self.held.get(owner, 0) + 1

    def remove(self, owner: str) -> None:
        self.held[owner] -= 1
        if not self.held[owner]:
            del self.held[owner]

    def is_capped(self, owner: str) -> bool:
        """Whether it has all the slots that it may have."""
        return bool(self.portions.slots) and self.held.get(owner, 0) >= self.portions.most(owner)


def quotas(places: float, demands: Mapping[str, float], portions: Portions) -> dict[str, float]:
    """How many of the places each owner is due: in proportion to its share, but no more than it can use. What
    one does not use the others are due.
    """
    shares = {owner: portions.share(owner) for owner in demands}
    left, weight = float(places), sum(shares.values())
    answer = {}
    for ratio, owner in sorted((demand / shares[owner], owner) for owner, demand in demands.items()):
        share = shares[owner]
        # The last one has all that is left: what sums lose in their last digit is not taken from it.
        due = left if weight - share <= _NEARLY * share else left * share / weight
        answer[owner] = min(ratio * share, due)
        left -= answer[owner]
        weight -= share
    return answer


class Dealing:
    """Whose turn it is among owners that have shares.

    Each gets the whole slots that it is due. What is left of the fractions goes to those that had too little
    of it in the time before: an owner that is due a third of a slot has one a third of the time.
    """

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._quotas: dict[str, float] = {}
        self._wanted: dict[str, int] = {}  # tasks that wait, and may run
        self._credit: dict[str, float] = {}
        self._rate: dict[str, float] = {}  # by which that grows
        self._since_s = 0.0
        self._turn: dict[str, int] = {}
        self._turns = 0

    @property
    def is_on(self) -> bool:
        return bool(self._owners.portions.shares)

    def begin(self, now_s: float, wanted: Iterable[tuple[str, int]]) -> None:
        """A plan begins: what was held since the last one counts. ``wanted``: owner and tasks that wait, of
        each job that may have a slot.
        """
        if not self.is_on:
            return
        passed_s, self._since_s = max(now_s - self._since_s, 0.0), now_s
        for owner, rate in self._rate.items():
            credit = self._credit.get(owner, 0.0) + rate * passed_s
            self._credit[owner] = max(-CREDIT_MAX, min(credit, CREDIT_MAX))
        self._wanted = {}
        for owner, number in wanted:
            self._wanted[owner] = self._wanted.get(owner, 0) + number

    def open(self, places: int) -> None:
        """So many places are free."""
        if self.is_on:
            self._quotas = self._due(places)

    def close(self) -> None:
        """The plan ends: from now on counts what each has, against what it is due of all that is held."""
        if not self.is_on:
            return
        held = self._owners.held
        self._rate = {}
        for owner, due in self._due(0).items():
            least, most = floor(due + _NEARLY), ceil(due - _NEARLY)
            self._rate[owner] = due - min(max(held.get(owner, 0), least), most)
        self._credit = {owner: self._credit.get(owner, 0.0) for owner in self._wanted}
        self._turn = {owner: turn for owner, turn in self._turn.items() if owner in self._rate}

    def rank(self, owner: str) -> Rank:
        """First who lacks whole slots, the one that lacks most; then who is due a part of one. Without shares
        nobody is before another.
        """
        if not self.is_on:
            return 0, 0.0, 0
        held, due = self._owners.held.get(owner, 0), self._quotas.get(owner, 0.0)
        turn = self._turn.get(owner, 0)
        if held < floor(due + _NEARLY):
            return 0, held / due, turn
        if held < ceil(due - _NEARLY):
            return 1, -self._credit.get(owner, 0.0), turn
        return 2, (held + 1) / self._owners.portions.share(owner), turn

    def served(self, owner: str, tasks: int) -> None:
        """It had its turn, and a slot for so many tasks."""
        if not self.is_on:
            return
        self._turns += 1
        self._turn[owner] = self._turns
        if self._wanted.get(owner, 0) > tasks:
            self._wanted[owner] -= tasks
        else:
            self._wanted.pop(owner, None)

    def _due(self, places: int) -> dict[str, float]:
        held, most = self._owners.held, self._owners.portions.most
        demands = {}
        for owner in {**held, **self._wanted}:
            has = held.get(owner, 0)
            demands[owner] = min(has + self._wanted.get(owner, 0), max(most(owner), has))
        return quotas(sum(held.values()) + places, demands, self._owners.portions)

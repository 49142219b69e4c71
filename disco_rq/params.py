"""``Params``: a bag of named values for job functions."""

from __future__ import annotations

from typing import Any


class Params:
    """Holds what it is given as attributes: ``Params(limit=3).limit``. Functions are allowed as values.

    The job's ``params`` are shipped with it; each task has a copy of its own.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        # Only called for what is missing; it also tells type checkers that any attribute may be there.
        has = f"only {', '.join(self.__dict__)}" if self.__dict__ else "it was given none"
        raise AttributeError(f"the job's params have no {name!r}, {has}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Params) and self.__dict__ == other.__dict__

    def __repr__(self) -> str:
        return f"Params({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    __hash__ = None  # type: ignore[assignment]  # it is mutable

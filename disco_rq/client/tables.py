"""Results as tables: of pyarrow, pandas or polars.

The columns are ``key`` and ``value``. Where the values are dicts with names, there is a column for each name
in the place of ``value``; one that is called ``key`` itself becomes ``value.key``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from disco_rq.client.reading import HasResults, result_iterator
from disco_rq.errors import DiscoError, RecordTypeError
from disco_rq.records.pairs import shown
from disco_rq.saving import Misfit, Shape, encoded

__all__ = ["to_arrow", "to_pandas", "to_polars"]

_ROWS = 10_000

Column = tuple[Shape, Callable[[Any, Any], Any]]
"""What its values are, and how each is made of a pair."""


def to_arrow(self: HasResults) -> Any:
    """The pairs of all results, in order, as a ``pyarrow.Table``; waits for the end as ``wait`` does.

    Columns ``key`` and ``value``, or ``key`` and the names of the values where these are dicts, with None for
    what some of them lack. The results are read twice, some thousand pairs at a time. Needs
    ``disco-rq[arrow]``. Raises ``RecordTypeError`` naming key and type for what one column does not hold.
    """
    arrow = _package("pyarrow", "arrow")
    results = list(self.wait())
    columns = _columns(result_iterator(results))
    schema = arrow.schema([(name, shape.arrow_type()) for name, (shape, _) in columns.items()])
    batches = []
    for pairs in _some(result_iterator(results)):
        arrays = [
            arrow.array(encoded([of(*pair) for pair in pairs], shape.told()), field.type)
            for (shape, of), field in zip(columns.values(), schema, strict=True)
        ]
        batches.append(arrow.RecordBatch.from_arrays(arrays, schema=schema))
    return arrow.Table.from_batches(batches, schema=schema)


def to_pandas(self: HasResults) -> Any:
    """The same as a ``pandas.DataFrame``; ints and bools with None among them have the types ``Int64`` and
    ``boolean`` of pandas. Needs ``disco-rq[pandas]``.
    """
    pandas = _package("pandas", "pandas")
    arrow = _package("pyarrow", "pandas")
    with_none = {arrow.int64(): pandas.Int64Dtype(), arrow.bool_(): pandas.BooleanDtype()}
    table = to_arrow(self)
    return pandas.DataFrame(
        {
            name: column.to_pandas(types_mapper=with_none.get) if column.null_count else column.to_pandas()
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )


def to_polars(self: HasResults) -> Any:
    """The same as a ``polars.DataFrame``. Needs ``disco-rq[polars]``."""
    polars = _package("polars", "polars")
    arrow = _package("pyarrow", "polars")
    table = to_arrow(self)
    for field in table.schema:
        if _is_wide(arrow, field.type):
            raise RecordTypeError(
                f"polars does not hold numbers of more than 38 digits, which the column {field.name!r} has: "
                "convert what result_iterator(job) gives, or take to_arrow"
            )
    return polars.from_arrow(table)


def _is_wide(arrow: Any, kind: Any) -> bool:
    """Whether a column of this type has decimals of more than 128 bits, at any depth."""
    inner = [kind.field(i).type for i in range(kind.num_fields)]
    return arrow.types.is_decimal256(kind) or any(_is_wide(arrow, one) for one in inner)


def _columns(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Column]:
    keys, values = Shape(exact=False), Shape(exact=False)
    for key, value in pairs:
        for what, shape, item in (("key", keys, key), ("value", values, value)):
            try:
                shape.see(item)
            except Misfit as misfit:
                raise RecordTypeError(
                    f"a table does not hold a {what} with the type {type(misfit.value).__qualname__}"
                    f"{misfit.detail} (of key {shown(key)}): "
                    "convert what result_iterator(job) gives"
                ) from None
    columns: dict[str, Column] = {"key": (keys, lambda key, _value: key)}
    if not values.is_record:
        return {**columns, "value": (values, lambda _key, value: value)}
    for name, field in values.fields.items():
        column = "value.key" if name == "key" else name
        if column in columns or (column != name and column in values.fields):
            raise RecordTypeError(f"a table would have two columns with the name {column!r}")
        columns[column] = (field, _field(name))
    return columns


def _field(name: str) -> Callable[[Any, Any], Any]:
    return lambda _key, value: None if value is None else value.get(name)


def _some(pairs: Iterable[tuple[Any, Any]]) -> Iterator[list[tuple[Any, Any]]]:
    rows = iter(pairs)
    while some := list(islice(rows, _ROWS)):
        yield some


def _package(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise DiscoError(f"this needs {module}: pip install 'disco-rq[{extra}]'") from None

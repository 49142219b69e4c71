"""The table: for a terminal, for the README, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.benchmarks.rows import Bound, Row
from tests.benchmarks.turns import Runs

Result = tuple[Row, list[Runs]]
HEAD = ("row", "program", "time", "CPU", "memory", "first takes", "its CPU", "")
MARKDOWN_HEAD = ("work", "program", "time", "CPU", "memory (PSS)", "disco-rq takes")


def plain(results: Sequence[Result]) -> str:
    """Aligned columns; the first program of a row has what its bounds say."""
    lines: list[Sequence[str]] = [HEAD]
    for row, runs in results:
        for i, of in enumerate(runs):
            said = "; ".join(filter(None, [verdicts(row, runs) if i == 0 else "", of.note]))
            cpu = cpu_ratio(runs[0], of)
            of_cpu = f"{cpu:.2f} times" if i and cpu else ""
            lines.append((row.name if i == 0 else "", *_cells(row, runs, of), of_cpu, said))
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(results: Sequence[Result]) -> str:
    """For the README."""
    lines: list[Sequence[str]] = [MARKDOWN_HEAD, ["---"] * len(MARKDOWN_HEAD)]
    for row, runs in results:
        lines += [(row.text if i == 0 else "", *_cells(row, runs, of)) for i, of in enumerate(runs)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Seconds and bytes, every round."""
    return [
        {
            "row": row.name,
            "text": row.text,
            "programs": [
                {
                    "program": of.program,
                    "value": of.value,
                    "values": of.values,
                    "cpu_s": of.cpu,
                    "pss_bytes": of.pss_bytes,
                    "ratio": runs[0].value / of.value,
                    "cpu_ratio": cpu_ratio(runs[0], of),
                    "note": of.note,
                }
                for of in runs
            ],
            "bounds": [
                {
                    "beside": bound.beside,
                    "cpu": bound.cpu,
                    "at_least": bound.at_least,
                    "aim": bound.aim,
                    "found": found,
                    "kept": found is None or bound.at_least is None or found <= bound.at_least,
                }
                for bound in row.bounds
                for found in [measured(bound, runs)]
            ],
        }
        for row, runs in results
    ]


def measured(bound: Bound, runs: Sequence[Runs]) -> float | None:
    """What a bound is held against; None if its yardstick did not run."""
    value = runs[0].cpu if bound.cpu else runs[0].value
    if value is None or not bound.beside:
        return value
    yardstick = next((of for of in runs if of.program == bound.beside), None)
    return None if yardstick is None else value / yardstick.value


def cpu_ratio(first: Runs, other: Runs) -> float | None:
    """On a machine that is shared it says more than times do. None if it is not known."""
    return first.cpu / other.cpu if first.cpu and other.cpu else None


def missed(results: Sequence[Result]) -> list[str]:
    """The rows that miss a bound."""
    return [row.name for row, runs in results if "NO" in verdicts(row, runs)]


def verdicts(row: Row, runs: Sequence[Runs]) -> str:
    """Each bound, and whether it is kept; what is only aimed for is neither kept nor missed."""
    said = []
    for bound in row.bounds:
        found = measured(bound, runs)
        if found is None:
            continue
        told = _limit(row, bound, found)
        if bound.at_least is not None:
            word = "ok" if found <= bound.at_least else "NO"
            told = f"{word}: {told} <= {_limit(row, bound, bound.at_least)}"
        if bound.aim is not None:
            told += f", aim {_limit(row, bound, bound.aim)}"
        said.append(f"{told} of {bound.beside}" if bound.beside else told)
    return "; ".join(said)


def _limit(row: Row, bound: Bound, value: float) -> str:
    if bound.beside:
        return f"{value:.2f}"
    return f"{value * 1000:.1f} ms CPU" if bound.cpu else _figure(row.figure, value)


def _cells(row: Row, runs: Sequence[Runs], of: Runs) -> tuple[str, ...]:
    cpu = "" if of.cpu is None or row.figure == "MB" else _cpu(row, of.cpu)
    pss = f"{of.pss_bytes >> 20} MiB" if of.pss_bytes else ""
    ratio = "" if of is runs[0] else f"{runs[0].value / of.value:.2f} times"
    return of.program, _figure(row.figure, of.value), cpu, pss, ratio


def _cpu(row: Row, seconds: float) -> str:
    return f"{seconds:.2f} s" if row.figure == "s" else f"{seconds * 1000:.2f} ms"


def _figure(figure: str, value: float) -> str:
    if figure == "MB":
        return f"{value / 1e6:.0f} MB"
    if figure == "ms":
        return f"{value * 1000:.1f} ms"
    if figure == "rate":
        return f"{1 / value:,.0f}/s"
    return f"{value:.2f} s"

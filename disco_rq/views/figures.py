"""Numbers and times as people read them, as filters of the templates; static/format.js does it live."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
UNKNOWN = "\N{EN DASH}"


def count(number: float | None) -> str:
    """1234567 → ``1,234,567``; None → a dash."""
    return UNKNOWN if number is None else f"{number:,}"


def size(size_bytes: float | None) -> str:
    """1536 → ``1.5 KiB``; None → a dash."""
    if size_bytes is None:
        return UNKNOWN
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    units = ["PiB", "TiB", "GiB", "MiB", "KiB"]
    while (size_bytes := size_bytes / 1024) >= 1023.95 and len(units) > 1:
        units.pop()
    return f"{size_bytes:.1f} {units[-1]}"


def duration(ms: float | None) -> str:
    """4200 → ``4.2 s``, two units at most; None → a dash."""
    if ms is None:
        return UNKNOWN
    if ms < 1000:
        return f"{max(round(ms), 0)} ms"
    seconds = int(ms // 1000)
    if seconds < MINUTE_S:
        return f"{ms / 1000:.1f} s" if seconds < 10 else f"{seconds} s"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S} min {seconds % MINUTE_S} s"
    if seconds < 2 * DAY_S:
        return f"{seconds // HOUR_S} h {seconds % HOUR_S // MINUTE_S} min"
    return f"{seconds // DAY_S} d {seconds % DAY_S // HOUR_S} h"


def age(ms: float) -> str:
    """In its largest unit: 12345 → ``12 s``."""
    seconds = max(int(ms // 1000), 0)
    if seconds < MINUTE_S:
        return f"{seconds} s"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S} min"
    if seconds < 2 * DAY_S:
        return f"{seconds // HOUR_S} h"
    return f"{seconds // DAY_S} d"


def share(part: float, whole: float) -> str:
    """The part in percent of the whole, without its sign; of nothing, all is done."""
    return f"{100 * part / whole if whole else 100:.2f}".rstrip("0").rstrip(".")


def iso(ms: float) -> str:
    """Milliseconds since 1970 as ``2026-11-23T23:45:00.000Z``."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(ms: float) -> str:
    """The same for people: the reader's browser puts it into their zone."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%d %b, %H:%M:%S UTC")


FILTERS = {filter.__name__: filter for filter in (count, size, duration, age, share, iso, clock)}

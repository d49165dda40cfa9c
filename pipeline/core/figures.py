"""Numbers as people read them: one place for separators, units and rounding, for the console and the report."""

from __future__ import annotations

import math

_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: float) -> str:
    """7394 -> "7,394"; what is not finite by its name: "nan", "inf"."""
    if not math.isfinite(value):
        return str(value)
    return f"{round(value):,}"


def short(value: float) -> str:
    """1234567 -> "1.23 M": three significant figures, for axes and rates."""
    for size, letter in _LARGE:
        if abs(value) >= size:
            return f"{significant(value / size)} {letter}"
    return significant(value)


def significant(value: float) -> str:
    """Three significant figures without an exponent: 0.0123, 1.23, 12.3, 123."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.2g}"
    text = f"{value:.3g}"
    return f"{float(text):,.0f}" if "e" in text else text


def size(value: float) -> str:
    """Bytes in powers of ten, as disks and networks are sold: 1234567 -> "1.23 MB"."""
    amount, index = float(value), 0
    while abs(amount) >= 999.5 and index < len(_BYTES) - 1:
        amount, index = amount / 1000, index + 1
    return f"{significant(amount)} {_BYTES[index]}"


def duration(seconds: float) -> str:
    """4.2 -> "4.2 s", 134 -> "2 min 14 s", 7500 -> "2 h 05 min"; what is not finite by its name."""
    if not math.isfinite(seconds):
        return str(seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02d} min"


def rate(value: float, unit: str) -> str:
    """A speed in the unit of a step: bytes become "12.3 MB/s", anything else "1.2 k tokens/s"."""
    if unit == "bytes":
        return f"{size(value)}/s"
    return f"{short(value)} {unit}/s"


def amount(value: float, unit: str) -> str:
    """How much: bytes as a size, anything else with separators and its unit."""
    return size(value) if unit == "bytes" else f"{count(value)} {unit}"


def plural(value: int, noun: str) -> str:
    """A number of things: "1 stage", "9 stages"; nouns whose plural ends in s."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def percent(part: float, total: float) -> str:
    """Share of a whole with one decimal below ten per cent; an empty whole has no share."""
    if not total:
        return "–"
    share = 100 * part / total
    if 0 < share < 0.05:
        return "< 0.1 %"
    return f"{share:.1f} %" if share < 9.95 else f"{share:.0f} %"

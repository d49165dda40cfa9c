"""An artifact in a few words for the console and the report's head: what came in, what went out, what was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster import figures
from pipeline.core.manifest import Manifest


def told(manifest: Manifest) -> str:
    """ "5,930 of 7,394 kept, 1,464 dropped (repetition 571, …)", or the counts that the stage chose to give."""
    counts = manifest.counts
    parts = []
    if "in" in counts and "out" in counts:
        parts.append(_rows(counts))
    others = [(key, value) for key, value in counts.items() if _plain(key, value)]
    parts += [f"{key.replace('_', ' ')} {_figure(key, value)}" for key, value in others[:4]]
    return ", ".join(parts)


def _rows(counts: Mapping[str, Any]) -> str:
    text = f"{figures.count(counts['out'])} of {figures.count(counts['in'])} kept"
    dropped = {reason: n for reason, n in counts.get("dropped", {}).items() if n}
    if dropped:
        most = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{reason} {figures.count(n)}" for reason, n in most[:3]) + (", …" if most[3:] else "")
        text += f", {figures.count(sum(dropped.values()))} dropped ({shown})"
    if counts.get("quarantined"):
        text += f", {figures.count(counts['quarantined'])} quarantined"
    return text


def _plain(key: str, value: Any) -> bool:
    return key not in ("in", "out", "quarantined") and isinstance(value, int | float) and not isinstance(value, bool)


def _figure(key: str, value: float) -> str:
    if "bytes" in key and "per" not in key:
        return figures.size(value)
    return figures.count(value) if float(value).is_integer() else figures.significant(value)

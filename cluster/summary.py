"""A short summary of an artifact for the console and the report: by its stage's own function, or from its counts."""

from __future__ import annotations

import re
from typing import cast

from pipeline.core import figures
from pipeline.core.counts import StageCounts
from pipeline.core.manifest import Manifest
from pipeline.core.registry import load
from pipeline.core.stage import StageSpec

# counts that the summary states otherwise, or that only the report has room for
OMITTED = {"in", "out", "quarantined", "raw_files", "raw_bytes", "text_bytes", "text_bytes_in", "bytes_in", "bytes_out"}


def summary(manifest: Manifest, spec: StageSpec | None = None) -> str:
    """ "917 of 1,769 kept, 852 dropped (length 590, …), 963 kB of text", or the counts that the stage chose to give."""
    if spec is not None and spec.summary is not None:
        text: str = load(spec.summary)(manifest)
        return text
    parts, dropped = [documents(manifest)], _dropped(manifest.counts)
    if dropped:
        parts.append(dropped)
    text_bytes = manifest.counts.get("text_bytes", manifest.counts.get("bytes_out"))
    if text_bytes:
        parts.append(f"{figures.size(text_bytes)} of text")
    others = [(key, cast(float, value)) for key, value in manifest.counts.items() if _plain(key, value)]
    parts += [_describe_count(key, value) for key, value in others[:4]]
    return ", ".join(filter(None, parts))


def documents(manifest: Manifest) -> str:
    """Documents alone: "917 of 1,769 documents kept", "1,769 documents from 484 files"."""
    counts = manifest.counts
    if "in" not in counts or "out" not in counts:
        return ""
    if "raw_files" in counts:
        text = f"{figures.count(counts['out'])} documents from {_count_of(counts['raw_files'], 'files')}"
        return text + f", {figures.count(counts['quarantined'])} quarantined" * bool(counts.get("quarantined"))
    if counts["in"] == counts["out"]:
        return f"{figures.count(counts['out'])} documents"
    return f"{figures.count(counts['out'])} of {figures.count(counts['in'])} documents kept"


def _dropped(counts: StageCounts) -> str:
    dropped = {reason: n for reason, n in counts.get("dropped", {}).items() if n}
    most = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{reason} {figures.count(n)}" for reason, n in most[:3]) + (", …" if most[3:] else "")
    return f"{figures.count(sum(dropped.values()))} dropped ({shown})" if dropped else ""


def _plain(key: str, value: object) -> bool:
    return key not in OMITTED and isinstance(value, int | float) and not isinstance(value, bool) and bool(value)


def _count_of(value: float, plural: str) -> str:
    """ "3 fields left out", "1 field left out"."""
    noun = re.sub(r"s\b", "", plural, count=1) if value == 1 else plural
    return f"{figures.count(value)} {noun}"


def _describe_count(key: str, value: float) -> str:
    words = key.replace("_", " ")
    if "bytes" in key and "per" not in key:
        return f"{words} {figures.size(value)}"
    return _count_of(value, words) if float(value).is_integer() else f"{words} {figures.significant(value)}"

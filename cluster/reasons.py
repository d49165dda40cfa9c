"""Why a step is not done: the parameter, input or raw file that differs from the newest artifact of its stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.differences import differences
from pipeline.core.artifact import Artifact
from pipeline.core.job import SourceFiles
from pipeline.core.manifest import StageHashes, as_list
from pipeline.core.plugins import PLUGINS, source_changes, without_sources
from pipeline.core.registry import load
from pipeline.core.stage import StageSpec

RAW = "raw"  # the key of an input that is no artifact: one hash over the raw files
MOST = 3  # things that are named


def reason(
    spec: StageSpec, params: Mapping[str, Any], inputs: StageHashes, old: Artifact, pending: Sequence[str],
    sources: Sequence[SourceFiles],
) -> str:  # fmt: skip
    """What differs, in words: at most three things, then a number. `pending`: stages read whose steps are not done."""
    changes = []
    if old.manifest.version != spec.version:
        changes.append(f"the stage's version {old.manifest.version} → {spec.version}")
    changes += source_changes(old.manifest.params.get(PLUGINS, {}), params.get(PLUGINS, {}))
    changes += differences(without_sources(old.manifest.params), without_sources(params), spec.section)
    redone = [stage for stage in inputs if stage in pending and stage in old.manifest.inputs]
    if redone and not changes and inputs.keys() == old.manifest.inputs.keys():
        return f"redone unless its input {' and '.join(redone)} comes out the same"
    for stage, now in inputs.items():
        then = old.manifest.inputs.get(stage)
        if stage in redone:
            changes.append(f"its input {stage} is redone")
        elif then == now:
            continue
        elif stage == RAW:
            changes.append(_changed_files(spec, old, sources))
        elif then is None:
            changes.append(f"it now reads {stage}")
        else:
            changes.append(f"its input {stage} changed ({_short(then)} → {_short(now)})")
    changes += [f"it no longer reads {stage}" for stage in old.manifest.inputs if stage not in inputs]
    more = f" and {len(changes) - MOST} more" if len(changes) > MOST else ""
    return "; ".join(changes[:MOST]) + more if changes else "its newest artifact was made of something else"


def _short(fingerprints: str | list[str]) -> str:
    return ", ".join(fingerprint[:8] for fingerprint in as_list(fingerprints))


def _changed_files(spec: StageSpec, old: Artifact, sources: Sequence[SourceFiles]) -> str:
    """Which raw files came, went or changed, by the artifact's own list of what it read."""
    before: dict[tuple[str, str], str] = load(spec.raw)().recorded(old) if spec.raw else {}
    if not before:
        return "its raw files changed"
    after = {(source["source"], file["name"]): file["sha256"] for source in sources for file in source["files"]}
    changes = {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(key for key in after.keys() & before.keys() if after[key] != before[key]),
    }
    descriptions = [
        f"{len(names)} raw {'file' if len(names) == 1 else 'files'} {kind} ({names[0][1]}{', …' if names[1:] else ''})"
        for kind, names in changes.items()
        if names
    ]
    return ", ".join(descriptions) or "its raw files come in another order"

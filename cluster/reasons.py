"""Why a step is not cached: the parameter, input or raw file that differs from the newest artifact of its stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.differences import differences
from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonValue
from pipeline.core.job import SourceFiles
from pipeline.core.manifest import StageHashes, as_list
from pipeline.core.plugins import PLUGINS, source_changes, without_sources
from pipeline.core.registry import load
from pipeline.core.stage import StageSpec

RAW = "raw"  # the input key of raw files: one hash over all of them
MOST_CHANGES = 3  # changes that are listed


def comparable(spec: StageSpec, params: Mapping[str, JsonValue], earlier: Sequence[Artifact]) -> Artifact:
    """The artifact to compare with: the newest, or, where entries of a section share a stage, the most similar."""
    if not spec.named:
        return earlier[0]
    return min(earlier, key=lambda artifact: len(differences(artifact.manifest.params, {**params}, "")))


def reason(
    spec: StageSpec, params: Mapping[str, JsonValue], inputs: StageHashes, old: Artifact, pending: Sequence[str],
    sources: Sequence[SourceFiles],
) -> str:  # fmt: skip
    """The differences: at most three, then how many more. `pending`: stages among the inputs that have yet to run."""
    changes = []
    if old.manifest.version != spec.version:
        changes.append(f"the stage's version {old.manifest.version} → {spec.version}")
    changes += source_changes(old.manifest.params.get(PLUGINS, {}), params.get(PLUGINS, {}))
    changes += differences(without_sources(old.manifest.params), without_sources(params), spec.section)
    redone = [stage for stage in inputs if stage in pending and stage in old.manifest.inputs]
    if redone and not changes and inputs.keys() == old.manifest.inputs.keys():
        inputs_are = "input {} is" if len(redone) == 1 else "inputs {} are"
        return f"runs again unless its {inputs_are.format(' and '.join(redone))} unchanged"
    for stage, now in inputs.items():
        then = old.manifest.inputs.get(stage)
        if stage in redone:
            changes.append(f"its input {stage} runs again")
        elif then == now:
            continue
        elif stage == RAW:
            changes.append(_changed_files(spec, old, sources))
        elif then is None:
            changes.append(f"it now reads {stage}")
        else:
            changes.append(f"its input {stage} changed ({_short(then)} → {_short(now)})")
    changes += [f"it no longer reads {stage}" for stage in old.manifest.inputs if stage not in inputs]
    more = f" and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
    return "; ".join(changes[:MOST_CHANGES]) + more if changes else "the newest artifact has other inputs"


def _short(fingerprints: str | list[str]) -> str:
    return ", ".join(fingerprint[:8] for fingerprint in as_list(fingerprints))


def _changed_files(spec: StageSpec, old: Artifact, sources: Sequence[SourceFiles]) -> str:
    """Which raw files were added, removed or changed, compared with the list in the artifact."""
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
    return ", ".join(descriptions) or "the order of its raw files changed"

"""The plan: for each stage its fingerprint, what it will read, and whether it is done, resumed, stale or new, and why.

Nothing is run and nothing but raw files' hashes is computed; a stale stage is held against its newest artifact, and the
parameter or input that changed is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from cluster.config import Cluster, Loaded
from cluster.differences import differences
from cluster.ledger import Ledger
from cluster.numerics import other_class
from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import RawFile, canonical_json, read_json
from pipeline.core.manifest import each, fingerprint
from pipeline.core.plugins import PLUGINS, source_changes, without_sources
from pipeline.core.registry import did_you_mean
from pipeline.core.registry import load as load_target
from pipeline.core.stage import SourceFile, SourceFiles, StageSpec
from pipeline.core.store import Store

State = Literal["done", "resume", "stale", "run"]
MATCH = "pipeline.readers:match"  # by name: a reader is imported only where raw files are listed
RAW = "raw"  # the key of ingest's input: one hash over the sorted (source, relative path, size, sha256) of its files


@dataclass(frozen=True)
class Planned:
    """One stage of a plan. `inputs`: stage → fingerprint, as in the manifest; `needs`: kind → (stage, fingerprint)."""

    spec: StageSpec
    params: dict[str, Any]
    inputs: dict[str, str]
    needs: dict[str, tuple[str, str]]
    fingerprint: str
    state: State
    why: str
    artifact: Artifact | None = None
    sources: list[SourceFiles] = field(default_factory=list)
    externals: dict[str, Artifact] = field(default_factory=dict)  # artifacts of other runs, by what they are for
    numerics: str = ""  # why a published model's last bits are not those of a model trained here and now

    @property
    def name(self) -> str:
        return self.spec.name

    def to_dict(self) -> dict[str, Any]:
        return {
            "stage": self.name, "version": self.spec.version, "makes": self.spec.makes, "state": self.state,
            "why": self.why, "fingerprint": self.fingerprint, "inputs": self.inputs, "params": self.params,
        }  # fmt: skip


def plan(loaded: Loaded, store: Store, *, hashed: Callable[[RawFile], None] | None = None) -> list[Planned]:
    """Every stage of a configuration, in the order of the flow; `hashed` hears of each raw file that had to be read."""
    ledger = Ledger(loaded.workdir)
    planned: list[Planned] = []
    newest: dict[str, Planned] = {}  # kind → the nearest earlier stage that makes it
    for spec in loaded.chosen():
        section = loaded.config.section(spec.section)
        assert section is not None  # chosen() left the others out
        params = spec.params_of(section, loaded.config.seed)
        sources = _sources(section, ledger, hashed) if not spec.needs else _files(spec, section)
        kinds, externals = spec.needs_of(section), spec.externals_of(section)
        needs: dict[str, tuple[str, str]] = {kind: (newest[kind].name, newest[kind].fingerprint) for kind in kinds}
        inputs = dict(needs.values()) if spec.needs else _raw_input(sources)
        # what another run made is known by what it holds: its digest
        inputs |= {name: artifact.manifest.digest for name, artifact in externals.items()}
        found = _judge(
            spec, params, inputs, needs, store, {one.name: one for one in planned}, sources, loaded.config.cluster
        )
        # and is handed on with what was made of it: a model is held against the weights that it began with
        handed_on = {name: artifact for kind in kinds for name, artifact in newest[kind].externals.items()}
        found = replace(found, externals=handed_on | externals)
        planned.append(found)
        newest[spec.makes] = found
        if found.sources and not spec.needs:
            ledger.record_part(found.fingerprint, [f"{s['source']}/{f['name']}" for s in sources for f in s["files"]])
    if loaded.workdir.is_dir():
        ledger.save()
    return planned


def select(planned: Sequence[Planned], start: str | None, end: str | None) -> list[Planned]:
    """The stages from `start` to `end`, both included.

    Raises: UserError for an unknown name, an empty range, or a range whose inputs are not there.
    """
    names = [one.name for one in planned]
    for flag, name in (("--from", start), ("--to", end)):
        if name is not None and name not in names:
            raise UserError(f"{flag} {name}: no stage of this run. {did_you_mean(name, names)}")
    first = names.index(start) if start else 0
    last = names.index(end) if end else len(names) - 1
    if first > last:
        raise UserError(f"--from {start} comes after --to {end}. The order is: {', '.join(names)}.")
    needed = {stage for one in planned[first : last + 1] for stage, _ in one.needs.values()}
    absent = [one.name for one in planned[:first] if one.name in needed and one.state != "done"]
    if absent:
        raise UserError(f"--from {start}: {absent[0]} is not done for this configuration. Use --from {absent[0]}.")
    return list(planned[first : last + 1])


def _sources(section: Any, ledger: Ledger, hashed: Callable[[RawFile], None] | None) -> list[SourceFiles]:
    """What ingest reads: each source's files with their hashes; a section without sources reads none."""
    found: list[SourceFiles] = []
    for source in getattr(section, "sources", ()):
        entries: list[SourceFile] = [
            {
                "path": file.path,
                "name": file.name,
                "size": file.size,
                "mtime": file.mtime,
                "sha256": ledger.sha256(file, hashed),
            }
            for file in load_target(MATCH)(source)
        ]
        found.append({"source": source.name, "reader": source.reader, "files": entries})
    return found


def _files(spec: StageSpec, section: Any) -> list[SourceFiles]:
    """Where the files lie whose content is among the parameters."""
    found: list[SourceFiles] = load_target(spec.files)(section) if spec.files else []
    return found


def _raw_input(sources: Sequence[SourceFiles]) -> dict[str, str]:
    if not sources:
        return {}
    lines = sorted([s["source"], f["name"], f["size"], f["sha256"]] for s in sources for f in s["files"])
    return {RAW: hashlib.sha256(canonical_json(lines)).hexdigest()}


def _judge(
    spec: StageSpec, params: dict[str, Any], inputs: dict[str, str], needs: dict[str, tuple[str, str]], store: Store,
    before: dict[str, Planned], sources: list[SourceFiles], cluster: Cluster,
) -> Planned:  # fmt: skip
    identity = fingerprint(spec.name, spec.version, params, inputs)
    artifact = store.find(spec.name, identity)
    state: State
    if artifact is not None:
        state, why = "done", f"same parameters and inputs, published {_when(artifact)}"
    else:
        earlier = store.all(spec.name)
        reason = _changed(spec, params, inputs, earlier[0], before, sources) if earlier else "nothing published yet"
        if store.has_draft(spec.name, identity):
            state, why = "resume", "an earlier attempt was interrupted; what it finished is kept"
        else:
            state, why = ("stale" if earlier else "run"), reason
    numerics = other_class(artifact.manifest.numerics, cluster) if artifact is not None else ""
    return Planned(spec, params, inputs, needs, identity, state, why, artifact, sources, numerics=numerics)


def _changed(
    spec: StageSpec, params: dict[str, Any], inputs: dict[str, str], old: Artifact, before: dict[str, Planned],
    sources: list[SourceFiles],
) -> str:  # fmt: skip
    """What differs from the newest artifact of the stage, in words; at most three things, then a number."""
    found = []
    if old.manifest.version != spec.version:
        found.append(f"the stage's version {old.manifest.version} → {spec.version}")
    found += source_changes(old.manifest.params.get(PLUGINS, {}), params.get(PLUGINS, {}))
    found += differences(without_sources(old.manifest.params), without_sources(params), spec.section)
    for stage, identity in inputs.items():
        was = old.manifest.inputs.get(stage)
        if was == identity:
            continue
        if stage == RAW:
            found.append(_changed_files(old, sources))
        elif was is None:
            found.append(f"it now reads {stage}")
        elif stage in before and before[stage].state != "done":
            found.append(f"its input {stage} is redone")
        else:
            found.append(f"its input {stage} changed ({_short(was)} → {_short(identity)})")
    found += [f"it no longer reads {stage}" for stage in old.manifest.inputs if stage not in inputs]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more if found else "its newest artifact was made of something else"


def _short(fingerprints: str | list[str]) -> str:
    return ", ".join(fingerprint[:8] for fingerprint in each(fingerprints))


def _changed_files(old: Artifact, sources: Sequence[SourceFiles]) -> str:
    """Which raw files came, went or changed, by ingest's own list of what it read."""
    if not old.has("raw.json"):
        return "its raw files changed"
    before = {(one["source"], one["name"]): one["sha256"] for one in read_json(old.file("raw.json"))}
    after = {(s["source"], f["name"]): f["sha256"] for s in sources for f in s["files"]}
    kinds = {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(key for key in after.keys() & before.keys() if after[key] != before[key]),
    }
    told = [
        f"{len(names)} raw {'file' if len(names) == 1 else 'files'} {kind} ({names[0][1]}{', …' if names[1:] else ''})"
        for kind, names in kinds.items()
        if names
    ]
    return ", ".join(told) or "its raw files come in another order"


def _when(artifact: Artifact) -> str:
    return f"{datetime.fromtimestamp(artifact.published_at()):%Y-%m-%d %H:%M}"

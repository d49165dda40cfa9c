"""The plan: for each step its fingerprint, its inputs, its state (done, resume, stale or run) and the reason.

Planning runs nothing and computes nothing but hashes of raw files. A step also counts as done if an artifact was made
from the same bytes with the same parameters under another fingerprint (cluster/reuse.py). A stale step is compared with
the newest artifact of its stage, to name the parameter or input that changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from cluster.config import LoadedConfig
from cluster.flow import FlowStep
from cluster.ledger import Ledger
from cluster.numerics import other_class
from cluster.parts import of_part, part_id, part_name, parts_of
from cluster.reasons import RAW, comparable, reason
from cluster.reuse import same_bytes
from cluster.run_records import PlanEntry
from pipeline.core.artifact import Artifact
from pipeline.core.config import Section
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject, RawFile, canonical_json
from pipeline.core.job import SourceFile, SourceFiles
from pipeline.core.manifest import StageHashes, fingerprint
from pipeline.core.raw import RawFiles
from pipeline.core.registry import did_you_mean, load
from pipeline.core.stage import ArtifactKind, StageSpec
from pipeline.core.store import Store

StepState = Literal["done", "resume", "stale", "run"]
Hashed = Callable[[RawFile], None]


@dataclass(frozen=True)
class StepInput:
    """An artifact that a step reads: the step that makes it, and its stage and fingerprint in the store."""

    step: str
    stage: str
    fingerprint: str


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan. `inputs`: stage → fingerprint, as in the manifest; `reads`: the same by kind.

    `exact` is the fingerprint of what it would make; the `artifact` of a done step may have another (cluster/reuse.py).
    """

    id: str
    name: str  # what sets it apart from the stage's other steps
    spec: StageSpec
    params: JsonObject
    inputs: StageHashes
    reads: dict[ArtifactKind, tuple[StepInput, ...]]
    exact: str
    state: StepState
    reason: str
    artifact: Artifact | None = None
    sources: list[SourceFiles] = field(default_factory=list)
    externals: dict[str, Artifact] = field(default_factory=dict)  # artifacts of other runs, by what they are for
    numerics: str = ""  # how the numerics class of a published model differs from this machine's
    section: JsonObject = field(default_factory=dict)  # what the user wrote, defaults filled, as JSON

    @property
    def stage(self) -> str:
        return self.spec.name

    @property
    def fingerprint(self) -> str:
        """What the steps after it read."""
        return self.artifact.manifest.fingerprint if self.artifact is not None else self.exact

    def to_dict(self) -> PlanEntry:
        """The step as plan.json records it."""
        return {
            "step": self.id, "name": self.name, "stage": self.stage, "version": self.spec.version,
            "makes": self.spec.makes, "state": self.state, "why": self.reason, "fingerprint": self.fingerprint,
            "exact": self.exact, "inputs": self.inputs, "params": self.params,
            "reads": {kind: [source.step for source in inputs] for kind, inputs in self.reads.items()},
        }  # fmt: skip


@dataclass(frozen=True)
class _StepDraft:
    """The part of a planned step that does not depend on the store, and so does not change during a run."""

    id: str
    name: str
    spec: StageSpec
    params: JsonObject
    reads: dict[ArtifactKind, tuple[str, ...]]
    sources: list[SourceFiles]
    externals: dict[str, Artifact]
    section: JsonObject


class Planner:
    """Plans the steps of a configuration. Raw files are listed and hashed once; each `plan` reads the store again.

    `hashed` is called with each raw file that had to be read.
    """

    def __init__(self, loaded: LoadedConfig, store: Store, *, hashed: Hashed | None = None) -> None:
        self.loaded, self.store, self.hashed = loaded, store, hashed
        self.ledger = Ledger(loaded.workdir)
        self.drafts = self._drafts()
        if loaded.workdir.is_dir():
            self.ledger.save()

    def plan(self, *, fresh: Collection[str] = ()) -> list[PlannedStep]:
        """Every step, in the order of the flow. Steps in `fresh` are cached under their exact fingerprint only."""
        steps: dict[str, PlannedStep] = {}
        for draft in self.drafts:
            steps[draft.id] = self._step(draft, steps, reuse=draft.id not in fresh)
        return list(steps.values())

    def _drafts(self) -> list[_StepDraft]:
        drafts: dict[str, list[_StepDraft]] = {}
        for step in self.loaded.steps:
            drafts[step.id] = list(self._drafts_of(step, drafts))
        return [draft for of_step in drafts.values() for draft in of_step]

    def _drafts_of(self, step: FlowStep, before: Mapping[str, list[_StepDraft]]) -> Iterator[_StepDraft]:
        """One draft; or one per part, if the stage reads raw files or works part by part."""
        spec, options = step.spec, step.entry.options
        externals = spec.externals_of(options)
        if spec.raw:
            raw: RawFiles = load(spec.raw)()
            for number, sources in enumerate(self._raw_parts(step, raw)):
                section = raw.part(options, [source["source"] for source in sources])
                name = ".".join(filter(None, (step.name, part_name(number))))
                params = self.loaded.params_of(spec, section)
                resolved = section.model_dump(mode="json")
                yield _StepDraft(part_id(step.id, number), name, spec, params, {}, sources, externals, resolved)
            return
        params, files = self.loaded.params_of(spec, options), _files(spec, options)
        parts = max((len(before[source]) for source in step.sources), default=1) if spec.by_part else 1
        ids = {source: [draft.id for draft in before[source]] for source in step.sources}
        for number in range(parts):
            reads = {
                kind: of_part([ids[source] for source in sources], number, parts)
                for kind, sources in step.reads.items()
            }
            name = ".".join(filter(None, (step.name, part_name(number))))
            resolved = options.model_dump(mode="json")
            yield _StepDraft(part_id(step.id, number), name, spec, params, reads, files, externals, resolved)

    def _raw_parts(self, step: FlowStep, raw: RawFiles) -> Iterator[list[SourceFiles]]:
        """The raw files of a step's sources by part; a source appears in each part that has files of it."""
        for artifact in reversed(self.store.all(step.spec.name)):
            files = {f"{source}/{name}": sha256 for (source, name), sha256 in raw.recorded(artifact).items()}
            self.ledger.record_part(files)
        sources = self._raw_sources(step, raw)
        files = {f"{source['source']}/{file['name']}": file["sha256"] for source in sources for file in source["files"]}
        for part in parts_of(files, self.ledger.parts):
            names = set(part)
            part_sources: list[SourceFiles] = [
                {**source, "files": [file for file in source["files"] if f"{source['source']}/{file['name']}" in names]}
                for source in sources
            ]
            yield [source for source in part_sources if source["files"]]

    def _raw_sources(self, step: FlowStep, raw: RawFiles) -> list[SourceFiles]:
        """The raw files of a step's sources, with their hashes.

        Raises: UserError where a source's files cannot be listed.
        """
        sources: list[SourceFiles] = []
        for source in raw.sources(step.entry.options):
            if source.problem:
                raise UserError(source.problem)
            files: list[SourceFile] = [
                {
                    "path": file.path,
                    "name": file.name,
                    "size": file.size,
                    "mtime": file.mtime,
                    "sha256": self.ledger.sha256(file, self.hashed),
                }
                for file in source.files
            ]
            sources.append({"source": source.name, "reader": source.reader, "files": files})
        return sources

    def _step(self, draft: _StepDraft, before: Mapping[str, PlannedStep], *, reuse: bool) -> PlannedStep:
        spec = draft.spec
        reads = {kind: tuple(_input(before[step_id]) for step_id in steps) for kind, steps in draft.reads.items()}
        read = {source.step: before[source.step] for sources in reads.values() for source in sources}
        # artifacts of other runs are identified by their digest
        other_digests = _raw_input(draft) | {
            name: artifact.manifest.digest for name, artifact in draft.externals.items()
        }
        inputs = {**_prints(list(read.values())), **other_digests}
        exact = fingerprint(spec.name, spec.version, draft.params, inputs)
        artifact = self.store.find(spec.name, exact)
        pending = [step.stage for step in read.values() if step.artifact is None]
        reason = f"same parameters and inputs, published {_when(artifact)}" if artifact else ""
        if artifact is None and reuse and read and not pending:
            artifact = same_bytes(spec, draft.params, _artifacts(list(read.values())), other_digests, self.store)
            reason = f"same input bytes, published {_when(artifact)}" if artifact else ""
        state: StepState = "done"
        if artifact is None:
            state, reason = self._pending_state(draft, inputs, exact, pending)
        numerics = other_class(artifact.manifest.numerics, self.loaded.config.cluster) if artifact else ""
        # passed on to later steps: evaluation compares a model with the weights it started from
        externals = {
            name: artifact for step in read.values() for name, artifact in step.externals.items()
        } | draft.externals
        return PlannedStep(
            draft.id, draft.name, spec, draft.params, inputs, reads, exact, state, reason, artifact, draft.sources,
            externals, numerics, draft.section,
        )  # fmt: skip

    def _pending_state(
        self, draft: _StepDraft, inputs: StageHashes, exact: str, pending: Sequence[str]
    ) -> tuple[StepState, str]:
        if self.store.has_draft(draft.spec.name, exact):
            return "resume", "an earlier attempt was interrupted; its finished work is kept"
        earlier = self.store.all(draft.spec.name)
        if not earlier:
            return "run", "not run yet"
        old = comparable(draft.spec, draft.params, earlier)
        return "stale", reason(draft.spec, draft.params, inputs, old, pending, draft.sources)


def plan(loaded: LoadedConfig, store: Store, *, hashed: Hashed | None = None) -> list[PlannedStep]:
    """Every step of a configuration, in the order of the flow; `hashed` is called with each raw file that was read."""
    return Planner(loaded, store, hashed=hashed).plan()


def select(steps: Sequence[PlannedStep], start: str | None, end: str | None) -> list[PlannedStep]:
    """The steps from `start` to `end`, both included; the name of a stage means all its steps.

    Raises: UserError for an unknown name, an empty range, or a range whose inputs are not published.
    """
    names = list(dict.fromkeys([*(step.id for step in steps), *(step.stage for step in steps)]))
    for flag, name in (("--from", start), ("--to", end)):
        if name is not None and name not in names:
            raise UserError(f"{flag} {name}: this run has no such stage. {did_you_mean(name, names)}")
    first = min(_places(steps, start)) if start else 0
    last = max(_places(steps, end)) if end else len(steps) - 1
    if first > last:
        raise UserError(f"--from {start} comes after --to {end}. The order is: {', '.join(step.id for step in steps)}.")
    needed = {source.step for step in steps[first : last + 1] for sources in step.reads.values() for source in sources}
    absent = [step.id for step in steps[:first] if step.id in needed and step.state != "done"]
    if absent:
        raise UserError(f"--from {start}: {absent[0]} is not done for this configuration. Use --from {absent[0]}.")
    return list(steps[first : last + 1])


def _places(steps: Sequence[PlannedStep], name: str) -> list[int]:
    exactly = [at for at, step in enumerate(steps) if step.id == name]
    return exactly or [at for at, step in enumerate(steps) if step.stage == name]


def _input(step: PlannedStep) -> StepInput:
    return StepInput(step.id, step.stage, step.fingerprint)


def _prints(steps: Sequence[PlannedStep]) -> StageHashes:
    """Stage → the fingerprint of its step, or of its steps where it has several."""
    by_stage: dict[str, list[str]] = {}
    for step in steps:
        by_stage.setdefault(step.stage, []).append(step.fingerprint)
    return {stage: prints[0] if len(prints) == 1 else prints for stage, prints in by_stage.items()}


def _artifacts(steps: Sequence[PlannedStep]) -> dict[str, list[Artifact]]:
    by_stage: dict[str, list[Artifact]] = {}
    for step in steps:
        if step.artifact is not None:
            by_stage.setdefault(step.stage, []).append(step.artifact)
    return by_stage


def _files(spec: StageSpec, section: Section) -> list[SourceFiles]:
    """The files whose content is part of the parameters."""
    files: list[SourceFiles] = load(spec.files)(section) if spec.files else []
    return files


def _raw_input(draft: _StepDraft) -> StageHashes:
    if draft.spec.raw is None:
        return {}
    lines = sorted(
        [source["source"], file["name"], file["size"], file["sha256"]]
        for source in draft.sources
        for file in source["files"]
    )
    return {RAW: hashlib.sha256(canonical_json(lines)).hexdigest()}


def _when(artifact: Artifact) -> str:
    return f"{datetime.fromtimestamp(artifact.published_at()):%Y-%m-%d %H:%M}"

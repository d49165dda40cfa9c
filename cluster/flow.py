"""The steps of a configuration and their inputs: one step per stage, entry and input that `of` names.

A step reads the artifact that `of` names, the inputs of that artifact, and for other kinds the nearest earlier
artifact. The store is not read here; a plan adds fingerprints.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.sections import EntryNames, RunConfig, SectionEntry, entries_of
from pipeline.core.checks import ConfiguredStage
from pipeline.core.registry import did_you_mean
from pipeline.core.stage import ArtifactKind, StageSpec
from pipeline.core.yaml_tree import PathOf, YamlTree


@dataclass(frozen=True)
class FlowStep:
    """A stage that runs once. `id` names it to users: `pretrain`, `pretrain.small`, `evaluate.small`.

    `reads`: kind → the id of the step that makes it, or of several where the section names them (`NamedInput`).
    """

    id: str
    spec: StageSpec
    entry: SectionEntry
    reads: Mapping[ArtifactKind, tuple[str, ...]] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """The ids of all steps that it reads."""
        return tuple(source for sources in self.reads.values() for source in sources)

    @property
    def name(self) -> str:
        """The part of the id that distinguishes the steps of a stage, such as "small"; empty for a single step."""
        return self.id.removeprefix(self.spec.name).removeprefix(".")


@dataclass(frozen=True)
class Flow:
    """The steps of a configuration in execution order."""

    config: RunConfig
    specs: tuple[StageSpec, ...]
    steps: tuple[FlowStep, ...]

    def configured(self) -> list[ConfiguredStage]:
        """The steps in the form that checks read, in the same order."""
        by_id: dict[str, ConfiguredStage] = {}
        configured = []
        for step in self.steps:
            reads = {kind: by_id[sources[-1]] for kind, sources in step.reads.items()}
            entry, workers = step.entry, self.config.cluster.most_workers
            configured.append(ConfiguredStage(step.spec.name, entry.path, entry.options, workers, reads))
            by_id[step.id] = configured[-1]
        return configured


def flow_of(
    config: RunConfig, specs: Sequence[StageSpec], names: EntryNames, tree: YamlTree, *, complete: bool = True
) -> Flow:
    """The steps of the valid sections; an `of` that cannot be resolved is added to the problems.

    `complete`: all sections are valid. Otherwise an `of` that names an invalid section is not reported again.
    """
    wrong = set() if complete else {name for name, _ in names.values()}
    steps: list[FlowStep] = []
    for spec in specs:
        before = list(steps)
        for entry in entries_of(config, spec.section, names):
            for target in entry.of or (None,):
                source = None if target is None else _resolve_of(target, spec, entry, before, tree, wrong)
                reads = _reads(spec.needs_of(entry.options), source, before)
                named = _named_reads(spec, entry, before, tree, wrong)
                steps.append(FlowStep(_id(spec, entry, target), spec, entry, {**reads, **named}))
    return Flow(config, tuple(specs), tuple(steps))


def _id(spec: StageSpec, entry: SectionEntry, target: str | None) -> str:
    return ".".join(part for part in (spec.name, entry.name, (target or "").replace(".", "-")) if part)


def _resolve_of(
    target: str,
    spec: StageSpec,
    entry: SectionEntry,
    before: Sequence[FlowStep],
    tree: YamlTree,
    wrong: Collection[str],
) -> FlowStep | None:
    """The step that `of` names, by its id or by its entry's name."""
    path: PathOf = (*entry.path, "of")
    matches = [step for step in before if target in (step.id, step.entry.name)]
    readable = [step for step in matches if step.spec.makes in spec.needs_of(entry.options)]
    if len(readable) == 1:
        return readable[0]
    kinds = " or ".join(spec.needs_of(entry.options))
    if readable:
        tree.problem(
            path, f"{target} matches several steps: {', '.join(step.id for step in readable)}.", "Name one of them."
        )
    elif matches:
        message = f"{target} makes {matches[0].spec.makes}, and the stage {spec.name} reads {kinds}."
        tree.problem(path, message, did_you_mean(target, _allowed_names(spec, entry, before)))
    elif target.rpartition(".")[2] not in wrong:
        message = f"no earlier section is named {target!r}."
        tree.problem(path, message, did_you_mean(target, _allowed_names(spec, entry, before)))
    return None


def _allowed_names(spec: StageSpec, entry: SectionEntry, before: Iterable[FlowStep]) -> list[str]:
    """The names that `of` may have here."""
    kinds = spec.needs_of(entry.options)
    return [step.entry.name or step.id for step in before if step.spec.makes in kinds and step.spec.named]


def _reads(
    kinds: Iterable[ArtifactKind], source: FlowStep | None, before: Sequence[FlowStep]
) -> dict[ArtifactKind, tuple[str, ...]]:
    by_id = {step.id: step for step in before}
    reads: dict[ArtifactKind, tuple[str, ...]] = {}
    for kind in kinds:
        producer = _upstream(kind, source, by_id) or next(
            (step for step in reversed(before) if step.spec.makes == kind), None
        )
        if producer is not None:
            reads[kind] = (producer.id,)
    return reads


def _named_reads(
    spec: StageSpec, entry: SectionEntry, before: Sequence[FlowStep], tree: YamlTree, wrong: Collection[str]
) -> dict[ArtifactKind, tuple[str, ...]]:
    """The steps of the entries that the options name, by kind; a name that no earlier entry has is a problem."""
    reads: dict[ArtifactKind, tuple[str, ...]] = {}
    for kind, name, option in spec.named_inputs_of(entry.options):
        entries = {step.entry.name: step for step in before if step.spec.makes == kind and step.entry.name}
        if name in entries:
            reads[kind] = tuple(dict.fromkeys([*reads.get(kind, ()), entries[name].id]))
        elif name not in wrong:
            hint = did_you_mean(name, entries) or f"No earlier section makes {kind}."
            tree.problem((*entry.path, *option), f"no earlier section has an entry named {name!r}.", hint)
    return reads


def _upstream(kind: ArtifactKind, step: FlowStep | None, by_id: Mapping[str, FlowStep]) -> FlowStep | None:
    """The step itself or its nearest input that makes this kind."""
    waiting = [step] if step is not None else []
    visited: set[str] = set()
    while waiting:
        current = waiting.pop(0)
        if current.spec.makes == kind:
            return current
        waiting += [by_id[source] for source in current.sources if source not in visited]
        visited |= set(current.sources)
    return None

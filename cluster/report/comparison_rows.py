"""One row of a comparison: a model of one run, with what its stages say of it (pipeline/core/compared.py).

A run with several models gives a row for each. What is not published yet is left empty.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.comparison import ComparedRun
from cluster.plan import PlannedStep
from cluster.result import RunResult
from cluster.run import Run
from pipeline.core.compared import ComparedStep, RowPart, merge
from pipeline.core.registry import load

MODEL = "model"


@dataclass(frozen=True)
class ComparedResult:
    """A run of the comparison and its result."""

    compared: ComparedRun
    result: RunResult

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        return self.result.steps

    @property
    def done(self) -> bool:
        return self.result.done

    @property
    def run(self) -> Run | None:
        return self.result.run

    @property
    def error(self) -> str:
        """Why the run failed; empty where it did not."""
        return "" if self.done else self.result.error


@dataclass(frozen=True)
class ModelSteps:
    """A model of a run, the steps that it was made of and those that read it. `name` is empty for the only model."""

    outcome: ComparedResult
    name: str
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True)
class ModelRow:
    """A line of the table, and what is shown below it."""

    entry: str
    corpus: str
    state: str
    error: str
    whole_s: float
    report: str
    part: RowPart


def models_of(outcome: ComparedResult) -> Iterator[ModelSteps]:
    """The models of a run; a run that trains none is one row too."""
    models = [step for step in outcome.steps if step.spec.makes == MODEL]
    if len(models) < 2:
        yield ModelSteps(outcome, "", outcome.steps)
        return
    for model in models:
        ids = _related(model, outcome.steps)
        yield ModelSteps(outcome, model.name or model.id, tuple(step for step in outcome.steps if step.id in ids))


def _related(model: PlannedStep, steps: tuple[PlannedStep, ...]) -> set[str]:
    """The ids of the model, of what it was made of, and of the steps that read it."""
    by_id = {step.id: step for step in steps}
    ids: set[str] = set()
    pending = [model.id]
    while pending:
        step_id = pending.pop()
        if step_id not in ids:
            ids.add(step_id)
            pending += _sources(by_id[step_id])
    downstream = {model.id}
    for step in steps:  # in the order of the flow: a step comes after what it reads
        if downstream.intersection(_sources(step)):
            downstream.add(step.id)
    return ids | downstream


def _sources(step: PlannedStep) -> list[str]:
    return [source.step for sources in step.reads.values() for source in sources]


def row_of(model: ModelSteps, shared: Collection[str], folder: Path) -> ModelRow:
    """`shared`: fingerprints that other rows have too, whose time counts for none; links are relative to `folder`."""
    outcome = model.outcome
    entry = outcome.compared.entry
    return ModelRow(
        entry=f"{entry}, {model.name}" if model.name else entry, corpus=outcome.compared.corpus, state=_state(model),
        error=outcome.error, whole_s=sum(seconds(step) for step in model.steps if step.fingerprint not in shared),
        report=_link(outcome.run, folder), part=merge(_parts(model)),
    )  # fmt: skip


def _state(model: ModelSteps) -> str:
    if all(step.artifact is not None for step in model.steps):
        return "done"
    return "failed" if model.outcome.error else "not done"


def _parts(model: ModelSteps) -> Iterator[RowPart]:
    """What the model's stages say of it, after what stands where none of them says anything."""
    yield RowPart(family=model.outcome.compared.entry, objective="–", unit="tokens")
    for step in model.steps:
        if step.spec.compared is not None:
            reads: dict[str, tuple[str, ...]] = {
                kind: tuple(source.fingerprint for source in sources) for kind, sources in step.reads.items()
            }
            part: RowPart = load(step.spec.compared)(ComparedStep(step.params, step.artifact, reads))
            yield part


def seconds(step: PlannedStep) -> float:
    """How long a stage took when it last ran."""
    lines = step.artifact.journal() if step.artifact else []
    return float(next((line["seconds"] for line in reversed(lines) if "seconds" in line), 0.0))


def _link(run: Run | None, folder: Path) -> str:
    return Path(os.path.relpath(run.report, folder)).as_posix() if run and run.report.exists() else ""

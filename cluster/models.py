"""Selects a model of a run: the only one, or the one that `--of` names."""

from __future__ import annotations

from cluster.program import program
from cluster.run import RecordedStep, Run, artifacts_of
from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.registry import did_you_mean
from pipeline.core.store import Store

MODEL = "model"


def model_of_run(run: Run, store: Store, of: str | None) -> tuple[RecordedStep, Artifact]:
    """The step that trained the model, and the model.

    Raises: UserError when there is none, none of that name, or several and none is named.
    """
    artifacts = artifacts_of(run, store)
    models = [step for step in run.plan() if step.id in artifacts and artifacts[step.id].manifest.kind == MODEL]
    if not models:
        raise UserError(
            f"{run.path.name} has no trained model yet. Resume it with: {program()} run {run.path}/config.yaml"
        )
    names = [step.name or step.id for step in models]
    if of is None and len(models) > 1:
        raise UserError(f"{run.path.name} has several models. Name one: --of {' or --of '.join(names)}")
    for step, name in zip(models, names, strict=True):
        if of in (None, name, step.id):
            return step, artifacts[step.id]
    raise UserError(f"--of {of}: {run.path.name} has no trained model of that name. {did_you_mean(str(of), names)}")

"""The order in which a training run read its rows: computed from seed and step, and checked against the curve."""

from __future__ import annotations

import numpy as np

from pipeline.core.artifact import Artifact
from pipeline.core.config import name_and_options
from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.core.order import TrainingAnomaly, TrainingOrder
from pipeline.core.shards import batches, rows
from training.families import FAMILIES, order_of
from training.mixture import Mixture
from training.spec import groups_of
from training.trainer.batches import fingerprint, rows_of_step
from training.trainer.mixed_order import mixed_order
from training.trainer.skipped_rows import SkippedRows

CURVE, ANOMALIES = "curve.parquet", "anomalies.json"


def training_order(model: Artifact, tokens: Artifact) -> TrainingOrder:
    """The order of a model's training rows.

    Raises: UserError for a family whose steps read no rows; later, for a step whose rows are not those computed here.
    """
    params = model.manifest.params
    family, objective = (name_and_options(params[key])[0] for key in ("model", "objective"))
    built_in = FAMILIES.get(family)
    if built_in is not None and "counts" in built_in.needs:
        raise UserError(
            f"trace: a {family} is trained on a table of co-occurrences, so no step sees documents. "
            "Every document of the training split is in the table."
        )
    recorded, anomalies = _recorded_fingerprints(model), _anomalies(model)
    skipped = SkippedRows(params.get("skip_rows", []))
    skipped.follow(anomalies)
    total = sum(rows(file) for file in tokens.files("train/"))
    batch_rows = params["batch_tokens"] // tokens.manifest.params["length"]

    steps = model.manifest.counts["steps"]
    mixed = None
    if params.get("mixture"):
        mixture, groups = Mixture.model_validate(params["mixture"]), groups_of(tokens.manifest.counts)
        mixed = mixed_order(mixture, groups, seed=params["seed"], steps=steps, batch_rows=batch_rows)

    def rows_of(step: int) -> list[int]:
        if mixed is not None:
            numbers = mixed.rows(np.arange(step * batch_rows, (step + 1) * batch_rows))
        else:
            numbers = rows_of_step(
                step, rows=total, batch_rows=batch_rows, seed=params["seed"], order=order_of(family, objective)
            )
        numbers = skipped.without(numbers, step)
        if recorded.get(step + 1) not in (None, fingerprint(numbers)):
            raise UserError(
                f"trace: step {step + 1:,} of this {family} read other rows than the ones computed here, so the order "
                "of its rows is not known. Nothing is shown rather than something false."
            )
        return [int(number) for number in numbers]

    return TrainingOrder(steps, rows_of, anomalies)


def _anomalies(model: Artifact) -> list[TrainingAnomaly]:
    anomalies: list[TrainingAnomaly] = read_json(model.file(ANOMALIES)) if model.has(ANOMALIES) else []
    return anomalies


def _recorded_fingerprints(model: Artifact) -> dict[int, str]:
    """Step → the fingerprint of its rows, from the curve of the model."""
    fingerprints: dict[int, str] = {}
    for file in model.files(CURVE):
        for batch in batches(file, ["step", "rows"]):
            pairs = zip(batch["step"].to_pylist(), batch["rows"].to_pylist(), strict=True)
            fingerprints.update((step, text) for step, text in pairs if isinstance(text, str))
    return fingerprints

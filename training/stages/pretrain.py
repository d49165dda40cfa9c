"""The `pretrain` stage: rows of tokens → a model. A gang of workers (training/worker.py) trains it.

Artifact: model/ (config.json, model.safetensors, tokenizer.json) and curve.parquet (training/trainer/meter.py).
"""

from __future__ import annotations

import time

from pipeline.core.files import JsonObject, read_json, write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.journal import JournalLine, Recovery
from pipeline.core.shards import FileEntry
from training.families import trainer_of
from training.section import Pretrain
from training.spec import RESULT, RESULT_STEP, spec_of, worker_spec_of


def run(job: Job) -> StageOutput:
    """Train in `cluster.workers` processes, from the last whole checkpoint of an earlier attempt if there is one."""
    results, recoveries = results_of(job), list[Recovery]()
    if results is None:  # otherwise an earlier attempt was killed between its last step and its publication
        if not job.place.store:
            # for a manual torchrun (training/worker.py), whose time does not begin with this process
            write_json(job.place.metrics / "pretrain.spec.json", {**spec_of(job).to_dict(), "started": 0.0})
        trainer = trainer_of(Pretrain.model_validate(job.section).model.name)
        recoveries = job.launch().gang(trainer, worker_spec_of(job), sizes=job.cluster.sizes, job=job)
        results = results_of(job)
    assert results is not None, "worker 0 leaves its results before the gang ends"
    journal: JournalLine = results["journal"]
    if 0 < job.began <= (until := journal.get("goodput_until", 0.0)):  # else it was trained in an earlier run
        journal["goodput"]["ending"] = round(max(0.0, time.time() - until), 3)
    if recoveries:
        journal["recoveries"] = recoveries
    return StageOutput(
        [FileEntry.from_dict(entry) for entry in results["files"]], results["counts"], results["numerics"], journal
    )


def results_of(job: Job) -> JsonObject | None:
    """What worker 0 left when training was done: in the attempt's folder, or in the draft of a store behind a URL."""
    if job.place.store:
        return job.draft.results(RESULT_STEP).get(RESULT)
    path = job.folder / RESULT
    results: JsonObject | None = read_json(path) if path.exists() else None
    return results

"""pretrain: rows of tokens → a model. A gang of workers (training/trainer) does the work; this says what and collects.

Artifact: model/ (config.json, model.safetensors, tokenizer.json) and curve.parquet (training/trainer/meter.py).
"""

from __future__ import annotations

from typing import Any

from pipeline.core.files import read_json, write_json
from pipeline.core.shards import FileEntry, entry_of
from pipeline.core.stage import Job, Outcome

RESULT = "result.json"
MODEL = ("model/config.json", "model/model.safetensors", "model/tokenizer.json")


def run(job: Job) -> Outcome:
    """Train in `cluster.workers` processes, from the last whole checkpoint of an earlier attempt if there is one."""
    result = job.folder / RESULT
    if not result.exists():  # else an earlier attempt was killed between its last step and its publication
        spec = spec_of(job)
        # for a torchrun of one's own: training/trainer/worker.py
        write_json(job.metrics / "pretrain.spec.json", spec)
        job.launch().gang("training.trainer.worker:work", spec, processes=job.cluster.get("workers", 1), job=job)
    found = read_json(result)
    files = [FileEntry.from_dict(found["curve"]), *(entry_of(job.folder, path) for path in MODEL)]
    return Outcome(files, found["counts"], found["numerics"], found["journal"])


def spec_of(job: Job) -> dict[str, Any]:
    """What a worker is told: plain values and absolute paths."""
    tokens, tokenizer = job.inputs["tokens"], job.inputs["tokenizer"].path / "tokenizer.json"
    return {
        "stage": job.stage, "params": job.params, "threads": job.cluster.get("threads", 1),
        "folder": str(job.folder), "scratch": str(job.scratch), "metrics": str(job.metrics),
        "progress": job.progress.address, "tokenizer": str(tokenizer), "vocabulary": vocabulary(read_json(tokenizer)),
        "train": [str(path) for path in tokens.files("train/")],
        "validation": [str(path) for path in tokens.files("validation/")],
        "digest": tokens.manifest.digest, "length": tokens.manifest.params["length"],
    }  # fmt: skip


def vocabulary(tokenizer: dict[str, Any]) -> int:
    """One more than the largest id that a tokenizer.json can give."""
    pieces = tokenizer["model"]["vocab"]
    ids: list[int] = list(pieces.values() if isinstance(pieces, dict) else range(len(pieces)))
    ids += [token["id"] for token in tokenizer.get("added_tokens", ())]
    return 1 + max(ids)

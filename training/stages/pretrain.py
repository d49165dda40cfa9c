"""pretrain: rows of tokens → a model. A gang of workers (training/trainer) does the work; this says what and collects.

Artifact: model/ (config.json, model.safetensors, tokenizer.json) and curve.parquet (training/trainer/meter.py).
"""

from __future__ import annotations

from typing import Any

from pipeline.core.files import read_json, write_json
from pipeline.core.shards import FileEntry, entry_of
from pipeline.core.stage import Job, Outcome
from training.families import FAMILIES
from training.section import EXTERNALS, Pretrain, section_of

RESULT = "result.json"
MODEL = ("model/config.json", "model/model.safetensors", "model/tokenizer.json")


def run(job: Job) -> Outcome:
    """Train in `cluster.workers` processes, from the last whole checkpoint of an earlier attempt if there is one."""
    result = job.folder / RESULT
    if not result.exists():  # else an earlier attempt was killed between its last step and its publication
        spec = spec_of(job)
        # for a torchrun of one's own: training/trainer/worker.py
        write_json(job.place.metrics / "pretrain.spec.json", spec)
        job.launch().gang(_worker(spec), spec, processes=job.cluster.get("workers", 1), job=job)
    found = read_json(result)
    files = [FileEntry.from_dict(found["curve"]), *(entry_of(job.folder, path) for path in MODEL)]
    return Outcome(files, found["counts"], found["numerics"], found["journal"])


def _worker(spec: dict[str, Any]) -> str:
    """Who trains this family: the trainer, or the loops of the word vectors."""
    family = FAMILIES.get(Pretrain.model_validate(spec["section"]).model.name)
    return "training.vectors.worker:work" if family and family.vectors else "training.trainer.worker:work"


def spec_of(job: Job) -> dict[str, Any]:
    """What a worker is told: plain values and absolute paths."""
    inputs = job.inputs
    tokens, tokenizer = inputs.one("tokens"), inputs.one("tokenizer").file("tokenizer.json")
    return {
        "stage": job.stage, "params": job.params, "threads": job.cluster.get("threads", 1),
        "folder": str(job.folder), "scratch": str(job.place.scratch), "metrics": str(job.place.metrics),
        "progress": job.progress.address, "tokenizer": str(tokenizer), "vocabulary": vocabulary(read_json(tokenizer)),
        "train": [str(path) for path in tokens.files("train/")],
        "validation": [str(path) for path in tokens.files("validation/")],
        "digest": tokens.manifest.digest, "length": tokens.manifest.params["length"],
        "section": section_of(job.params, job.sources),
        "counts": [str(path) for path in inputs.files("counts", "parts/")],
        "languages": _languages(tokens.manifest.counts),
        "counts_digest": inputs.one("counts").manifest.digest if "counts" in inputs else "",
        "externals": {name: str(inputs.one(name).folder("")) for name in EXTERNALS if name in inputs},
    }  # fmt: skip


def _languages(counts: dict[str, Any]) -> dict[str, int]:
    """Training tokens by language."""
    found = counts.get("splits", {}).get("train", {}).get("languages", {})
    return {language: one["tokens"] for language, one in found.items()}


def vocabulary(tokenizer: dict[str, Any]) -> int:
    """One more than the largest id that a tokenizer.json can give."""
    pieces = tokenizer["model"]["vocab"]
    ids: list[int] = list(pieces.values() if isinstance(pieces, dict) else range(len(pieces)))
    ids += [token["id"] for token in tokenizer.get("added_tokens", ())]
    return 1 + max(ids)

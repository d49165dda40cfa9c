"""The `pretrain` stage: rows of tokens → a model. A gang of workers (training/worker.py) trains it.

Artifact: model/ (config.json, model.safetensors, tokenizer.json) and curve.parquet (training/trainer/meter.py).
"""

from __future__ import annotations

from pipeline.core.counts import StageCounts
from pipeline.core.files import JsonObject, read_json, write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.journal import JournalLine, Recovery
from pipeline.core.shards import FileEntry, entry_of
from training.families import trainer_of
from training.identity import EXTERNALS, MODEL_FOLDER
from training.section import Pretrain
from training.spec import TrainingSpec
from training.trainer.goodput import process_started

RESULT = "result.json"
MODEL = ("model/config.json", "model/model.safetensors", "model/tokenizer.json")


def run(job: Job) -> StageOutput:
    """Train in `cluster.workers` processes, from the last whole checkpoint of an earlier attempt if there is one."""
    result, recoveries = job.folder / RESULT, list[Recovery]()
    if not result.exists():  # otherwise an earlier attempt was killed between its last step and its publication
        spec = spec_of(job)
        # for a manual torchrun (training/worker.py), whose time does not begin with this process
        write_json(job.place.metrics / "pretrain.spec.json", {**spec.to_dict(), "started": 0.0})
        trainer = trainer_of(spec.section.model.name)
        recoveries = job.launch().gang(trainer, spec.to_dict(), sizes=job.cluster.sizes, job=job)
    results = read_json(result)
    journal: JournalLine = results["journal"]
    if recoveries:
        journal["recoveries"] = recoveries
    files = [FileEntry.from_dict(results["curve"]), *(entry_of(job.folder, path) for path in MODEL)]
    return StageOutput(files, results["counts"], results["numerics"], journal)


def spec_of(job: Job) -> TrainingSpec:
    """The spec of every worker."""
    inputs = job.inputs
    tokens, tokenizer = inputs.single("tokens"), inputs.single("tokenizer").file("tokenizer.json")
    return TrainingSpec(
        stage=job.stage, section=_section_of(job), seed=job.params["seed"],
        threads=job.cluster.threads, folder=job.folder, scratch=job.place.scratch, metrics=job.place.metrics,
        progress=job.progress.address, tokenizer=tokenizer, vocabulary=vocabulary(read_json(tokenizer)),
        length=tokens.manifest.params["length"], train=tuple(tokens.files("train/")),
        validation=tuple(tokens.files("validation/")), digest=tokens.manifest.digest,
        languages=_languages(tokens.manifest.counts), counts=tuple(inputs.files("counts", "parts/")),
        counts_digest=inputs.single("counts").manifest.digest if "counts" in inputs else "",
        externals={name: inputs.single(name).folder("") for name in EXTERNALS if name in inputs},
        started=process_started(),
    )  # fmt: skip


def _section_of(job: Job) -> Pretrain:
    """The section as the user wrote it, with an absolute model folder: workers may run in another directory."""
    section = Pretrain.model_validate(job.section)
    folders = [source["folder"] for source in job.sources if source["source"] == MODEL_FOLDER]
    if not folders:
        return section
    model = section.model.model_copy(update={"options": {**section.model.options, "folder": folders[0]}})
    return section.model_copy(update={"model": model})


def _languages(counts: StageCounts) -> dict[str, int]:
    """Training tokens by language; empty if the artifact does not count its splits."""
    train = counts.get("splits", {}).get("train")
    return {language: counts_of["tokens"] for language, counts_of in train["languages"].items()} if train else {}


def vocabulary(tokenizer: JsonObject) -> int:
    """One more than the largest id that a tokenizer.json can give."""
    pieces = tokenizer["model"]["vocab"]
    ids: list[int] = list(pieces.values() if isinstance(pieces, dict) else range(len(pieces)))
    ids += [token["id"] for token in tokenizer.get("added_tokens", ())]
    return 1 + max(ids)

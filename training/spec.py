"""The input of a training worker: one frozen dataclass, sent to the worker as JSON.

Where all workers see the same disk, the paths in it are those of the driver. Behind a URL the job itself is sent, and
each worker makes its spec on its own host, where it opens the artifacts through the cache of that host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from pipeline.core.counts import GroupCounts, StageCounts
from pipeline.core.files import JsonObject, JsonValue, read_json
from pipeline.core.job import Job
from training.identity import EXTERNALS, MODEL_FOLDER
from training.section import Pretrain
from training.trainer.goodput import process_started

RESULT, RESULT_STEP = "result.json", "train"  # what worker 0 leaves when training is done: a file, and in a draft

# the fields that hold paths, which JSON has not
PATHS = ("folder", "scratch", "metrics", "tokenizer")
PATH_LISTS = ("train", "validation", "counts")


@dataclass(frozen=True)
class TrainingSpec:
    """Absolute paths and plain values; a worker reads nothing else of its run.

    Results go to `folder`, live figures to `metrics`; stages share `scratch`. `train` and `validation` are
    shards of rows of `length` tokens, of which `digest` is the artifact's; `counts` are shards of co-occurrences.
    `languages`: training tokens by language; `groups`: training rows by source and language, where these share no row.
    `started`: the Unix time at which the run began the stage, 0 if it has
    none. `externals`: folders of artifacts of other runs, by purpose. `attempt` and `fingerprint` name the
    checkpoints; `store`: the URL of the store that keeps them, if they are not in `folder`.
    """

    stage: str
    section: Pretrain
    seed: int
    threads: int
    folder: Path
    scratch: Path
    metrics: Path
    progress: str
    tokenizer: Path
    vocabulary: int
    length: int
    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    digest: str
    languages: dict[str, int] = field(default_factory=dict)
    groups: list[GroupCounts] = field(default_factory=list)
    counts: tuple[Path, ...] = ()
    counts_digest: str = ""
    externals: dict[str, Path] = field(default_factory=dict)
    started: float = 0.0
    attempt: int = 1
    fingerprint: str = ""
    store: str = ""

    def to_dict(self) -> JsonObject:
        """The spec as JSON values."""
        plain = {field_.name: getattr(self, field_.name) for field_ in fields(self)}
        plain |= {name: str(plain[name]) for name in PATHS}
        plain |= {name: [str(path) for path in plain[name]] for name in PATH_LISTS}
        plain["externals"] = {name: str(folder) for name, folder in self.externals.items()}
        return {**plain, "section": self.section.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, value: Mapping[str, JsonValue]) -> TrainingSpec:
        options = dict(value)
        options |= {name: Path(options[name]) for name in PATHS}
        options |= {name: tuple(Path(path) for path in options[name]) for name in PATH_LISTS}
        options["externals"] = {name: Path(folder) for name, folder in options["externals"].items()}
        options["section"] = Pretrain.model_validate(options["section"])
        return cls(**options)


def spec_of(job: Job) -> TrainingSpec:
    """The spec of a worker on this host."""
    inputs = job.inputs
    tokens, tokenizer = inputs.single("tokens"), inputs.single("tokenizer").file("tokenizer.json")
    return TrainingSpec(
        stage=job.stage, section=_section_of(job), seed=job.params["seed"],
        threads=job.cluster.threads, folder=job.folder, scratch=job.place.scratch, metrics=job.place.metrics,
        progress=job.progress.address, tokenizer=tokenizer, vocabulary=vocabulary(read_json(tokenizer)),
        length=tokens.manifest.params["length"], train=tuple(tokens.files("train/")),
        validation=tuple(tokens.files("validation/")), digest=tokens.manifest.digest,
        languages=_languages(tokens.manifest.counts), 
        groups=groups_of(tokens.manifest.counts), counts=tuple(inputs.files("counts", "parts/")),
        counts_digest=inputs.single("counts").manifest.digest if "counts" in inputs else "",
        externals={name: inputs.single(name).folder("") for name in EXTERNALS if name in inputs},
        attempt=job.identity.attempt, fingerprint=job.identity.fingerprint,
        store=job.place.store, started=_started(job),
    )  # fmt: skip


def worker_spec_of(job: Job) -> JsonObject:
    """What a launcher sends to every worker; `job_and_spec` reads it."""
    if not job.place.store:
        return spec_of(job).to_dict()
    section = _section_of(job).model_dump(mode="json")
    return {"job": job.to_dict(), "section": section, "started": _started(job)}


def job_and_spec(value: Mapping[str, JsonValue]) -> tuple[Job | None, TrainingSpec]:
    """The spec of this worker, and the job where its results go into the draft of a store behind a URL."""
    if "job" not in value:
        return None, TrainingSpec.from_dict(value)
    job = Job.from_dict(value["job"])
    return job, replace(spec_of(job), started=value["started"])


def _started(job: Job) -> float:
    return job.began or process_started()


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


def groups_of(counts: StageCounts) -> list[GroupCounts]:
    """Training rows by source and language, in their order; empty where rows hold several."""
    train = counts.get("splits", {}).get("train")
    return train.get("groups", []) if train else []


def vocabulary(tokenizer: JsonObject) -> int:
    """One more than the largest id that a tokenizer.json can give."""
    pieces = tokenizer["model"]["vocab"]
    ids: list[int] = list(pieces.values() if isinstance(pieces, dict) else range(len(pieces)))
    ids += [token["id"] for token in tokenizer.get("added_tokens", ())]
    return 1 + max(ids)

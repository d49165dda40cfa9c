"""Documents in two parts, files and row groups, and a launcher that scores in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.files import write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.manifest import NAME, Manifest, content_digest_of, digest_of
from pipeline.core.records import DOCUMENTS, document_id
from pipeline.core.shards import FileEntry, ShardWriter, number
from training.annotation import run_model
from training.annotation.section import Annotate, annotate_params, file_sources
from training.annotation.worker import score
from training.stages import annotate

TOY = '''
import numpy as np
import pyarrow.compute as pc
from training.annotation.base import Scorer
from training.annotation.options import ScorerOptions
from training.annotation.text_sets import TextSet

SCORED = []

class Options(ScorerOptions):
    TASK_BYTES = 300
    factor: float = 1.0
    value: float | None = None

class Characters(Scorer):
    """The number of characters, times a factor; nothing for a text without a letter."""
    Options = Options
    def score(self, documents):
        SCORED.extend(documents["id"].to_pylist())
        values = self.options.factor * pc.utf8_length(documents["text"]).to_numpy().astype(float)
        values[pc.match_substring_regex(documents["text"], "^[^\\\\pL]*$").to_numpy()] = np.nan
        return values if self.options.value is None else np.full(len(values), self.options.value)

class LearnedOptions(ScorerOptions):
    TEXTS = ("like",)
    SEEDED = True
    like: TextSet

class Learned(Scorer):
    """The number of characters over the mean of a set of texts."""
    Options = LearnedOptions
    def prepare(self, texts, folder):
        lengths = [n for batch in texts["like"].batches() for n in pc.utf8_length(batch["text"]).to_pylist()]
        from pipeline.core.files import write_json
        write_json(folder / "mean.json", sum(lengths) / len(lengths))
        return {"texts": len(lengths), "bad": texts["like"].bad, "seed": self.seed}
    def load(self, folder, model):
        from pipeline.core.files import read_json
        self.mean = read_json(folder / "mean.json")
    def score(self, documents):
        return pc.utf8_length(documents["text"]).to_numpy() / self.mean
'''
TEXTS = [
    ("The quiet river carries a letter past the old station.", "en"),
    ("安静的河流带着一封信经过古老的车站。", "zh"),
    ("naïve 😀 and 更多", None),
]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of models, importable in every process that this test starts."""
    (tmp_path / "toy_models.py").write_text(TOY, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "toy_models", raising=False)
    return "toy_models"


@pytest.fixture
def documents(tmp_path: Path) -> Artifact:
    """70 documents in two files of row groups of 9, one of them without a letter."""
    texts = [(f"{text} {'x' * at}", language) for at in range(23) for text, language in TEXTS]
    return make_documents(tmp_path / "documents", [*texts, ("…!", "en")], files=2, row_group=9)


def make_documents(
    folder: Path, texts: Sequence[tuple[str, str | None]], *, files: int = 1, row_group: int = 100
) -> Artifact:
    """An artifact of documents of the source "made", without signals."""
    rows = [
        {"id": document_id("made", "made.jsonl", at, str(len(text))), "text": text, "source": "made",
         "language": language, "metadata": []}
        for at, (text, language) in enumerate(texts)
    ]  # fmt: skip
    entries, size = list[FileEntry](), -(-len(rows) // files)
    for name in range(files):
        of_file = rows[name * size : (name + 1) * size]
        with ShardWriter(folder, "parts", str(name), DOCUMENTS) as shard:
            for at in range(0, len(of_file), row_group):
                shard.write(pa.Table.from_pylist(of_file[at : at + row_group], schema=DOCUMENTS))
        entries += [shard.entry] if shard.entry else []
    from pipeline.core.draft import LocalDraft

    return published(folder, "signals", "documents", number(LocalDraft(folder), entries), out=len(rows))


def published(folder: Path, stage: str, kind: Any, files: list[FileEntry], *, out: int = 0, **inputs: str) -> Artifact:
    digest = digest_of(files)
    counts: Any = {"in": out, "out": out, "dropped": {}}
    manifest = Manifest(stage, 1, digest, kind, {}, inputs, tuple(files), counts, digest, content_digest_of(files))
    write_json(folder / NAME, manifest.to_dict())
    return Artifact(folder, manifest)


class InProcess:
    """A launcher that scores in this process, in either order, and may be interrupted."""

    def __init__(self, *, backwards: bool = False, stop_after: int = 1 << 30) -> None:
        self.backwards, self.stop_after, self.done = backwards, stop_after, 0

    def pool(self, target: str, shared: Any, specs: list[Any], *, job: Job) -> list[Any]:
        assert target == run_model.WORK
        for spec in reversed(specs) if self.backwards else specs:
            if self.done == self.stop_after:
                raise KeyboardInterrupt
            score(json.loads(json.dumps({**shared, **spec})))
            self.done += 1
        return [None] * len(specs)


@pytest.fixture
def make_annotate_job(tmp_path: Path, job_in: Callable[..., Job]) -> Callable[..., Job]:
    """make_annotate_job({"documents": artifact}, {"toy_models:Characters": {}}) → a Job of the stage annotate."""

    def make(inputs: dict[str, Artifact], model: Any, *, name: str = "a", **fields: Any) -> Job:
        section = Annotate.model_validate({"name": "size", "model": model})
        return job_in(
            tmp_path / name, inputs, stage="annotate", kind="annotations", params=annotate_params(section, 17),
            section=section.model_dump(mode="json"), sources=file_sources(section), **fields,
        )  # fmt: skip

    return make


@pytest.fixture
def annotate_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., StageOutput]:
    """Run the stage with a launcher, by default one in this process."""

    def run(job: Job, launcher: Any = None) -> StageOutput:
        monkeypatch.setattr(Job, "launch", lambda self: launcher or InProcess())
        return annotate.run(job)

    return run

"""One task of the stage `annotate` or `embed` in a process of its own, on any machine: values for some rows of a file.

The process reads the documents itself and keeps the values in the job's draft; nothing of a document crosses to the
driver. A kept task is not done again, so an interrupted stage goes on where it stopped. Memory: a row group of text.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.cache import scope
from pipeline.core.config import Component
from pipeline.core.counts import NO_LANGUAGE
from pipeline.core.draft import relative_to
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, recording
from pipeline.core.inputs import InputFile
from pipeline.core.job import Job
from pipeline.core.numerics import ScoreNumerics
from pipeline.core.registry import Registry, load
from pipeline.core.shards import EntryFields, ShardWriter
from training.annotation.base import DocumentModel
from training.annotation.model_folder import PLACE, link_files
from training.annotation.options import ScorerOptions
from training.annotation.section import MODEL

STEP, SLICES, PREPARED = "score", "slices", "prepared"
BYTES = "bytes"  # the column of the sizes of texts
COLUMNS = ["id", "text", "language"]
ARTIFACT_MODEL = "model"  # the folder of a saved model in its artifact


class ScorerSetting(TypedDict):
    """What all tasks have in common: the job as JSON, the model and the registry that names it, threads, and files of
    the draft that it reads."""

    job: JsonObject
    registry: str
    model: str
    options: JsonObject
    seed: int
    column: str
    sizes: bool
    threads: int
    files: list[str]


class ScoreTask(TypedDict):
    """The rows [start, stop) of a file of documents."""

    key: str
    file: InputFile
    start: int
    stop: int


class ScoreSpec(ScorerSetting, ScoreTask):
    """What a process is given for one task."""


class ScoredRows(TypedDict):
    """What the draft keeps of a task: a file of scores, the rows in it of each row group of the documents, the
    documents by language and those without a score, and the bytes of text."""

    file: EntryFields
    groups: list[tuple[int, int]]
    languages: dict[str, int]
    unscored: dict[str, int]
    text_bytes: int
    numerics: ScoreNumerics | None


def score(spec: ScoreSpec) -> None:
    """Score the rows that `spec` describes and keep their scores, unless that is done."""
    setting = {name: spec[name] for name in ScorerSetting.__annotations__}  # type: ignore[literal-required]
    job, reader = _loaded(json.dumps(setting, sort_keys=True))
    if spec["key"] in job.draft.results(STEP):
        return
    with scope():
        with recording() as written:
            result = _read_rows(job, reader, spec)
        job.draft.keep(STEP, spec["key"], dict(result), relative_to(job.folder, written))
    job.progress.add(STEP, sum(result["languages"].values()), tasks=1)


def create_model(registry: str, model: str, options: JsonObject, seed: int) -> DocumentModel:
    """The model of a name in a registry ("module:NAME")."""
    models: Registry[DocumentModel] = load(registry)
    seeded = getattr(models.section(model), "SEEDED", ScorerOptions.SEEDED)
    return models.create(Component(name=model, options=options), seed if seeded else 0)


@lru_cache(maxsize=1)
def _loaded(setting: str) -> tuple[Job, DocumentModel]:
    """The job and its model, loaded once for all tasks that a process does."""
    spec: ScorerSetting = json.loads(setting)
    job = Job.from_dict(spec["job"])
    reader = create_model(spec["registry"], spec["model"], spec["options"], spec["seed"])
    reader.threads = spec["threads"]
    with tempfile.TemporaryDirectory(prefix="bloomery-model-") as name:
        folder = Path(name)
        link_files([(file, job.draft.file(file)) for file in spec["files"]], folder)
        model = job.inputs.single(MODEL).folder(ARTIFACT_MODEL) if MODEL in job.inputs else None
        if (folder / PLACE).is_dir():
            model = folder / PLACE
        reader.load(folder / PREPARED, model)
    return job, reader


def _read_rows(job: Job, reader: DocumentModel, spec: ScoreSpec) -> ScoredRows:
    languages, unscored = Counter[str](), Counter[str]()
    groups: list[tuple[int, int]] = []
    text_bytes = 0
    with ExitStack() as stack:
        writer: ShardWriter | None = None
        for group, documents in _rows(job.inputs.local(spec["file"]), spec["start"], spec["stop"]):
            values, missing = reader.column(documents)
            sizes = pc.binary_length(documents["text"]).cast(pa.int64())
            table = _table(spec, documents, values, sizes)
            writer = writer or stack.enter_context(ShardWriter(job.folder, SLICES, spec["key"], table.schema))
            writer.write(table)
            groups.append((group, documents.num_rows))
            names = [language or NO_LANGUAGE for language in documents["language"].to_pylist()]
            languages.update(names)
            unscored.update(names[row] for row in np.flatnonzero(missing).tolist())
            text_bytes += pc.sum(sizes).as_py() or 0
    entry = writer.entry if writer is not None else None
    if entry is None:
        raise StageFailed(f"{job.stage}: {spec['file']['name']} has no rows {spec['start']} to {spec['stop']}.")
    return {
        "file": entry.to_dict(), "groups": groups, "languages": dict(languages), "unscored": dict(unscored),
        "text_bytes": text_bytes, "numerics": reader.numerics(),
    }  # fmt: skip


def _table(spec: ScoreSpec, documents: pa.Table, values: pa.Array, sizes: pa.ChunkedArray) -> pa.Table:
    """The id of each document and what the model says of it; with `sizes` also the bytes of its text."""
    columns = {"id": documents["id"], **({BYTES: sizes} if spec["sizes"] else {}), spec["column"]: values}
    return pa.table(columns)


def _rows(path: Path, start: int, stop: int) -> Iterator[tuple[int, pa.Table]]:
    """The rows [start, stop) by row group; groups without any of them are not read."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        first = 0
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            low, high = max(start - first, 0), min(stop - first, size)
            if low < high:
                table = file.read_row_group(group, columns=COLUMNS, use_threads=False)
                yield group, table.slice(low, high - low).combine_chunks()
            first += size


def tasks_of(files: Sequence[tuple[InputFile, int]], task_bytes: int) -> list[ScoreTask]:
    """Divide files, each with its number of rows, into tasks of about `task_bytes`: by what manifests say of them.

    Nothing is read, and no number of workers decides, so the batches of a model are the same for any number.
    """
    tasks: list[ScoreTask] = []
    for number, (file, rows) in enumerate(files):
        count = min(max(1, -(-file["bytes"] // task_bytes)), rows)
        ends = [rows * at // count for at in range(count + 1)]
        tasks += [
            ScoreTask(key=f"{number:06d}-{at:04d}", file=file, start=ends[at], stop=ends[at + 1]) for at in range(count)
        ]
    return tasks

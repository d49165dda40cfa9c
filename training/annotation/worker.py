"""One task of the stage `annotate` in a process of its own, on any machine: the scores of some rows of a file.

The process reads the documents itself and keeps the scores in the job's draft; nothing of a document crosses to the
driver. A kept task is not done again, so an interrupted stage goes on where it stopped. Memory: a row group of text.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
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
from pipeline.core.shards import EntryFields, ShardWriter
from training.annotation import SCORERS
from training.annotation.base import Floats, Scorer
from training.annotation.model_folder import PLACE, link_files
from training.annotation.options import ScorerOptions
from training.annotation.section import MODEL

STEP, SLICES, PREPARED = "score", "slices", "prepared"
COLUMNS = ["id", "text", "language"]
ARTIFACT_MODEL = "model"  # the folder of a saved model in its artifact


class ScorerSetting(TypedDict):
    """What all tasks have in common: the job as JSON, the model, threads, and files of the draft that it reads."""

    job: JsonObject
    model: str
    options: JsonObject
    seed: int
    column: str
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
    job, scorer = _loaded(json.dumps(setting, sort_keys=True))
    if spec["key"] in job.draft.results(STEP):
        return
    with scope():
        with recording() as written:
            result = _score_rows(job, scorer, spec)
        job.draft.keep(STEP, spec["key"], dict(result), relative_to(job.folder, written))
    job.progress.add(STEP, sum(result["languages"].values()), tasks=1)


def schema_of(column: str) -> pa.Schema:
    """The columns of a file of scores."""
    return pa.schema([("id", pa.string()), (column, pa.float64())])


def create_scorer(model: str, options: JsonObject, seed: int) -> Scorer:
    """The model of a name in the registry."""
    seeded = getattr(SCORERS.section(model), "SEEDED", ScorerOptions.SEEDED)
    return SCORERS.create(Component(name=model, options=options), seed if seeded else 0)


@lru_cache(maxsize=1)
def _loaded(setting: str) -> tuple[Job, Scorer]:
    """The job and its model, loaded once for all tasks that a process does."""
    spec: ScorerSetting = json.loads(setting)
    job = Job.from_dict(spec["job"])
    scorer = create_scorer(spec["model"], spec["options"], spec["seed"])
    scorer.threads = spec["threads"]
    with tempfile.TemporaryDirectory(prefix="bloomery-model-") as name:
        folder = Path(name)
        link_files([(file, job.draft.file(file)) for file in spec["files"]], folder)
        model = job.inputs.single(MODEL).folder(ARTIFACT_MODEL) if MODEL in job.inputs else None
        if (folder / PLACE).is_dir():
            model = folder / PLACE
        scorer.load(folder / PREPARED, model)
    return job, scorer


def _score_rows(job: Job, scorer: Scorer, spec: ScoreSpec) -> ScoredRows:
    languages, unscored = Counter[str](), Counter[str]()
    groups: list[tuple[int, int]] = []
    text_bytes = 0
    writer = ShardWriter(job.folder, SLICES, spec["key"], schema_of(spec["column"]))
    with writer:
        for group, documents in _rows(job.inputs.local(spec["file"]), spec["start"], spec["stop"]):
            scores = _checked(scorer.score(documents), documents)
            writer.write(pa.table([documents["id"], pa.array(scores)], schema=writer.schema))
            groups.append((group, documents.num_rows))
            names = [language or NO_LANGUAGE for language in documents["language"].to_pylist()]
            languages.update(names)
            unscored.update(names[row] for row in np.flatnonzero(np.isnan(scores)).tolist())
            text_bytes += pc.sum(pc.binary_length(documents["text"])).as_py() or 0
    if writer.entry is None:
        raise StageFailed(f"annotate: {spec['file']['name']} has no rows {spec['start']} to {spec['stop']}.")
    return {
        "file": writer.entry.to_dict(), "groups": groups, "languages": dict(languages), "unscored": dict(unscored),
        "text_bytes": text_bytes, "numerics": scorer.numerics(),
    }  # fmt: skip


def _checked(scores: Floats, documents: pa.Table) -> Floats:
    """The scores as float64.

    Raises: StageFailed when there is not one for each document, or one of them is infinite.
    """
    scores = np.asarray(scores, np.float64)
    if scores.shape != (documents.num_rows,):
        raise StageFailed(
            f"annotate: the model returned scores of the shape {scores.shape} for {documents.num_rows} documents."
        )
    infinite = np.flatnonzero(np.isinf(scores))
    if len(infinite):
        document_id = documents["id"][int(infinite[0])].as_py()
        raise StageFailed(f"annotate: the score of document {document_id} is infinite. Return a number, or NaN.")
    return scores


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

"""Runs a model over all documents: prepares it, gives ranges of rows to processes, and puts what they say together.

Tasks are ranges of rows, known from manifests alone. Processes (or actors, through Ray Data) read the documents
themselves and keep their values in the draft; the driver only puts the values of a file together, a row group at a
time. So the bytes are the same for any number of processes (of a model with floating point, within one numerics class).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.counts import StageCounts
from pipeline.core.draft import relative_to
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, recording
from pipeline.core.inputs import InputFile
from pipeline.core.job import Job
from pipeline.core.numerics import ScoreNumerics
from pipeline.core.shards import FileEntry, ShardWriter, batches, entry_of
from training.annotation.model_folder import share_folder
from training.annotation.section import ModelSection, declared, options_of
from training.annotation.text_sets import TextReader
from training.annotation.worker import (
    PREPARED,
    STEP,
    ScoredRows,
    ScorerSetting,
    ScoreTask,
    create_model,
    tasks_of,
)

WORK = "training.annotation.worker:score"
PREPARE, KEY = "prepare", "000000"
Results = Mapping[str, ScoredRows]


def document_tasks(job: Job, section: ModelSection) -> list[ScoreTask]:
    """The ranges of rows of all files of documents."""
    task_bytes = declared(options_of(section), "TASK_BYTES")
    assert isinstance(task_bytes, int)
    files = [
        (InputFile(kind="documents", part=part, name=entry.path, bytes=entry.bytes), entry.rows or 0)
        for part, artifact in enumerate(job.inputs.all("documents"))
        for entry in artifact.entries("parts/")
    ]
    return tasks_of(files, task_bytes)


def prepare(job: Job, section: ModelSection) -> JsonObject:
    """What the model learned from texts: its figures, and its files in the draft. Done once, also across attempts."""
    done = job.draft.results(PREPARE)
    if KEY not in done:
        options = options_of(section)
        by_option: dict[str, list[int]] = {}
        for index, source in enumerate(job.sources):
            by_option.setdefault(source["source"], []).append(index)
        texts = {
            option: TextReader(option, getattr(options, option), [job.sources[index] for index in indices])
            for option, indices in by_option.items()
            if "folder" not in job.sources[indices[0]]
        }
        folder = job.folder / PREPARED
        folder.mkdir(parents=True, exist_ok=True)
        job.progress.note(PREPARE, f"preparing {section.model.name}")
        with recording() as written:
            model = create_model(section.REGISTRY, section.model.name, section.model.options, job.identity.seed)
            figures = model.prepare(texts, folder)
        names = relative_to(job.folder, written)
        entries = [entry_of(job.folder, name).to_dict() for name in names]
        job.draft.keep(PREPARE, KEY, {"figures": figures, "files": names, "entries": entries}, names)
        job.draft.finish(PREPARE)
    result: JsonObject = job.draft.results(PREPARE)[KEY]
    return result


def run_tasks(
    job: Job,
    section: ModelSection,
    tasks: Sequence[ScoreTask],
    files: Sequence[str],
    column: str,
    *,
    sizes: bool = False,
) -> Results:
    """Run the tasks that no earlier attempt finished.

    `files`: of the draft, what `prepare` wrote; `column`: the name of the values; `sizes`: whether the bytes of each
    text stand beside them.
    """
    done = job.draft.results(STEP)
    waiting = [task for task in tasks if task["key"] not in done]
    rows = [sum(task["stop"] - task["start"] for task in group) for group in (tasks, waiting)]
    job.progress.total(STEP, rows[0], "documents", tasks=len(tasks))
    job.progress.add(STEP, rows[0] - rows[1], tasks=len(tasks) - len(waiting))
    if waiting:
        setting: ScorerSetting = {
            "job": job.to_dict(), "model": section.model.name, "options": section.model.options,
            "seed": job.identity.seed, "column": column, "sizes": sizes, "registry": section.REGISTRY,
            # from the configuration, never the core count: another number of threads is another order of sums
            "threads": job.cluster.threads, "files": [*files, *share_folder(job)],
        }  # fmt: skip
        job.launch().pool(WORK, dict(setting), [dict(task) for task in waiting], job=job)
    kept = job.draft.results(STEP)
    if missing := [task["key"] for task in waiting if task["key"] not in kept]:
        raise StageFailed(f"{job.stage}: {len(missing)} tasks left no result (first: {missing[0]}). Run again.")
    job.draft.finish(STEP)
    return cast("Results", kept)


def merge_files(job: Job, folder: str, tasks: Sequence[ScoreTask], results: Results) -> Iterator[FileEntry]:
    """A file of values for each file of documents, with the same row groups; one row group is in memory at a time."""
    by_file: dict[str, list[ScoreTask]] = {}
    for task in tasks:
        by_file.setdefault(task["key"].partition("-")[0], []).append(task)
    for stem, of_file in by_file.items():
        with ShardWriter(job.folder, folder, stem, _schema(job, of_file, results)) as writer:
            for table in _row_groups(job, of_file, results):
                writer.write(table)
        if writer.entry is not None:
            yield writer.entry


def _schema(job: Job, tasks: Sequence[ScoreTask], results: Results) -> pa.Schema:
    return pq.read_schema(job.draft.file(results[tasks[0]["key"]]["file"]["path"]))


def _row_groups(job: Job, tasks: Sequence[ScoreTask], results: Results) -> Iterator[pa.Table]:
    """The values of a file by row group of its documents, which two tasks may have shared."""
    current, pieces = -1, list[pa.Table]()
    for task in tasks:
        result = results[task["key"]]
        tables = batches(job.draft.file(result["file"]["path"]))
        for (group, rows), table in zip(result["groups"], tables, strict=True):
            if rows != table.num_rows:
                raise StageFailed(f"{job.stage}: what task {task['key']} kept is damaged. Run again with --force.")
            if group != current and pieces:
                yield pa.concat_tables(pieces).combine_chunks()
                pieces = []
            current = group
            pieces.append(table)
    if pieces:
        yield pa.concat_tables(pieces).combine_chunks()


def totals(job: Job, tasks: Sequence[ScoreTask], results: Results) -> tuple[StageCounts, ScoreNumerics | None]:
    """The counts, and the numerics class of the values: the value of a key where all tasks agree, else all values.

    Raises: StageFailed when no document got a value: a model that finds nothing to read is a mistake.
    """
    languages, unscored = Counter[str](), Counter[str]()
    text_bytes = 0
    classes: dict[str, set[str | int]] = {}
    for task in tasks:
        result = results[task["key"]]
        languages.update(result["languages"])
        unscored.update(result["unscored"])
        text_bytes += result["text_bytes"]
        for key, value in (result["numerics"] or {}).items():
            classes.setdefault(key, set()).add(cast("str | int", value))
    rows = languages.total()
    if rows and unscored.total() == rows:
        what = {"annotate": "a score"}.get(job.stage, "a vector")
        raise StageFailed(
            f"{job.stage}: the model gave no document {what}: it found nothing that it reads in any text."
        )
    numerics = {
        key: next(iter(values)) if len(values) == 1 else sorted(values, key=str) for key, values in classes.items()
    }
    counts: StageCounts = {
        "in": rows, "out": rows, "dropped": {}, "languages": dict(sorted(languages.items())),
        "unscored": dict(sorted(unscored.items())), "text_bytes": text_bytes,
    }  # fmt: skip
    return counts, cast(ScoreNumerics, numerics) if numerics else None

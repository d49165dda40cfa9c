"""annotate: a model gives each document a number → scores/, with the rows and row groups of the documents.

Tasks are ranges of rows, known from manifests alone. Processes (or actors, through Ray Data) read the documents
themselves and keep their scores in the draft; the driver only puts the scores of a file together, 40 bytes a document.
So the bytes are the same for any number of processes (of a model with floating point, within one numerics class).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from pipeline.core.counts import StageCounts
from pipeline.core.draft import relative_to
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, recording, write_json
from pipeline.core.inputs import InputFile
from pipeline.core.job import Job, StageOutput
from pipeline.core.numerics import ScoreNumerics
from pipeline.core.shards import FileEntry, ShardWriter, batches, entry_of, number

if TYPE_CHECKING:
    from training.annotation.section import Annotate
    from training.annotation.worker import ScoredRows, ScoreTask

WORK = "training.annotation.worker:score"
SCORES, ABOUT = "scores", "annotation.json"
PREPARE, KEY = "prepare", "000000"


def run(job: Job) -> StageOutput:
    """Prepare the model, score what no earlier attempt scored, and put the scores of each file together."""
    from training.annotation.section import Annotate, declared, options_of
    from training.annotation.worker import STEP, tasks_of

    section = Annotate.model_validate(job.section)
    prepared = _prepare(job, section)
    task_bytes = declared(options_of(section.model), "TASK_BYTES")
    assert isinstance(task_bytes, int)
    tasks = tasks_of(_files(job), task_bytes)
    _score(job, section, tasks, [*prepared["files"], *_model_files(job)])
    results = cast("Mapping[str, ScoredRows]", job.draft.results(STEP))
    entries = list(_merged(job, f"score_{section.name}", tasks, results))
    figures = {"name": section.name, "model": section.model.name, "figures": prepared["figures"]}
    write_json(job.folder / ABOUT, figures)
    # what was learned is part of the artifact: another run can use it without learning it again
    learned = [FileEntry.from_dict(entry) for entry in prepared["entries"]]
    files = [*number(job.draft, entries), *learned, entry_of(job.folder, ABOUT)]
    counts, numerics = _totals(tasks, results)
    return StageOutput(files, counts, numerics=numerics)


def _files(job: Job) -> list[tuple[InputFile, int]]:
    """Every file of documents with its number of rows, as the manifests have them."""
    return [
        (InputFile(kind="documents", part=part, name=entry.path, bytes=entry.bytes), entry.rows or 0)
        for part, artifact in enumerate(job.inputs.all("documents"))
        for entry in artifact.entries("parts/")
    ]


def _prepare(job: Job, section: Annotate) -> JsonObject:
    """What the model learned from texts: its figures, and its files in the draft. Done once, also across attempts."""
    from training.annotation.section import options_of
    from training.annotation.text_sets import TextReader
    from training.annotation.worker import PREPARED, create_scorer

    done = job.draft.results(PREPARE)
    if KEY not in done:
        options = options_of(section.model)
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
            scorer = create_scorer(section.model.name, section.model.options, job.identity.seed)
            figures = scorer.prepare(texts, folder)
        names = relative_to(job.folder, written)
        entries = [entry_of(job.folder, name).to_dict() for name in names]
        job.draft.keep(PREPARE, KEY, {"figures": figures, "files": names, "entries": entries}, names)
        job.draft.finish(PREPARE)
    result: JsonObject = job.draft.results(PREPARE)[KEY]
    return result


def _model_files(job: Job) -> list[str]:
    from training.annotation.model_folder import share_folder

    return share_folder(job)


def _score(job: Job, section: Annotate, tasks: Sequence[ScoreTask], files: list[str]) -> None:
    from training.annotation.worker import STEP, ScorerSetting

    done = job.draft.results(STEP)
    waiting = [task for task in tasks if task["key"] not in done]
    rows = [sum(task["stop"] - task["start"] for task in group) for group in (tasks, waiting)]
    job.progress.total(STEP, rows[0], "documents", tasks=len(tasks))
    job.progress.add(STEP, rows[0] - rows[1], tasks=len(tasks) - len(waiting))
    if waiting:
        setting: ScorerSetting = {
            "job": job.to_dict(), "model": section.model.name, "options": section.model.options,
            "seed": job.identity.seed, "column": f"score_{section.name}",
            # from the configuration, never the core count: another number of threads is another order of sums
            "threads": job.cluster.threads, "files": files,
        }  # fmt: skip
        job.launch().pool(WORK, dict(setting), [dict(task) for task in waiting], job=job)
    kept = job.draft.results(STEP)
    if missing := [task["key"] for task in waiting if task["key"] not in kept]:
        raise StageFailed(f"annotate: {len(missing)} tasks left no result (first: {missing[0]}). Run again.")
    job.draft.finish(STEP)


def _merged(
    job: Job, column: str, tasks: Sequence[ScoreTask], results: Mapping[str, ScoredRows]
) -> Iterator[FileEntry]:
    """A file of scores for each file of documents, with the same row groups; one row group is in memory at a time."""
    from training.annotation.worker import schema_of

    by_file: dict[str, list[ScoreTask]] = {}
    for task in tasks:
        by_file.setdefault(task["key"].partition("-")[0], []).append(task)
    for stem, of_file in by_file.items():
        with ShardWriter(job.folder, SCORES, stem, schema_of(column)) as writer:
            for table in _row_groups(job, of_file, results):
                writer.write(table)
        if writer.entry is not None:
            yield writer.entry


def _row_groups(job: Job, tasks: Sequence[ScoreTask], results: Mapping[str, ScoredRows]) -> Iterator[pa.Table]:
    """The scores of a file by row group of its documents, which two tasks may have shared."""
    current, pieces = -1, list[pa.Table]()
    for task in tasks:
        result = results[task["key"]]
        tables = batches(job.draft.file(result["file"]["path"]))
        for (group, rows), table in zip(result["groups"], tables, strict=True):
            if rows != table.num_rows:
                raise StageFailed(f"annotate: the scores of task {task['key']} are damaged. Run again with --force.")
            if group != current and pieces:
                yield pa.concat_tables(pieces).combine_chunks()
                pieces = []
            current = group
            pieces.append(table)
    if pieces:
        yield pa.concat_tables(pieces).combine_chunks()


def _totals(tasks: Sequence[ScoreTask], results: Mapping[str, ScoredRows]) -> tuple[StageCounts, ScoreNumerics | None]:
    """The counts, and the numerics class of the scores: the value of a key where all tasks agree, else all values.

    Raises: StageFailed when no document got a score: a model that scores nothing is a mistake.
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
        raise StageFailed("annotate: the model gave no document a score: it found nothing to score in any text.")
    numerics = {
        key: next(iter(values)) if len(values) == 1 else sorted(values, key=str) for key, values in classes.items()
    }
    counts: StageCounts = {
        "in": rows, "out": rows, "dropped": {}, "languages": dict(sorted(languages.items())),
        "unscored": dict(sorted(unscored.items())), "text_bytes": text_bytes,
    }  # fmt: skip
    return counts, cast(ScoreNumerics, numerics) if numerics else None

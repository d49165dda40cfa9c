"""annotate: a model gives each document a number → scores/, with the rows and row groups of the documents.

Work and memory: training/annotation/run_model.py; the scores of a file take 40 bytes a document.
"""

from __future__ import annotations

from pipeline.core.files import write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import FileEntry, entry_of, number

SCORES, ABOUT = "scores", "annotation.json"


def run(job: Job) -> StageOutput:
    """Prepare the model, score what no earlier attempt scored, and put the scores of each file together."""
    from training.annotation import run_model
    from training.annotation.section import Annotate

    section = Annotate.model_validate(job.section)
    prepared = run_model.prepare(job, section)
    tasks = run_model.document_tasks(job, section)
    results = run_model.run_tasks(job, section, tasks, prepared["files"], f"score_{section.name}")
    entries = list(run_model.merge_files(job, SCORES, tasks, results))
    figures = {"name": section.name, "model": section.model.name, "figures": prepared["figures"]}
    write_json(job.folder / ABOUT, figures)
    # what was learned is part of the artifact: another run can use it without learning it again
    learned = [FileEntry.from_dict(entry) for entry in prepared["entries"]]
    files = [*number(job.draft, entries), *learned, entry_of(job.folder, ABOUT)]
    counts, numerics = run_model.totals(job, tasks, results)
    return StageOutput(files, counts, numerics=numerics)

"""embed: a model gives each document a vector → vectors/, with the rows and row groups of the documents.

A vector is int16 at the length 16,384, beside the id and the bytes of the text: 2 bytes a number. Work and memory:
training/annotation/run_model.py.
"""

from __future__ import annotations

from pipeline.core.files import write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import FileEntry, entry_of, number

VECTORS, COLUMN, ABOUT = "vectors", "vector", "embedding.json"


def run(job: Job) -> StageOutput:
    """Prepare the model, embed what no earlier attempt embedded, and put the vectors of each file together."""
    from training.annotation import run_model
    from training.embedding.section import Embed

    section = Embed.model_validate(job.section)
    prepared = run_model.prepare(job, section)
    tasks = run_model.document_tasks(job, section)
    results = run_model.run_tasks(job, section, tasks, prepared["files"], COLUMN, sizes=True)
    entries = list(run_model.merge_files(job, VECTORS, tasks, results))
    write_json(job.folder / ABOUT, {"model": section.model.name, "figures": prepared["figures"]})
    learned = [FileEntry.from_dict(entry) for entry in prepared["entries"]]
    files = [*number(job.draft, entries), *learned, entry_of(job.folder, ABOUT)]
    counts, numerics = run_model.totals(job, tasks, results)
    counts["without_vector"] = counts.pop("unscored")
    return StageOutput(files, counts, numerics=numerics)

"""export: a model, in the formats that others load; each is opened by its consumer before it is published."""

from __future__ import annotations

from pipeline.core.plugins import without_sources
from pipeline.core.shards import entry_of
from pipeline.core.stage import Job, Outcome


def run(job: Job) -> Outcome:
    """Write each format into its folder, and check it there."""
    from training.export import FORMATS
    from training.export.base import Format, Source
    from training.export.section import Export

    source, files = Source.of(job.inputs), []
    chosen = Export.model_validate(without_sources(job.params)).formats
    job.progress.total("export", 2 * len(chosen), "steps")
    for one in chosen:
        format_: Format = FORMATS.create(one)
        folder = job.folder / one.name
        files += [f"{one.name}/{name}" for name in format_.write(source, folder)]
        job.progress.add("export")
        format_.check(source, folder)
        job.progress.add("export")
    return Outcome([entry_of(job.folder, name) for name in files], {"formats": len(chosen)})

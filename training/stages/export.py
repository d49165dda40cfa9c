"""export: writes a model in the formats of other libraries; each is loaded back before the artifact is published."""

from __future__ import annotations

from pipeline.core.job import Job, StageOutput
from pipeline.core.plugins import without_sources
from pipeline.core.shards import entry_of


def run(job: Job) -> StageOutput:
    """Write each format into its own folder, and check it there."""
    from training.export import FORMATS
    from training.export.base import ExportSource
    from training.export.section import Export

    source = ExportSource.of(job.inputs)
    names: list[str] = []
    components = Export.model_validate(without_sources(job.params)).formats
    job.progress.total("export", 2 * len(components), "steps")
    for component in components:
        export_format = FORMATS.create(component)
        folder = job.folder / component.name
        names += [f"{component.name}/{name}" for name in export_format.write(source, folder)]
        job.progress.add("export")
        export_format.check(source, folder)
        job.progress.add("export")
    return StageOutput([entry_of(job.folder, name) for name in names], {"formats": len(components)})

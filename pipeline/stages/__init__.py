"""The data stages, in the order of the flow: import strings alone, so that planning loads nothing heavy."""

from __future__ import annotations

from pipeline.core.stage import StageSpec

STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        name="ingest", version=3, section="ingest", needs=(), makes="documents", work="beam",
        run="pipeline.stages.ingest:run",
        section_type="pipeline.readers.section:Ingest", params="pipeline.readers.section:ingest_params",
        raw="pipeline.readers.raw:IngestFiles", report="pipeline.reports.documents:ingest", by_part=True,
    ),
    StageSpec(
        name="signals", version=5, section="clean", needs=("documents",), makes="documents", work="beam",
        run="pipeline.stages.signals:run",
        section_type="pipeline.filters.section:Clean", params="pipeline.filters.section:signals_params",
        files="pipeline.filters.section:signals_files",
        plugins="pipeline.filters.section:measuring_plugins",
        report="pipeline.reports.signals:signals", explorer="pipeline.filters.explorer:SignalExplorer", by_part=True,
    ),
    StageSpec(
        name="clean", version=2, section="clean", needs=("documents",), makes="documents", work="beam",
        run="pipeline.stages.clean:run",
        section_type="pipeline.filters.section:Clean", params="pipeline.filters.section:rules_params",
        named_inputs="pipeline.filters.section:scores_read",
        plugins="pipeline.filters.section:rules_plugins", checks=("pipeline.filters.presets:show_preset",),
        report="pipeline.reports.documents:clean", by_part=True,
    ),
    StageSpec(
        name="dedupe", version=4, section="dedupe", needs=("documents",), makes="documents", work="beam",
        run="pipeline.stages.dedupe:run",
        section_type="pipeline.dedupe.section:Dedupe",
        report="pipeline.reports.documents:dedupe",
    ),
    StageSpec(
        name="semantic", version=1, section="semantic", needs=("documents", "vectors"), makes="documents", work="beam",
        run="pipeline.stages.semantic:run",
        section_type="pipeline.semantic.section:Semantic", params="pipeline.semantic.section:semantic_params",
        report="pipeline.reports.semantic:semantic",
    ),
    StageSpec(
        name="passages", version=1, section="passages", needs=("documents",), makes="documents", work="beam",
        run="pipeline.stages.passages:run",
        section_type="pipeline.passages.section:Passages", params="pipeline.passages.section:passages_params",
        report="pipeline.reports.passages:passages",
    ),
    StageSpec(
        name="decontaminate", version=1, section="decontaminate", needs=("documents",), makes="documents", work="beam",
        run="pipeline.stages.decontaminate:run",
        section_type="pipeline.decontamination.section:Decontaminate",
        params="pipeline.decontamination.section:decontaminate_params",
        files="pipeline.decontamination.section:decontaminate_files",
        report="pipeline.reports.contamination:decontaminate",
    ),
    StageSpec(
        name="tokenizer", version=3, section="tokenizer", needs=("documents",), makes="tokenizer", work="task",
        run="pipeline.stages.tokenizer:run",
        section_type="pipeline.tokenizers.section:Tokenizer", params="pipeline.tokenizers.section:tokenizer_params",
        files="pipeline.tokenizers.section:tokenizer_files",
        report="pipeline.reports.tokens:tokenizer",
    ),
    StageSpec(
        name="pack", version=3, section="pack", needs=("documents", "tokenizer"), makes="tokens", work="beam",
        run="pipeline.stages.pack:run",
        section_type="pipeline.tokenizers.section:Pack",
        report="pipeline.reports.tokens:pack", exporter="pipeline.token_formats.exporter:PackedTokenExporter",
    ),
    StageSpec(
        name="count", version=1, section="count", needs=("tokens", "tokenizer"), makes="counts", work="beam",
        run="pipeline.stages.count:run",
        section_type="pipeline.counts.section:Count",
    ),
)  # fmt: skip

"""`export-tokens`: writes the packed tokens of a run in the format of another program."""

from __future__ import annotations

from pathlib import Path

from cluster.program import program
from cluster.run import Run, artifacts_of, find, inputs_of
from cluster.sections import stage_table
from cluster.table import table
from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.registry import did_you_mean, load
from pipeline.core.store import Store
from pipeline.core.token_export import ExportedTokens, TokenExporter


def export_tokens(workdir: Path, name: str | None, *, format_name: str, folder: str) -> None:
    """Write the tokens into a new folder and print what is in it.

    Raises: UserError when the run has packed no tokens, the format does not exist or cannot hold them, or the folder is
    there already or is a URL.
    """
    if "://" in folder:
        raise UserError(f"--to {folder}: tokens are exported to a folder of this machine. Copy it from there.")
    if not Path(folder).name:
        raise UserError(f"--to {folder}: this folder is there already. Name one that is not.")
    run = find(workdir, name)
    exporter, tokens, tokenizer = _packed(run, Store(run.workdir))
    if format_name not in exporter.formats():
        raise UserError(f"--format {format_name}: no such format. {did_you_mean(format_name, exporter.formats())}")
    _print(exporter.export(tokens, tokenizer, format_name, Path(folder)))


def _packed(run: Run, store: Store) -> tuple[TokenExporter, Artifact, Artifact]:
    """Who exports the tokens of a run, the tokens, and the tokenizer of their ids."""
    exporters = {spec.name: spec.exporter for spec in stage_table() if spec.exporter is not None}
    published = artifacts_of(run, store)
    step = next((step for step in run.plan() if step.stage in exporters), None)
    if step is None or step.id not in published:
        stage = next(iter(exporters))
        raise UserError(
            f"{run.path.name} has packed no tokens yet. Run the stage with: "
            f"{program()} run {run.path}/config.yaml --to {stage}"
        )
    tokens = published[step.id]
    kinds = {artifact.manifest.kind: artifact for artifact in inputs_of(tokens, store)}
    if "tokenizer" not in kinds:
        raise UserError(f"{run.path.name}: the tokenizer of its tokens is no longer in the store.")
    exporter: TokenExporter = load(str(exporters[step.stage]))()
    return exporter, tokens, kinds["tokenizer"]


def _print(exported: ExportedTokens) -> None:
    sizes = sum(exported.files.values())
    print(f"{exported.folder}: {figures.plural(len(exported.files), 'file')}, {figures.size(sizes)}, and tokens.json")
    counts = [
        [split.split, *(f"{count:,}" for count in (split.rows, split.tokens, split.documents))]
        for split in exported.splits
    ]
    print(table(["split", "rows", "tokens", "documents"], counts))
    print(f"Open it with: {exported.usage}")

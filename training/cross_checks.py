"""Checks across sections: a model's section against its rows, tokenizer, tasks and formats.

The stage table names these checks. Each is called with a configured stage before any work, and yields problems that
would otherwise fail the run after hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.core.checks import ConfiguredStage, Mismatch, Remark
from pipeline.tokenizers.section import Pack, Tokenizer
from training.augment import specials
from training.batch_size import batch_problem, uneven_batch
from training.compatibility import family_problems, whole_documents_problem
from training.evaluation.section import Evaluate, file_problems, head_problem, task_problem
from training.export.consumers import missing
from training.export.section import Export, shape_problem, tokenizer_problem
from training.models.sections import hf
from training.objectives import special_tokens
from training.section import Pretrain


def rows_and_model(stage: ConfiguredStage) -> Iterator[Mismatch | Remark]:
    """A row fits the model's context and is longer than a window; a batch is whole rows, evenly shared or at a cost."""
    pretrain, pack = stage.section, stage.section_of("tokens", Pack)
    if not isinstance(pretrain, Pretrain) or pack is None:
        return
    context = pretrain.model.options.get("context")
    added = special_tokens.added_count(pretrain.model.name, pretrain.objective)
    if context is not None and pack.length + added > context:
        special = f" and {added} special tokens" if added else ""
        problem = f"rows of {pack.length:,} tokens{special} do not fit the model's context of {context:,}."
        yield Mismatch(stage.path_of("tokens", "length"), problem, "Shorten the rows or set pretrain.model.context.")
    if pack.packing == "best_fit" and (order_problem := whole_documents_problem(pretrain)):
        yield Mismatch(stage.path_of("tokens", "packing"), order_problem, "Write packing: concat.")
    window = pretrain.objective.options.get("window")
    if window is not None and window >= pack.length:
        problem = f"a window of {window} words on each side is larger than a row of {pack.length} tokens."
        yield Mismatch((*stage.path, "objective"), problem, "Lengthen pack.length, or narrow the window.")
    if size_problem := batch_problem(pretrain, length=pack.length):
        yield Mismatch((*stage.path, "batch_tokens"), size_problem)
    elif cost := uneven_batch(pretrain, length=pack.length, workers=stage.workers):
        yield Remark((*stage.path, "batch_tokens"), cost)


def mixture_and_sources(stage: ConfiguredStage) -> Iterator[Mismatch]:
    """Rows are apart by source, and weights name the sources of the configuration."""
    pretrain, pack = stage.section, stage.section_of("tokens", Pack)
    if not isinstance(pretrain, Pretrain) or pretrain.mixture is None:
        return
    if pack is not None and not pack.is_grouped:
        problem = "pretrain.mixture weighs sources, so no row may hold two of them."
        yield Mismatch(stage.path_of("tokens"), problem, "Write pack.by_source: true.")
    sources = _source_names(stage)
    if sources and (names_problem := pretrain.mixture.names_problem({"sources": sources})):
        yield Mismatch((*stage.path, "mixture"), names_problem)


def _source_names(stage: ConfiguredStage) -> list[str]:
    """The names of the sources that everything is made of; none where the configuration has no `ingest`."""
    if stage.stage == "ingest":
        return [source.name for source in getattr(stage.section, "sources", ())]
    return next((names for before in stage.reads.values() if (names := _source_names(before))), [])


def family_and_options(stage: ConfiguredStage) -> Iterator[Mismatch]:
    """The model's family supports objective, optimizer, schedule and engine, and a folder contains a model."""
    pretrain = stage.section
    if not isinstance(pretrain, Pretrain):
        return
    for option, problem in family_problems(pretrain):
        yield Mismatch((*stage.path, option), problem)
    folder = pretrain.model.options.get("folder")
    if folder and (folder_problem := hf.folder_problem(Path(folder))):
        yield Mismatch((*stage.path, "model"), folder_problem)


def tokenizer_and_objective(stage: ConfiguredStage) -> Iterator[Mismatch]:
    """The tokenizer has the special tokens that the objective and the augmentations insert."""
    pretrain, tokenizer = stage.section, stage.section_of("tokenizer", Tokenizer)
    if not isinstance(pretrain, Pretrain) or tokenizer is None:
        return
    problem = special_tokens.tokenizer_problem(
        pretrain.objective, kind=tokenizer.kind, specials=tokenizer.specials, path=tokenizer.path
    )
    if problem:
        yield Mismatch((*stage.path, "objective"), problem)
    folder = pretrain.model.options.get("folder")
    if folder and (problem := hf.tokenizer_problem(Path(folder), kind=tokenizer.kind, path=tokenizer.path)):
        yield Mismatch(stage.path_of("tokenizer"), problem)
    pack = stage.section_of("tokens", Pack)
    if tokenizer.kind == "file" or pack is None:
        return
    if problem := specials.problem(pretrain.augment, tokenizer.specials, length=pack.length):
        yield Mismatch((*stage.path, "augment"), problem)


def tasks_and_family(stage: ConfiguredStage) -> Iterator[Mismatch]:
    """The model's family supports the tasks, and their files exist."""
    evaluate, pretrain = stage.section, stage.section_of("model", Pretrain)
    if not isinstance(evaluate, Evaluate):
        return
    for index, file_problem in file_problems(evaluate):
        yield Mismatch((*stage.path, "tasks", index), file_problem)
    if pretrain is None:
        return
    if problem := task_problem(evaluate, pretrain.model.name):
        yield Mismatch((*stage.path, "tasks"), problem)
    if problem := head_problem(evaluate, pretrain.model, pretrain.objective.name):
        yield Mismatch((*stage.path, "tasks"), problem)


def formats_and_model(stage: ConfiguredStage) -> Iterator[Mismatch]:
    """The formats support this model, and the libraries that load them are installed."""
    export, pretrain = stage.section, stage.section_of("model", Pretrain)
    if not isinstance(export, Export):
        return
    if problem := missing(export):
        yield Mismatch((*stage.path, "formats"), problem)
    if pretrain is not None and (problem := shape_problem(export, pretrain.model)):
        yield Mismatch(stage.path_of("model", "model"), problem)
    tokenizer = stage.section_of("tokenizer", Tokenizer)
    if tokenizer is None or pretrain is None:
        return
    if problem := tokenizer_problem(export, kind=tokenizer.kind, path=tokenizer.path):
        yield Mismatch((*stage.path, "formats"), problem)

"""What goes with what between the sections of a YAML: rows and context, family and objective, tokenizer, task, format.

What is known of models, tasks and formats lies beside them; it is called by name, so that nothing heavy is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.registry import load
from pipeline.core.yaml_tree import Tree

if TYPE_CHECKING:
    from cluster.config import Check, RunConfig

BATCH = "training.section:batch_problem"
FAMILY = "training.section:family_problems"
ADDED = "training.objectives.marks:added"
MARKS = "training.objectives.marks:tokenizer_problem"
SPECIALS = "training.augment.specials:problem"
FOLDER = "training.models.sections.hf:folder_problem"
FOLDERS_TOKENIZER = "training.models.sections.hf:tokenizer_problem"
TASKS = "training.evaluation.section:task_problem"
FILES = "training.evaluation.section:file_problems"
HEAD = "training.evaluation.section:head_problem"
SHAPE = "training.export.section:shape_problem"
CARRIED = "training.export.section:tokenizer_problem"
CONSUMERS = "training.export.consumers:missing"


def rows_fit(config: RunConfig, tree: Tree) -> None:
    """A row fits the model's context and holds a window; a batch is whole rows for every worker."""
    pack: Any = config.section("pack")
    pretrain: Any = config.section("pretrain")
    if pack is None or pretrain is None:
        return
    context = pretrain.model.options.get("context")
    added = load(ADDED)(pretrain.model.name, pretrain.objective)
    if context is not None and pack.length + added > context:
        marked = f" and {added} marks" if added else ""
        what = f"rows of {pack.length:,} tokens{marked} do not fit the model's context of {context:,}."
        tree.problem(("pack", "length"), what, "Shorten the rows or set pretrain.model.context.")
    window = pretrain.objective.options.get("window")
    if window is not None and window >= pack.length:
        what = f"a window of {window} words on each side is larger than a row of {pack.length} tokens."
        tree.problem(("pretrain", "objective"), what, "Lengthen pack.length, or narrow the window.")
    wrong = load(BATCH)(pretrain, length=pack.length, workers=config.cluster.workers)
    if wrong:
        tree.problem(("pretrain", "batch_tokens"), wrong)


def parts_fit_the_family(config: RunConfig, tree: Tree) -> None:
    """Objective, optimizer, schedule and engine are of the model's family, and a folder holds a model."""
    pretrain: Any = config.section("pretrain")
    if pretrain is None:
        return
    for option, wrong in load(FAMILY)(pretrain):
        tree.problem(("pretrain", option), wrong)
    folder = pretrain.model.options.get("folder")
    if folder and (problem := load(FOLDER)(Path(folder))):
        tree.problem(("pretrain", "model"), problem)


def tokenizer_serves(config: RunConfig, tree: Tree) -> None:
    """The tokenizer has the special pieces that objective and augmentations write with."""
    tokenizer: Any = config.section("tokenizer")
    pretrain: Any = config.section("pretrain")
    pack: Any = config.section("pack")
    if tokenizer is None or pretrain is None:
        return
    specials, path = getattr(tokenizer, "specials", []), getattr(tokenizer, "path", None)
    if wrong := load(MARKS)(pretrain.objective, kind=tokenizer.kind, specials=specials, path=path):
        tree.problem(("pretrain", "objective"), wrong)
    folder = pretrain.model.options.get("folder")
    if folder and (wrong := load(FOLDERS_TOKENIZER)(Path(folder), kind=tokenizer.kind, path=path)):
        tree.problem(("tokenizer",), wrong)
    if tokenizer.kind == "file" or pack is None:
        return
    if wrong := load(SPECIALS)(pretrain.augment, specials, length=pack.length):
        tree.problem(("pretrain", "augment"), wrong)


def tasks_fit_the_family(config: RunConfig, tree: Tree) -> None:
    """What is asked of the model can be asked of its family, and the files that are asked from are there."""
    pretrain: Any = config.section("pretrain")
    evaluate: Any = config.section("evaluate")
    if evaluate is None:
        return
    for index, wrong in load(FILES)(evaluate):
        tree.problem(("evaluate", "tasks", index), wrong)
    if pretrain is not None and (problem := load(TASKS)(evaluate, pretrain.model.name)):
        tree.problem(("evaluate", "tasks"), problem)
    if pretrain is not None and (problem := load(HEAD)(evaluate, pretrain.model, pretrain.objective.name)):
        tree.problem(("evaluate", "tasks"), problem)


def model_can_be_exported(config: RunConfig, tree: Tree) -> None:
    """The formats that are asked for know this model, and who opens them is installed: told now, not after training."""
    pretrain: Any = config.section("pretrain")
    export: Any = config.section("export")
    if export is None:
        return
    if wrong := load(CONSUMERS)(export):
        tree.problem(("export", "formats"), wrong)
    if pretrain is not None and (problem := load(SHAPE)(export, pretrain.model)):
        tree.problem(("pretrain", "model"), problem)
    tokenizer: Any = config.section("tokenizer")
    if tokenizer is None or pretrain is None:
        return
    if problem := load(CARRIED)(export, kind=tokenizer.kind, path=getattr(tokenizer, "path", None)):
        tree.problem(("export", "formats"), problem)


CHECKS: tuple[Check, ...] = (
    rows_fit, parts_fit_the_family, tokenizer_serves, tasks_fit_the_family, model_can_be_exported,
)  # fmt: skip

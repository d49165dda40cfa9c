"""The `pretrain` section of the YAML (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from pipeline.core.config import Component, Section, UserPath, component, name_and_options
from pipeline.core.plugins import without_sources
from pipeline.core.stage import SourceFiles
from training import augment, engines, models, objectives
from training.families import FAMILIES, Family, Kind, admits
from training.models.sections import hf
from training.objectives import marks
from training.objectives.section import masks_problem

Precision = Literal["bf16", "fp32"]
STEPS = 1000
WORDS = "words"  # in the fingerprint: what a masked objective takes for words


def _family_first(value: Any) -> Any:
    """{family: gpt, layers: 4} is a component whose name is spelled `family`."""
    if isinstance(value, dict) and "family" in value:
        rest = {key: item for key, item in value.items() if key != "family"}
        return {"name": value["family"], **rest}
    return value


def _named(name: str) -> Any:
    """A default that is validated like a user's word, so that its own options are filled in."""
    return name


if TYPE_CHECKING:
    from typing import TypeAlias

    Model: TypeAlias = Component
    Objective: TypeAlias = Component
    Optimizer: TypeAlias = Component
    Schedule: TypeAlias = Component
    Engine: TypeAlias = Component
    Augmentation: TypeAlias = Component
else:
    Model = Annotated[component(models.FAMILIES), BeforeValidator(_family_first)]
    Objective = component(objectives.OBJECTIVES)
    Optimizer = component(engines.OPTIMIZERS)
    Schedule = component(engines.SCHEDULES)
    Engine = component(engines.ENGINES)
    Augmentation = component(augment.AUGMENTATIONS)


class InitEmbeddings(Section):
    """Begin from embeddings that were learned first: `artifact` is the folder of a word2vec or glove artifact."""

    artifact: UserPath
    freeze_steps: NonNegativeInt = 0  # for which the embedding stays as it came
    least_coverage: float = Field(0.5, ge=0, le=1)  # of the training tokens must find a vector


class Pretrain(Section):
    """What is trained, on how much, and how. A batch is said once, globally, in tokens: workers never change it.

    `steps` may differ by precision ({bf16: 500, fp32: 150}): what resolves is in the model's numerics. `epochs` says it
    in passes over the rows instead. `validate_every` and `save_every` are fractions of the steps below 1, steps from 1
    on. Objective, optimizer, schedule and engine are the family's own where they are not named (families.py).
    """

    model: Model = _named("gpt")
    objective: Objective = _named("causal")
    steps: PositiveInt | dict[Precision, PositiveInt] | None = None
    epochs: PositiveFloat | None = None
    batch_tokens: PositiveInt = 16384
    optimizer: Optimizer = _named("adamw")
    schedule: Schedule = _named("wsd")
    engine: Engine = _named("plain")
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    clip: float = Field(1.0, ge=0)  # the largest norm of the whole gradient; 0: no clipping
    validate_every: PositiveFloat = 0.1
    validate_tokens: PositiveInt = 16384  # of the validation split, the same ones every time
    save_every: PositiveFloat = 0.1
    keep: PositiveInt = 2  # checkpoints: the last one is enough to resume, one more survives a bad disk
    augment: list[Augmentation] = []  # of training rows, in this order
    init: UserPath | None = None  # the folder of a model artifact whose weights are the first ones
    init_embeddings: InitEmbeddings | None = None

    @model_validator(mode="before")
    @classmethod
    def _family_decides(cls, value: Any) -> Any:
        return _filled(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _every_precision_has_steps(self) -> Pretrain:
        if isinstance(self.steps, dict):
            needed = {"bf16", "fp32"} if self.precision == "auto" else {self.precision}
            if missing := needed - set(self.steps):
                raise ValueError(f"steps has no entry for {' and '.join(sorted(missing))}")
        return self

    @model_validator(mode="after")
    def _one_duration(self) -> Pretrain:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("write steps or epochs, not both")
        return self

    def steps_at(self, precision: Precision, *, rows: int, batch_rows: int) -> int:
        """The number of steps at a resolved precision, over so many rows."""
        if self.epochs is not None:
            return max(1, round(self.epochs * rows / batch_rows))
        steps = STEPS if self.steps is None else self.steps
        return steps if isinstance(steps, int) else steps[precision]


# what came after the first artifacts were made, and the value that means what was done before
EXTERNALS = ("init", "init_embeddings")
ADDED_LATER: dict[str, Any] = {"epochs": None, "augment": [], "init": None, "init_embeddings": None}


def pretrain_params(section: Pretrain, seed: int) -> dict[str, Any]:
    """What enters the fingerprint: the section, and the seed of weights, order and dropout.

    Where other artifacts lie does not enter; what they are does, as inputs (`externals`).
    """
    found = {key: value for key, value in section.model_dump(mode="json").items()
             if key not in ADDED_LATER or value != ADDED_LATER[key]}  # fmt: skip
    if "init" in found:
        found["init"] = True
    if "init_embeddings" in found:
        found["init_embeddings"] = {k: v for k, v in found["init_embeddings"].items() if k != "artifact"}
    if section.model.options.get("folder"):
        found["model"] = {"hf": {**section.model.options, "folder": hf.fingerprint_of(hf.Hf(**section.model.options))}}
    if found["steps"] is None:
        found["steps"] = STEPS if section.epochs is None else None
    if words := marks.declared(section.objective):
        found[WORDS] = words
    return {**found, "seed": seed}


def file_sources(section: Pretrain) -> list[SourceFiles]:
    """Where the folder lies whose content `pretrain_params` names."""
    folder = section.model.options.get("folder")
    return (
        [{"source": "model", "reader": "file", "folder": str(Path(folder).absolute()), "files": []}] if folder else []
    )


def section_of(params: dict[str, Any], sources: Sequence[SourceFiles] = ()) -> dict[str, Any]:
    """The section that `pretrain_params` was made of, but for where other artifacts lie."""
    found = {key: value for key, value in without_sources(params).items() if key not in ("seed", WORDS)}
    if sources:
        found["model"] = {"hf": {**found["model"]["hf"], "folder": sources[0]["folder"]}}
    if found.get("init"):
        found["init"] = "an input"
    if "init_embeddings" in found:
        found["init_embeddings"] = {**found["init_embeddings"], "artifact": "an input"}
    return found


def needs(section: Pretrain) -> tuple[str, ...]:
    """Kinds of artifact that this family needs beside tokens and tokenizer."""
    known = FAMILIES.get(section.model.name)
    return known.needs if known else ()


def externals(section: Pretrain) -> dict[str, str]:
    """Artifacts of other runs that are read: what for (one of EXTERNALS), and the folder as the user wrote it."""
    embeddings = section.init_embeddings.artifact if section.init_embeddings else None
    found = (section.init, embeddings)
    return {name: folder for name, folder in zip(EXTERNALS, found, strict=True) if folder}


def family_problems(section: Pretrain) -> list[tuple[str, str]]:
    """What does not go together, as (option, sentence); empty when all does."""
    known, name, found = FAMILIES.get(section.model.name), section.model.name, []
    if known is None:
        return []  # a user's own family knows what it takes
    kinds: tuple[Kind, ...] = ("objectives", "optimizers", "schedules", "engines")
    for kind in kinds:
        option = kind.removesuffix("s")
        fits, chosen = getattr(known, kind), getattr(section, option).name
        if not admits(known, kind, chosen):
            found.append((option, f"{chosen} is not for {name}; it takes {' or '.join(fits)}.{_reason(option, known)}"))
        elif known.vectors and ":" in chosen and option != "schedule":
            what = f"the loops of word vectors know no {option} of a user's own; {name} takes {' or '.join(fits)}."
            found.append((option, what))
    if known.vectors and (section.augment or section.init or section.init_embeddings):
        found.append(("model", f"{name} takes neither augment nor init nor init_embeddings."))
    if wrong := masks_problem(section.objective.options, section.model.options):
        found.append(("objective", wrong))
    tied = section.model.options.get("tied", True)
    if section.init_embeddings and section.init_embeddings.freeze_steps and not tied:
        what = "frozen embeddings under an untied head: the head would fit an embedding that then moves away under it."
        found.append(("init_embeddings", f"{what} Write tied: true, or leave freeze_steps out."))
    return found


def _reason(option: str, known: Family) -> str:
    if known.vectors and option == "engine":
        return " A step moves a few rows of the vectors: there is no gradient and no optimizer state for ZeRO to share."
    return ""


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    """Defaults that follow from the family."""
    try:
        name, given = _read(_family_first(value.get("model", "gpt")))
    except PydanticCustomError:
        return value  # told where the model itself is read
    known = FAMILIES.get(name)
    if known is None:
        return value
    options = ("objective", "optimizer", "schedule", "engine")
    firsts: dict[str, Any] = {name: getattr(known, f"{name}s")[0] for name in options}
    if name == "hf":  # which of the library's classes: the one of the objective
        objective, _ = _read(value.get("objective", "causal"))
        firsts["model"], value = {"hf": {**given, "head": objective}}, {k: v for k, v in value.items() if k != "model"}
    if known.vectors:
        firsts |= {"epochs": 5, "precision": "fp32"} if value.get("steps") is None else {"precision": "fp32"}
    return {**firsts, **value}


def _read(value: Any) -> tuple[str, dict[str, Any]]:
    return (value.name, value.options) if isinstance(value, Component) else name_and_options(value)


def _group(objective: Component) -> int:
    """Rows that must stay together: they are held against each other, or one lends another its text."""
    group: int = objective.options.get("group", 2 if objective.options.get("pairs") == "next_sentence" else 1)
    return group


def batch_problem(section: Pretrain, *, length: int, workers: int) -> str | None:
    """Why this batch cannot be cut into whole rows for every worker, with the nearest that can; None if it can."""
    blocks, group = section.engine.options.get("blocks"), _group(section.objective)
    if blocks and blocks % workers:
        return (
            f"{blocks} blocks cannot be shared evenly by {workers} workers. Set pretrain.engine.blocks to a multiple."
        )
    if "counts" in needs(section):  # a batch of cells of the table, of any number
        return None
    parts, unit = (f"{blocks} blocks", length * blocks) if blocks else (f"{workers} workers", length * workers * group)
    if section.batch_tokens % unit == 0:
        return None
    nearest = max(1, round(section.batch_tokens / unit)) * unit
    rows = f"groups of {group} rows" if group > 1 else "rows"
    return (
        f"batch_tokens {section.batch_tokens:,} is not a whole number of {rows} of {length:,} tokens for each of "
        f"{parts}; {nearest:,} is."
    )

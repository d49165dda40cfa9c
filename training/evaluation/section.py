"""The `evaluate` section of the YAML (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from pipeline.core.config import Component, Section, UserPath, component
from pipeline.core.stage import SourceFiles
from training import evaluation
from training.evaluation import files
from training.families import FAMILIES, admits

# tasks whose result no seed changes
SEEDLESS = ("perplexity", "fill", "similarity", "analogies", "neighbours", "embeddings", "probe")
GAP = "[MASK]"  # how a prompt spells it, whatever the tokenizer


class Perplexity(Section):
    """Loss, perplexity and bits per byte on the validation split, beside what `xz -9` needs; no options."""


class Sampling(Section):
    """How a token is drawn: temperature 0 takes the likeliest, else `top_k` first, then `top_p` of what is left."""

    tokens: PositiveInt = 128
    temperature: NonNegativeFloat = 0.8
    top_k: PositiveInt | None = 50
    top_p: float = Field(default=0.95, gt=0, le=1)


class Samples(Sampling):
    """Text that the model writes on; without `prompts`, how `per_language` held-out documents of a language begin."""

    prompts: list[str] | None = None
    per_language: PositiveInt = 2


def _names_differ(paths: list[str]) -> list[str]:
    """A score is named by its file's name, never by its path."""
    names = [Path(path).name for path in paths]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two files are called {' and '.join(repeated)}; scores are told by the name: rename one")
    return paths


Listed = Annotated[
    list[UserPath],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    AfterValidator(_names_differ),
]
Files = Annotated[Listed, Field(min_length=1)]


class Similarity(Section):
    """Spearman's correlation of cosines with the judgements in `files`, each of pairs of words and a number."""

    PATHS: ClassVar[tuple[str, ...]] = ("files",)
    PARSED: ClassVar[str] = "training.evaluation.questions:read_pairs"
    files: Files
    restrict_vocabulary: PositiveInt = 300_000  # the most frequent words, as gensim has it


class Analogies(Section):
    """The share of the questions in `files` that 3CosAdd answers, overall and by the sections of the files."""

    PATHS: ClassVar[tuple[str, ...]] = ("files",)
    PARSED: ClassVar[str] = "training.evaluation.questions:read_questions"
    files: Files
    restrict_vocabulary: PositiveInt = 300_000  # where the answer is sought too


class Neighbours(Section):
    """The `count` words nearest to `words`; without them, to `per_language` that stand out in held-out documents."""

    words: list[str] | None = Field(None, min_length=1)
    count: PositiveInt = 10
    per_language: PositiveInt = 6


class Fill(Section):
    """What a masked model puts into gaps: [MASK] in `prompts`, and `words` held-out words of each language, one at a
    time; of these `shown` a language are written down with the `top` candidates."""

    prompts: list[str] = []
    words: PositiveInt = 200
    shown: PositiveInt = 5
    top: PositiveInt = 5

    @field_validator("prompts")
    @classmethod
    def _have_gaps(cls, prompts: list[str]) -> list[str]:
        if without := [prompt for prompt in prompts if GAP not in prompt]:
            raise ValueError(f"{without[0][:40]!r} has no gap to fill: write {GAP} where a word is missing")
        return prompts


class Embeddings(Section):
    """Whether texts of one topic lie together (`topics`), and questions near their passages (`pairs`)."""

    PATHS: ClassVar[tuple[str, ...]] = ("topics", "pairs")
    PARSED: ClassVar[dict[str, str]] = {
        "topics": "training.evaluation.texts:read_topics",
        "pairs": "training.evaluation.texts:read_pairs",
    }
    topics: Listed = []
    pairs: Listed = []

    @model_validator(mode="after")
    def _some_file(self) -> Embeddings:
        if not (self.topics or self.pairs):
            raise ValueError(
                "name files under `topics` (JSON lines with text and label), `pairs` (JSON lines with question and "
                "context) or both"
            )
        _names_differ([*self.topics, *self.pairs])
        return self


class Probe(Section):
    """What a logistic regression tells of the topics in `files` from each layer, and from a learned mix of them all."""

    PATHS: ClassVar[tuple[str, ...]] = ("files",)
    PARSED: ClassVar[str] = "training.evaluation.texts:read_split_topics"
    files: Files
    # half of it times the squared weights is added to the summed loss; of 0.1 … 1,000, this did best with 512 features
    penalty: PositiveFloat = 100.0


if TYPE_CHECKING:
    from typing import TypeAlias

    Task: TypeAlias = Component
else:
    Task = component(evaluation.TASKS)


def _named(*names: str) -> Any:
    """Defaults that are validated like a user's words, so that their own options are filled in."""
    return list(names)


class Evaluate(Section):
    """What is measured, in this order; each task once."""

    tasks: list[Task] = Field(default=_named("perplexity", "samples"), min_length=1)

    @model_validator(mode="after")
    def _once_each(self) -> Evaluate:
        names = [task.name for task in self.tasks]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"tasks names {' and '.join(sorted(repeated))} twice; write each task once")
        return self


def evaluate_params(section: Evaluate, seed: int) -> dict[str, Any]:
    """What enters the fingerprint: the section, files by name and sha256, and the seed if something is drawn.

    Raises: UserError when a file is not there.
    """
    params = {**section.model_dump(mode="json"), "tasks": [files.identified(task) for task in section.tasks]}
    drawn = any(task.name not in SEEDLESS for task in section.tasks)
    return {**params, "seed": seed} if drawn else params


def file_sources(section: Evaluate) -> list[SourceFiles]:
    """What the stage's job gets as `sources`: where the files of the tasks lie, and what they hold."""
    return files.sources(section.tasks)


def file_problems(section: Evaluate) -> list[tuple[int, str]]:
    """(index in `tasks`, one sentence) for every file that is missing or is not what its task reads."""
    return list(files.problems(section.tasks))


def prompts(section: Evaluate) -> list[str]:
    """The user's own prompts, for a command to try."""
    return [prompt for task in section.tasks for prompt in task.options.get("prompts") or ()]


def task_problem(section: Evaluate, family: str) -> str | None:
    """Why a task cannot be asked of a model family, with those that can; None where all fit."""
    known = FAMILIES.get(family)
    wrong = [task.name for task in section.tasks if known and not admits(known, "tasks", task.name)]
    if known is None or not wrong:
        return None
    others = [name for name, one in FAMILIES.items() if wrong[0] in one.tasks]
    return (
        f"the task {wrong[0]} does not fit the family {family}: it is for {', '.join(others)}. "
        f"Tasks of {family}: {', '.join(known.tasks)}."
    )


def head_problem(section: Evaluate, model: Component, objective: str) -> str | None:
    """Why a task cannot be asked of what a model of `hf` predicts; None if it can."""
    if model.name != "hf" or objective != "masked" or all(task.name != "samples" for task in section.tasks):
        return None
    return "the task samples lets a model write, and one with the objective masked fills gaps. Leave it out."

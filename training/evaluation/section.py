"""The `evaluate` section of the YAML (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

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
from pipeline.core.files import JsonObject
from pipeline.core.job import SourceFiles
from training import evaluation
from training.evaluation import task_files
from training.families import FAMILIES, supports

# tasks whose result no seed changes
SEEDLESS = ("perplexity", "fill", "similarity", "analogies", "neighbours", "embeddings", "probe")
GAP = "[MASK]"  # how a prompt writes a gap, whatever the tokenizer


class Perplexity(Section):
    """Loss, perplexity and bits per byte on the validation split, beside those of `xz -9`; no options."""


class Sampling(Section):
    """How a token is sampled: at temperature 0 the likeliest, else from `top_k` tokens, and of those from `top_p`."""

    tokens: PositiveInt = 128
    temperature: NonNegativeFloat = 0.8
    top_k: PositiveInt | None = 50
    top_p: float = Field(default=0.95, gt=0, le=1)


class Samples(Sampling):
    """Text that the model generates; without `prompts`, from the beginnings of `per_language` held-out documents of
    each language."""

    prompts: list[str] | None = None
    per_language: PositiveInt = 2


def _require_different_names(paths: list[str]) -> list[str]:
    """A score is named by its file's name, never by its path."""
    names = [Path(path).name for path in paths]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two files are called {' and '.join(repeated)}; scores are named by the file: rename one")
    return paths


PathList = Annotated[
    list[UserPath],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    AfterValidator(_require_different_names),
]
NonEmptyPathList = Annotated[PathList, Field(min_length=1)]


class Similarity(Section):
    """Spearman's correlation of cosines with the judgements in `files`, each of pairs of words and a number."""

    PATHS: ClassVar[tuple[str, ...]] = ("files",)
    PARSED: ClassVar[str] = "training.evaluation.word_benchmarks:read_judged_pairs"
    files: NonEmptyPathList
    restrict_vocabulary: PositiveInt = 300_000  # the most frequent words, as in gensim


class Analogies(Section):
    """The share of the questions in `files` that 3CosAdd answers, overall and by the sections of the files."""

    PATHS: ClassVar[tuple[str, ...]] = ("files",)
    PARSED: ClassVar[str] = "training.evaluation.word_benchmarks:read_questions"
    files: NonEmptyPathList
    restrict_vocabulary: PositiveInt = 300_000  # the answer is searched among them too


class Neighbours(Section):
    """The `count` words nearest to `words`; without them, to `per_language` characteristic words of held-out
    documents."""

    words: list[str] | None = Field(None, min_length=1)
    count: PositiveInt = 10
    per_language: PositiveInt = 6


class Fill(Section):
    """How a masked model fills gaps: [MASK] in `prompts`, and `words` held-out words of each language, one at a time;
    `shown` of them for each language are written to the file with the `top` candidates."""

    prompts: list[str] = []
    words: PositiveInt = 200
    shown: PositiveInt = 5
    top: PositiveInt = 5

    @field_validator("prompts")
    @classmethod
    def _require_gaps(cls, prompts: list[str]) -> list[str]:
        if without := [prompt for prompt in prompts if GAP not in prompt]:
            raise ValueError(f"{without[0][:40]!r} has no gap to fill: write {GAP} where a word is missing")
        return prompts


class Embeddings(Section):
    """Whether texts of one topic are near each other (`topics`), and questions near their passages (`pairs`)."""

    PATHS: ClassVar[tuple[str, ...]] = ("topics", "pairs")
    PARSED: ClassVar[dict[str, str]] = {
        "topics": "training.evaluation.text_benchmarks:read_topics",
        "pairs": "training.evaluation.text_benchmarks:read_query_passages",
    }
    topics: PathList = []
    pairs: PathList = []

    @model_validator(mode="after")
    def _require_files(self) -> Embeddings:
        if not (self.topics or self.pairs):
            raise ValueError(
                "name files under `topics` (JSON lines with text and label), `pairs` (JSON lines with question and "
                "context) or both"
            )
        _require_different_names([*self.topics, *self.pairs])
        return self


class Probe(Section):
    """How well a logistic regression predicts the topics in `files` from each layer, and from a learned mix of all."""

    PATHS: ClassVar[tuple[str, ...]] = ("files",)
    PARSED: ClassVar[str] = "training.evaluation.text_benchmarks:read_split_topics"
    files: NonEmptyPathList
    # half of it times the squared weights is added to the summed loss; of 0.1 … 1,000, this did best with 512 features
    penalty: PositiveFloat = 100.0


if TYPE_CHECKING:
    from typing import TypeAlias

    TaskComponent: TypeAlias = Component
else:
    TaskComponent = component(evaluation.TASKS)


class Evaluate(Section):
    """The tasks, in this order; each once."""

    # names, which are validated like a user's, so that their own options are filled in
    tasks: list[TaskComponent] = Field(default=cast("list[Component]", ["perplexity", "samples"]), min_length=1)

    @model_validator(mode="after")
    def _require_each_once(self) -> Evaluate:
        names = [task.name for task in self.tasks]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"tasks names {' and '.join(sorted(repeated))} twice; write each task once")
        return self


def evaluate_params(section: Evaluate, seed: int) -> JsonObject:
    """What enters the fingerprint: the section, files by name and sha256, and the seed if a task uses it.

    Raises: UserError when a file does not exist.
    """
    params = {**section.model_dump(mode="json"), "tasks": [task_files.task_params(task) for task in section.tasks]}
    uses_seed = any(task.name not in SEEDLESS for task in section.tasks)
    return {**params, "seed": seed} if uses_seed else params


def file_sources(section: Evaluate) -> list[SourceFiles]:
    """The `sources` of the stage's job: the paths of the tasks' files, and the hashes of their content."""
    return task_files.source_files(section.tasks)


def file_problems(section: Evaluate) -> list[tuple[int, str]]:
    """(index in `tasks`, one sentence) for every file that does not exist or is not what its task reads."""
    return list(task_files.problems(section.tasks))


def prompts(section: Evaluate) -> list[str]:
    """The user's own prompts, which a shown next command can use."""
    return [prompt for task in section.tasks for prompt in task.options.get("prompts") or ()]


def task_problem(section: Evaluate, family: str) -> str | None:
    """Why a task does not fit a model family, with the families and tasks that do; None where all fit."""
    known_family = FAMILIES.get(family)
    if known_family is None:
        return None
    wrong = next((task.name for task in section.tasks if not supports(known_family, "tasks", task.name)), None)
    if wrong is None:
        return None
    fitting = [name for name, candidate in FAMILIES.items() if wrong in candidate.tasks]
    return (
        f"the task {wrong} does not fit the family {family}: it is for {', '.join(fitting)}. "
        f"Tasks of {family}: {', '.join(known_family.tasks)}."
    )


def head_problem(section: Evaluate, model: Component, objective: str) -> str | None:
    """Why a task does not fit what a model of `hf` predicts; None if all fit."""
    if model.name != "hf" or objective != "masked" or all(task.name != "samples" for task in section.tasks):
        return None
    return "the task samples generates text, and a model with the objective masked only fills gaps. Leave it out."

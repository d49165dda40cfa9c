"""The model families: the objectives, optimizers, engines, tasks and formats that each supports, by name.

The first of each is the default. `check` reads this table before any work, to report what would fail after hours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipeline.core.registry import Entry, Registry

Order = Literal["shuffled", "streams"]
FamilyField = Literal["objectives", "optimizers", "schedules", "engines", "tasks", "formats"]

# the function that a process of a gang runs to train a family: (spec as JSON, report); see training/worker.py
TRAINERS: Registry[Callable[..., None]] = Registry(
    "trainer",
    (
        Entry("gradients", code="training.trainer.worker:work"),
        Entry("vectors", code="training.vectors.worker:work"),
    ),
)


@dataclass(frozen=True)
class Family:
    """`order`: the order of rows (trainer/batches.py). `trainer`: a name of TRAINERS."""

    objectives: tuple[str, ...]
    tasks: tuple[str, ...]
    formats: tuple[str, ...]
    optimizers: tuple[str, ...] = ("adamw", "muon")
    schedules: tuple[str, ...] = ("wsd", "cosine", "linear")
    engines: tuple[str, ...] = ("plain", "zero")
    order: Order = "shuffled"
    trainer: Literal["gradients", "vectors"] = "gradients"
    needs: tuple[str, ...] = ()  # kinds of artifact besides tokens and tokenizer
    document_mask: bool = False  # whether its attention can stay within documents

    @property
    def vectors(self) -> bool:
        """Whether the model is a table of word vectors, without gradients and layers."""
        return self.trainer == "vectors"


_TEXT = ("perplexity", "samples", "embeddings")
_WORDS = ("similarity", "analogies", "neighbours")
_RECURRENT = Family(("causal",), ("perplexity", "samples"), ("safetensors", "onnx"), order="streams")

FAMILIES: dict[str, Family] = {
    "gpt": Family(("causal", "contrastive"), _TEXT, ("huggingface",), document_mask=True),
    "bert": Family(
        ("masked", "contrastive"), ("perplexity", "fill", "embeddings"), ("huggingface",), document_mask=True
    ),
    "rnn": _RECURRENT,
    "lstm": Family(("causal", "contrastive"), _TEXT, ("safetensors", "onnx"), order="streams"),
    "gru": _RECURRENT,
    "bilstm": Family(("bidirectional",), ("perplexity", "probe"), ("safetensors", "onnx")),
    "word2vec": Family(
        ("skipgram", "cbow"), _WORDS, ("vectors",), optimizers=("sgd",), schedules=("linear",),
        engines=("blocks",), trainer="vectors",
    ),
    "glove": Family(
        ("glove",), _WORDS, ("vectors",), optimizers=("adagrad",), schedules=("constant",),
        engines=("blocks",), trainer="vectors", needs=("counts",),
    ),
    "hf": Family(("causal", "masked"), ("perplexity", "samples"), ("huggingface",)),
}  # fmt: skip


def trainer_of(family: str) -> str:
    """The import string of the trainer of a family; a user's own family is trained by gradients."""
    built_in = FAMILIES.get(family)
    return TRAINERS.target(built_in.trainer if built_in else "gradients")


def supports(family: Family, field: FamilyField, name: str) -> bool:
    """Whether a family supports an alternative. One that no family lists, or a user's own, is supported by every family
    that is trained by gradients; word vectors have their own loops."""
    listed = any(name in getattr(candidate, field) for candidate in FAMILIES.values())
    return name in getattr(family, field) or ":" in name or not (listed or family.vectors)


def order_of(family: str, objective: str) -> Order:
    """The order of the rows of a run: streams carry a state from row to row, which only causal prediction uses."""
    built_in = FAMILIES.get(family)
    return built_in.order if built_in and objective == "causal" else "shuffled"


def sampling_problem(family: str) -> str | None:
    """Why a model of this family generates no text, and its tasks; None if it does, or is a user's own."""
    built_in = FAMILIES.get(family)
    if built_in is None or "samples" in built_in.tasks:
        return None
    return f"a {family} does not generate text. Evaluate it with `evaluate.tasks`: {', '.join(built_in.tasks)}."

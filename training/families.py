"""What goes with what: for each model family its objectives, optimizers, engines, tasks and formats. Names alone.

The first of each is the default. One table, so that `check` can say before any work what would fail after hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.core.registry import Entry, Registry

Order = Literal["shuffled", "streams"]
Kind = Literal["objectives", "optimizers", "schedules", "engines", "tasks", "formats"]

# what a process of a gang runs to train a family: a function (spec as JSON, report); see training/worker.py
TRAINERS: Registry[Any] = Registry(
    "trainer",
    (
        Entry("gradients", code="training.trainer.worker:work"),
        Entry("vectors", code="training.vectors.worker:work"),
    ),
)


@dataclass(frozen=True)
class Family:
    """`order`: how rows come (trainer/batches.py). `trainer`: who trains it, a name of TRAINERS."""

    objectives: tuple[str, ...]
    tasks: tuple[str, ...]
    formats: tuple[str, ...]
    optimizers: tuple[str, ...] = ("adamw", "muon")
    schedules: tuple[str, ...] = ("wsd", "cosine", "linear")
    engines: tuple[str, ...] = ("plain", "zero")
    order: Order = "shuffled"
    trainer: Literal["gradients", "vectors"] = "gradients"
    needs: tuple[str, ...] = ()  # kinds of artifact beside tokens and tokenizer

    @property
    def vectors(self) -> bool:
        """Whether the model is a table of vectors, which has no gradient and no layers."""
        return self.trainer == "vectors"


_TEXT = ("perplexity", "samples", "embeddings")
_WORDS = ("similarity", "analogies", "neighbours")
_RECURRENT = Family(("causal",), ("perplexity", "samples"), ("safetensors", "onnx"), order="streams")

FAMILIES: dict[str, Family] = {
    "gpt": Family(("causal", "contrastive"), _TEXT, ("huggingface",)),
    "bert": Family(("masked", "contrastive"), ("perplexity", "fill", "embeddings"), ("huggingface",)),
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
    """The import string of what trains a family; a user's own family is trained by gradients."""
    known = FAMILIES.get(family)
    return TRAINERS.target(known.trainer if known else "gradients")


def admits(family: Family, kind: Kind, name: str) -> bool:
    """Whether an alternative goes with a family. One that no family lists, or a user's own, goes with every family that
    the trainer trains; word vectors have loops of their own."""
    listed = any(name in getattr(one, kind) for one in FAMILIES.values())
    return name in getattr(family, kind) or ":" in name or not (listed or family.vectors)


def order_of(family: str, objective: str) -> Order:
    """How the rows of a run come: streams carry a state from row to row, which only causal prediction wants."""
    known = FAMILIES.get(family)
    return known.order if known and objective == "causal" else "shuffled"


def why_not_sampled(family: str) -> str | None:
    """Why a model of this family writes no text, and what to ask it instead; None if it does, or is a user's own."""
    known = FAMILIES.get(family)
    if known is None or "samples" in known.tasks:
        return None
    return f"a {family} does not write text. Ask it in `evaluate.tasks`: {', '.join(known.tasks)}."

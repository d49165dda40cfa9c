"""The base class of model families: a module with a summed loss, logits, and a kind for each parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict, cast

from torch import Tensor, nn

from pipeline.core.config import Section
from pipeline.core.files import JsonObject
from training.models import FAMILIES

ParameterKind = Literal["matrix", "embedding", "vector"]
RecurrentState = list[Tensor]
ModelCache: TypeAlias = Any
"""What a family keeps of the tokens it has read, to generate from; each family has its own type."""


class SavedConfig(TypedDict):
    """config.json of a saved model: what `build` needs to create it again."""

    family: str
    options: JsonObject
    vocabulary: int
    context: int
    document_mask: NotRequired[bool]  # left out where it is false


class Model(nn.Module):
    """The base of a family. `vocabulary` and `context` come from the data, everything else from the section."""

    family: str
    config: Section
    vocabulary: int
    context: int
    # whether a state is carried from row to row of a stream: set before forward, updated by it; rows on axis 1
    carries: bool = False
    state: RecurrentState | None = None
    # whether `forward`, `hidden` and `logits` take `documents` (document_mask.py); whether the model was trained so
    supports_document_mask: bool = False
    document_mask: bool = False
    reads_special_tokens: bool = False  # whether it was trained on [CLS] text [SEP], never on bare text

    def forward(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """The loss of every counted target, in nats, summed, so that a batch can be split anywhere. Both B, T."""
        raise NotImplementedError

    def hidden(self, tokens: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """The outputs of the last layer: B, T, C. A bidirectional family needs the lengths of the rows (B)."""
        raise NotImplementedError

    def logits(self, tokens: Tensor, cache: ModelCache = None) -> Tensor:
        """float32 scores of the next token at every position. tokens: B, T; returns B, T, vocabulary.

        With a `cache()`, tokens continue those already read with it: first the complete prompt, then one at a time.
        """
        raise NotImplementedError

    def cache(self) -> ModelCache:
        """An empty cache for generation; None where a family has none."""
        return None

    def kinds(self) -> dict[str, ParameterKind]:
        """The kind of each parameter for an optimizer: a block's matrix, an embedding or head, or a vector."""
        return {name: self.kind(name) if p.dim() > 1 else "vector" for name, p in self.named_parameters()}

    def kind(self, name: str) -> ParameterKind:
        """The kind of one parameter of two or more dimensions."""
        return "embedding" if name.startswith(("embed", "positions", "head")) else "matrix"

    def saved_config(self) -> SavedConfig:
        """What `build` needs to create this model again; saved as config.json."""
        options = self.config.model_dump(mode="json")
        saved: SavedConfig = {
            "family": self.family, "options": options, "vocabulary": self.vocabulary, "context": self.context,
        }  # fmt: skip
        return {**saved, "document_mask": True} if self.document_mask else saved


def build(family: str, options: JsonObject, *, vocabulary: int, context: int) -> Model:
    """A model with weights drawn from torch's current random state."""
    create = cast("Callable[..., Model]", FAMILIES.load(family))
    model = create(FAMILIES.section(family).model_validate(options), vocabulary=vocabulary, context=context)
    if family not in FAMILIES:  # a plug-in: config.json has its import string
        model.family = family
    return model

"""What every model family is: a module that gives a summed loss, logits, and says what kind each parameter is."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from torch import Tensor, nn

from pipeline.core.files import JsonObject
from training.models import FAMILIES

ParameterKind = Literal["matrix", "embedding", "vector"]


class SavedConfig(TypedDict):
    """config.json of a saved model: what `build` needs to create it again."""

    family: str
    options: JsonObject
    vocabulary: int
    context: int


class Model(nn.Module):
    """The base of a family. `vocabulary` and `context` come from the data, everything else from the section."""

    family: str
    config: Any
    vocabulary: int
    context: int
    # whether a state goes on from row to row of a stream: set before forward, left after it; rows on axis 1
    carries: bool = False
    state: list[Tensor] | None = None
    reads_special_tokens: bool = False  # whether it was trained on [CLS] text [SEP], never on bare text

    def forward(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """The loss of every counted target, in nats, summed (so that a batch can be cut anywhere). Both B, T."""
        raise NotImplementedError

    def hidden(self, tokens: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """What the last layer makes of every token: B, T, C. Who reads both ways needs to know where rows end (B)."""
        raise NotImplementedError

    def logits(self, tokens: Tensor, cache: Any = None) -> Tensor:
        """float32 scores of the next token at every position. tokens: B, T; returns B, T, vocabulary.

        With a `cache()`, tokens go on after those already read through it: a whole prompt first, then one at a time.
        """
        raise NotImplementedError

    def cache(self) -> Any:
        """An empty memory of what was read, to write on with; None where a family has none."""
        return None

    def kinds(self) -> dict[str, ParameterKind]:
        """What each parameter is to an optimizer: a block's matrix, an embedding or head, or a vector."""
        return {name: self.kind(name) if p.dim() > 1 else "vector" for name, p in self.named_parameters()}

    def kind(self, name: str) -> ParameterKind:
        """The kind of one parameter of two or more dimensions."""
        return "embedding" if name.startswith(("embed", "positions", "head")) else "matrix"

    def described(self) -> dict[str, Any]:
        """What `build` needs to make this model again; saved as config.json."""
        options = self.config.model_dump(mode="json")
        return {"family": self.family, "options": options, "vocabulary": self.vocabulary, "context": self.context}


def build(family: str, options: dict[str, Any], *, vocabulary: int, context: int) -> Model:
    """A model with weights drawn from torch's current random state."""
    code: Any = FAMILIES.load(family)
    made: Model = code(FAMILIES.section(family).model_validate(options), vocabulary=vocabulary, context=context)
    if family not in FAMILIES:  # a user's own: config.json names what can be imported again
        made.family = family
    return made

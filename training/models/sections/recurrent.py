"""The options of the recurrent families: `rnn`, `lstm`, `gru` and the bidirectional `bilstm` (pydantic only)."""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from pipeline.core.config import Section


class Recurrent(Section):
    """A recurrent language model with the regularisers of AWD-LSTM (Merity et al. 2018, arXiv 1708.02182)."""

    layers: PositiveInt = 2
    width: PositiveInt = 256  # of the embedding, and of the last layer's output where the head is tied
    hidden: PositiveInt | None = None  # state of the layers before the last; None: as wide as the embedding
    tied: bool = True  # the head shares the embedding's weights (Press and Wolf 2017, arXiv 1608.05859)
    dropout: float = Field(0.0, ge=0.0, lt=1.0)  # between layers and before the head, one mask a row (variational)
    embedding_dropout: float = Field(0.0, ge=0.0, lt=1.0)  # whole words of the embedding
    weight_dropout: float = Field(0.0, ge=0.0, lt=1.0)  # DropConnect on the hidden-to-hidden matrices

    @model_validator(mode="before")
    @classmethod
    def _fill_hidden(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("hidden") is None:
            return {**value, "hidden": value.get("width", 256)}
        return value


class Bilstm(Section):
    """A forward and a backward LSTM over one embedding, as ELMo has them (Peters et al. 2018, arXiv 1802.05365)."""

    layers: PositiveInt = 2
    width: PositiveInt = 256  # of the embedding and of each direction's output
    tied: bool = True
    dropout: float = Field(0.0, ge=0.0, lt=1.0)

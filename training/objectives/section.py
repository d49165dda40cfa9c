"""The options of the objectives (pydantic only)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from pipeline.core.config import Section
from pipeline.core.files import JsonObject


class Causal(Section):
    """Predict each token from those before it in its row."""

    ADDED: ClassVar[JsonObject] = {"label_smoothing": 0.0}
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)  # of the training loss (Szegedy et al. 2016, arXiv 1512.00567)


class Masked(Section):
    """Predict hidden tokens from both sides (Devlin et al. 2019): 80 % [MASK], 10 % a random token, 10 % unchanged."""

    share: float = Field(0.15, gt=0.0, lt=1.0)  # of the tokens that are hidden
    # word: all pieces of a word together, for Chinese the words of jieba (Cui et al. 2021, arXiv 1906.08101);
    # span: runs of words, lengths geometric with 0.2, at most 10 (Joshi et al. 2020, arXiv 1907.10529)
    unit: Literal["token", "word", "span"] = "word"
    pairs: Literal["none", "next_sentence", "sentence_order"] = "none"
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)


class Bidirectional(Section):
    """Predict each token from those before it, and again from those after it (Peters et al. 2018)."""

    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)


class Window(Section):
    """The options that skip-gram and CBOW share (Mikolov et al. 2013, arXiv 1301.3781 and 1310.4546)."""

    window: PositiveInt = 5
    dynamic: bool = True  # a window of 1 … `window` words, drawn for each word
    loss: Literal["negative_sampling", "hierarchical_softmax"] = "negative_sampling"
    negatives: PositiveInt = 5
    power: NonNegativeFloat = 0.75  # of the counts, in the distribution of negatives
    subsample: NonNegativeFloat = 1e-3  # words above this frequency are dropped at random; 0: never


class Skipgram(Window):
    """Predict the words around a word from it."""


class Cbow(Window):
    """Predict a word from the mean of those around it."""


class Glove(Section):
    """Weighted least squares on the logarithm of co-occurrence counts (Pennington et al. 2014)."""

    x_max: PositiveFloat = 100.0
    alpha: PositiveFloat = 0.75


def dropout_problem(objective: JsonObject, model: JsonObject) -> str | None:
    """Why these options of an objective and a model do not fit together; None if they do."""
    rates = [rate for name, rate in model.items() if name.endswith("dropout")]
    if objective.get("positives") != "dropout" or any(rates):
        return None
    return (
        "positives by dropout are the same text under another mask, and this model has no dropout. "
        "Set pretrain.model.dropout (0.1 is usual), or positives: spans."
    )


class Contrastive(Section):
    """Recognise a text's own positive among those of the others in its group (InfoNCE, van den Oord et al. 2018).

    Positives by `dropout`: the same text under another mask (Gao et al. 2021, arXiv 2104.08821); by `spans`: two
    neighbouring spans of one document (Giorgi et al. 2021, arXiv 2006.03659). The loss is within groups of `group`
    rows, so that neither workers nor micro-batches change it.
    """

    positives: Literal["dropout", "spans"] = "spans"
    loss: Literal["infonce"] = "infonce"
    temperature: PositiveFloat = 0.05
    group: int = Field(32, ge=2)

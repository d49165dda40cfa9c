"""The options of the word vectors, `word2vec` and `glove` (pydantic only)."""

from __future__ import annotations

from pydantic import PositiveInt

from pipeline.core.config import Section


class Vectors(Section):
    """A vector a word for its meaning, another for the words around it; `width` numbers each."""

    width: PositiveInt = 100

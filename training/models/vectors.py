"""Word vectors as models: two vectors a word, to evaluate, to export, and to initialise a language model from.

    word2vec   Mikolov et al. 2013 (arXiv 1301.3781, 1310.4546). `vectors()` are those of the words themselves (input).
    glove      Pennington et al. 2014. `vectors()` are the sums of both vectors of a word, as the paper has it.

They are trained by training/vectors, row by row and without a graph: `forward` is not implemented. Memory: the
matrices, vocabulary × width × 4 bytes each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.models.base import Model, ParameterKind
from training.models.sections.vectors import Vectors


class Word2vec(Model):
    """`input` is the vector of a word, `output` the vector by which it is predicted.

    With hierarchical softmax a row of `output` is an inner node of the Huffman tree; the last row is then unused.
    """

    family = "word2vec"
    config: Vectors

    def __init__(self, config: Vectors, *, vocabulary: int, context: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.context = context
        # as in word2vec.c: small inputs, outputs at zero
        self.input = nn.Parameter((torch.rand(vocabulary, config.width) - 0.5) / config.width)
        self.output = nn.Parameter(torch.zeros(vocabulary, config.width))
        self.register_buffer("counts", torch.zeros(vocabulary, dtype=torch.int64))

    counts: Tensor  # V: how often each word is in the training rows; a word with 0 keeps its first, random vector

    def vectors(self) -> Tensor:
        """A vector for every word: V, d."""
        return self.input.detach()

    def kind(self, name: str) -> ParameterKind:
        return "embedding"


class Glove(Model):
    """Both vectors and both biases of the weighted least squares."""

    family = "glove"
    config: Vectors

    def __init__(self, config: Vectors, *, vocabulary: int, context: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.context = context
        shapes: dict[str, tuple[int, ...]] = {"input": (vocabulary, config.width), "output": (vocabulary, config.width),
                                  "input_bias": (vocabulary,), "output_bias": (vocabulary,)}  # fmt: skip
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter((torch.rand(shape) - 0.5) / config.width))
        self.register_buffer("counts", torch.zeros(vocabulary, dtype=torch.int64))

    input: Tensor
    output: Tensor
    counts: Tensor  # V: how often each word is in the training rows

    def vectors(self) -> Tensor:
        """A vector for every word: V, d."""
        return (self.input + self.output).detach()

    def kind(self, name: str) -> ParameterKind:
        return "embedding"

"""The classifier of hashed n-grams: its scores against a plain reference, its exponential, windows, and training."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from pipeline.kernels import hashed_classifier
from pipeline.kernels.column import buffers
from pipeline.kernels.compiler import kernel
from pipeline.kernels.hashed_classifier import Features, Rates, document_scratch, predict, train_epoch
from pipeline.text.unicode import KIND, NEWLINE, SPACE, fold_point, tables


@kernel
def exponential(x: float) -> float:
    return hashed_classifier.exponential(x)


FEATURES = Features(order=4, bits=16, most=1000)
TEXTS = [
    "The Old  Station\n\nopens at 7.",
    "今天天气很好，我们去图书馆看书。",
    "ＦＵＬＬ　ｗｉｄｔｈ, ﬁne ㎏ Straße",
    "x",
    "混合 mixed 文字 text 😀",
]
WORD = (1 << 64) - 1


def folded(text: str) -> list[int]:
    """The folded text in plain Python: compatibility forms in lower case, one blank for white space and at each end."""
    points = [32]
    for character in text:
        if tables().classes[ord(character)] & KIND in (SPACE, NEWLINE):
            points += [] if points[-1] == 32 else [32]
        else:
            points += fold_point(ord(character))
    return points if points[-1] == 32 else [*points, 32]


def cells(text: str, features: Features) -> list[int]:
    points, found = folded(text), []
    for i in range(len(points)):
        value = 14695981039346656037
        for k in range(min(features.order, i + 1)):
            value = ((value ^ points[i - k]) * 0x9E3779B97F4A7C15) & WORD
            value ^= value >> 29
            found.append(((value * 0xD6E8FEB86659FD93) & WORD) >> (64 - features.bits))
    return found


def probabilities(texts: list[str], weights: np.ndarray, features: Features = FEATURES) -> np.ndarray:
    data, offsets = buffers(pa.array(texts, pa.large_string()))
    out = np.empty((len(texts), weights.shape[1]), np.float32)
    scratch = document_scratch(int(np.diff(offsets).max()), features)
    predict(data, offsets, tables(), features, scratch, weights, out)
    return out


def random_weights(labels: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(2**FEATURES.bits + 1, labels)).astype(np.float32)


def test_probabilities_are_the_softmax_of_the_scaled_sums_of_the_weights_of_all_ngrams() -> None:
    weights = random_weights(3)
    for text, answer in zip(TEXTS, probabilities(TEXTS, weights), strict=True):
        ngrams = cells(text, FEATURES)
        scores = weights[ngrams].astype(np.float64).sum(axis=0) / math.sqrt(len(ngrams)) + weights[-1]
        expected = np.exp(scores - scores.max())
        assert answer == pytest.approx(expected / expected.sum(), abs=1e-5)


def test_a_text_has_the_same_probabilities_alone_and_in_any_batch() -> None:
    weights = random_weights(2)
    together = probabilities([*TEXTS, "long " * 500], weights)
    assert all((probabilities([text], weights)[0] == row).all() for text, row in zip(TEXTS, together, strict=False))


def test_a_blank_text_has_no_probability() -> None:
    assert np.isnan(probabilities(["", " \n\u3000"], random_weights(2))).all()


def test_the_exponential_is_within_two_units_of_the_last_place() -> None:
    for x in [0.0, -1e-9, -0.3, -1.0, -math.log(2), -17.3, -88.8, -300.0, -690.0]:
        assert exponential(x) == pytest.approx(math.exp(x), rel=5e-16)
    assert exponential(-1e9) == 0.0


def test_of_a_long_text_four_windows_are_read() -> None:
    features = Features(order=2, bits=16, most=400)
    weights = random_weights(2)
    text = "".join(chr(0x4E00 + i) for i in range(4000))
    (whole,) = probabilities([text], weights, features)
    # windows of 100 code points at the beginning, at a third, at two thirds and at the end
    outside = text[:500] + "变" * 100 + text[600:]
    at_the_end = text[:-50] + "变" * 50
    assert (probabilities([outside], weights, features)[0] == whole).all()
    assert (probabilities([at_the_end], weights, features)[0] != whole).all()


@pytest.mark.parametrize("words", ["the river runs past a quiet village".split(), list("河流经过安静的村子里没有人")])
def test_training_tells_two_kinds_of_text_apart(words: list[str]) -> None:
    draw = np.random.default_rng(5)
    joint = " " if words[0].isascii() else ""
    prose = [joint.join(draw.permutation(words).tolist()) for _ in range(60)]
    noise = [joint.join(sorted("".join(draw.permutation(words).tolist()))) for _ in range(60)]
    data, offsets = buffers(pa.array([text for pair in zip(prose, noise, strict=True) for text in pair]))
    labels, weights = np.arange(120) % 2, np.zeros((2**FEATURES.bits + 1, 2), np.float32)
    rates, squares = Rates(np.float32(0.15), np.float32(0.015), np.float32(1e-6)), np.full_like(weights, 1e-4)
    scratch = document_scratch(200, FEATURES)
    train_epoch(data, offsets, labels, np.arange(100), tables(), FEATURES, rates, scratch, weights, squares)
    answers = probabilities([*prose[50:], *noise[50:]], weights)
    assert (answers.argmax(axis=1) == np.repeat([0, 1], 10)).all()

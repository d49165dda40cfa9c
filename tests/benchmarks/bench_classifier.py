"""The annotation model `classifier`: accuracy on sets with labels, what it costs, and what decides both.

    python tests/benchmarks/bench_classifier.py [--epochs 8] [--orders 4] [--rounds 3] [--only accuracy …]

Prints the figures of training/annotation/LEARNED.md, fastText beside them where it is installed (pip install
fasttext-numpy2-wheel; it is no part of the project). About three CPU-minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from labelled_texts import (
    CORPORA,
    EARLIER,
    LabelledTexts,
    best_speed,
    column,
    corpus,
    cpu_seconds,
    evaluation_sets,
    mixed,
)
from measured import table

from pipeline.kernels.column import buffers
from pipeline.kernels.compiler import kernel
from pipeline.kernels.folded_text import fold_text, folded_scratch
from pipeline.kernels.hashed_classifier import Features
from pipeline.text.unicode import tables
from training.annotation.classifier_model import TextClassifier, train
from training.annotation.held_back import auc

TOY = "--rounds 1 --epochs 1 --orders 1 --table-bits 12"  # the arguments with which the tests run this file
CHINESE = ("topic-zh", "law-branch-zh")
BASE = Features(order=4, bits=18, most=10_000)


class Trial(NamedTuple):
    """What a classifier does on a set; speeds in MB of text per CPU-second, that of training for each pass.

    `shares`: of two labels, the texts of each that are recognized: with the frequencies of the set, with equal ones.
    """

    accuracy: float
    shares: list[float]
    auc: float
    by_language: dict[str, float]
    training_speed: float
    prediction_speed: float


def trial(texts: LabelledTexts, features: Features, epochs: int, orders: int) -> Trial | None:
    """Train and measure; None where a side lacks a label."""
    names = sorted({label for _, label in texts.train})
    if len(names) < 2 or {label for _, label in texts.test} != set(names):
        return None
    training, testing = column([text for text, _ in texts.train]), column([text for text, _ in texts.test])
    labels = np.array([names.index(label) for _, label in texts.train])
    is_label = np.array([names.index(label) for _, label in texts.test])
    train(training[:2], labels[:2], names, features, epochs=1, orders=1)  # compiles
    models: list[TextClassifier] = []
    spent = cpu_seconds(lambda: models.append(train(training, labels, names, features, epochs=epochs, orders=orders)))
    answers: list[np.ndarray] = []
    models[0].probabilities(testing[:1])
    predicting = cpu_seconds(lambda: answers.append(models[0].probabilities(testing)))
    scores = answers[0][:, 0].astype(np.float64)
    languages = np.array(texts.languages)
    aucs = {
        tag: auc(is_label[languages == tag] == 0, scores[languages == tag]) for tag in ("en", "zh") if len(names) == 2
    }
    equal = models[0].with_equal_frequencies(np.bincount(labels).tolist()).probabilities(testing)
    return Trial(
        float((answers[0].argmax(axis=1) == is_label).mean()),
        [
            float((each.argmax(axis=1) == is_label)[is_label == label].mean())
            for each in (answers[0], equal)
            for label in (0, 1)
        ],
        auc(is_label == 0, scores) if len(names) == 2 else float("nan"),
        aucs,
        training.nbytes / 1e6 * epochs * orders / spent,
        testing.nbytes / 1e6 / predicting,
    )


def accuracy(epochs: int, orders: int, bits: int) -> None:
    """Each set, beside the earlier figure, the largest label and fastText."""
    rows = []
    for texts in [*evaluation_sets(), mixed()]:
        ours = texts and trial(texts, BASE._replace(bits=bits), epochs, orders)
        if not texts or not ours:
            continue
        labels = [label for _, label in texts.test]
        majority = max(labels.count(label) for label in set(labels)) / len(labels)
        rows.append([
            texts.name, len(texts.train), len(labels), f"{ours.accuracy:.3f}", f"{EARLIER[texts.name]:.3f}",
            f"{majority:.3f}", f"{ours.auc:.3f}", *fasttext_figures(texts),
            f"{ours.training_speed:.0f}", f"{ours.prediction_speed:.0f}",
        ])  # fmt: skip
    header = [
        "set", "train", "test", "accuracy", "earlier", "majority", "AUC", "fastText", "its MB/s", "train MB/s",
        "predict MB/s",
    ]  # fmt: skip
    table("Classifier: accuracy on held-back texts; MB of text per CPU-second (and pass)", header, rows)


def fasttext_figures(texts: LabelledTexts) -> list[str]:
    """Accuracy and speed of prediction of fastText: pairs of words, Han characters as words; "–" if not installed."""
    if importlib.util.find_spec("fasttext") is None:
        return ["–", "–"]
    import fasttext

    def line(text: str) -> str:
        return re.sub(r"([\u4e00-\u9fff])", r" \1 ", re.sub(r"\s+", " ", text.lower()))

    names = sorted({label for _, label in texts.train})
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", errors="replace") as file:
        file.writelines(f"__label__{names.index(label)} {line(text)}\n" for text, label in texts.train)
        file.flush()
        model = fasttext.train_supervised(
            file.name, lr=0.5, epoch=25, dim=50, bucket=2**18, thread=1, verbose=0, wordNgrams=2
        )
    prepared = [line(text) for text, _ in texts.test]
    answers: list[str] = []
    spent = cpu_seconds(lambda: answers.extend(model.predict(text)[0][0] for text in prepared))
    right = [answer == f"__label__{names.index(label)}" for answer, (_, label) in zip(answers, texts.test, strict=True)]
    size = sum(len(text.encode("utf-8", "replace")) for text, _ in texts.test) / 1e6
    return [f"{np.mean(right):.3f}", f"{size / spent:.1f}"]


def trade_off(epochs: int, bits: int, rounds: int) -> None:
    """What n-grams, the size of the table and windows cost and give, with one order of training."""
    variants = {
        f"1- to 4-grams, 2^{bits}": BASE._replace(bits=bits),
        f"1- to 4-grams, 2^{bits - 2}": BASE._replace(bits=bits - 2),
        f"1- to 4-grams, 2^{bits + 2}": BASE._replace(bits=bits + 2),
        f"1- to 3-grams, 2^{bits}": BASE._replace(order=3, bits=bits),
        f"1- to 5-grams, 2^{bits}": BASE._replace(order=5, bits=bits),
        f"1- to 2-grams, 2^{bits - 2}": BASE._replace(order=2, bits=bits - 2),
    }
    small, cut = list(evaluation_sets()), mixed()
    rows = []
    for name, features in variants.items():
        trials = {texts.name: trial(texts, features, epochs, 1) for texts in small}
        shares = [
            np.mean([each.accuracy for key, each in trials.items() if each and (key in CHINESE) == chinese] or [np.nan])
            for chinese in (False, True)
        ]
        on_mixed = cut and trial(cut, features, epochs, 1)
        of_mixed = [f"{on_mixed.accuracy:.3f}", f"{on_mixed.auc:.3f}"] if on_mixed else ["–", "–"]
        speeds = [prediction_speed(language, features, rounds) for language in CORPORA]
        rows.append([name, *(f"{share:.3f}" for share in shares), *of_mixed, *speeds])
    header = ["features", "accuracy en", "accuracy zh", "raw-mixed", "its AUC", "predict en MB/s", "predict zh MB/s"]
    table("Classifier: means over the sets of a language, one order; MB per CPU-second on clean corpora", header, rows)


def long_documents(epochs: int, bits: int) -> None:
    """Whole documents of raw-mixed: how much of a document is read."""
    whole, rows = mixed(None), []
    for most in (2000, 10_000, 10_000_000):
        result = whole and trial(whole, BASE._replace(bits=bits, most=most), epochs, 1)
        if result:
            by_language = [f"{result.by_language[tag]:.3f}" for tag in ("en", "zh")]
            speeds = [f"{result.training_speed:.0f}", f"{result.prediction_speed:.0f}"]
            shares = [f"{bad:.2f}, {good:.3f}" for bad, good in (result.shares[:2], result.shares[2:])]
            rows.append([f"{most:,}", f"{result.accuracy:.3f}", f"{result.auc:.3f}", *by_language, *shares, *speeds])
    if not rows:
        return
    header = [
        "characters read, at most", "accuracy", "AUC", "AUC en", "AUC zh", "bad found, good kept", "equal frequencies",
        "train MB/s", "predict MB/s",
    ]  # fmt: skip
    table("Classifier: windows of whole documents of raw-mixed, one order", header, rows)


@kernel
def fold_all(data: Any, offsets: Any, folding: Any, points: Any) -> int:
    total = 0
    for d in range(len(offsets) - 1):
        total += fold_text(data, offsets[d], offsets[d + 1], folding, points)
    return total


def prediction_speed(language: str, features: Features, rounds: int) -> str:
    """MB per CPU-second on whole documents of clean corpora, with two labels."""
    weights = np.random.default_rng(3).normal(size=(2**features.bits + 1, 2)).astype(np.float32)
    model, text = TextClassifier(("good", "bad"), features, weights), corpus(language)
    return best_speed(text, lambda: model.probabilities(text), rounds)


def speed(rounds: int, bits: int) -> None:
    """Prediction beside its bare limit: reading and folding the text."""
    rows = []
    for language in CORPORA:
        text = corpus(language)
        data, offsets = buffers(text)
        arguments = (data, offsets, tables(), folded_scratch(int(np.diff(offsets).max(initial=0))))
        rows.append([
            f"{language} ({text.nbytes / 1e6:.0f} MB)",
            best_speed(text, lambda arguments=arguments: fold_all(*arguments), rounds),
            *(
                prediction_speed(language, BASE._replace(bits=bits, most=most), rounds)
                for most in (2000, 10_000, 10_000_000)
            ),
        ])  # fmt: skip
    header = ["text", "fold alone", "2,000 characters read", "10,000", "whole documents"]
    table("Classifier: MB of text per CPU-second, one thread", header, rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--orders", type=int, default=4)
    options.add_argument("--table-bits", type=int, default=18)
    parts = ("accuracy", "trade-off", "windows", "speed")
    options.add_argument("--only", nargs="+", choices=parts, default=parts)
    chosen = options.parse_args()
    bits = chosen.table_bits
    work: dict[str, Callable[[], None]] = {
        "accuracy": lambda: accuracy(chosen.epochs, chosen.orders, bits),
        "trade-off": lambda: trade_off(chosen.epochs, bits, chosen.rounds),
        "windows": lambda: long_documents(chosen.epochs, bits),
        "speed": lambda: speed(chosen.rounds, bits),
    }
    for part in chosen.only:
        work[part]()


if __name__ == "__main__":
    main()

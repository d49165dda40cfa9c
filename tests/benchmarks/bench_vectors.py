"""word2vec beside gensim: the same sentences and settings, words per CPU-second of training, and what the vectors know.

    python tests/benchmarks/bench_vectors.py [--languages en zh] [--objectives skipgram cbow] [--seeds 3] [--epochs 5]

100 numbers, window 5, 5 negatives, subsampling 1e-3, least count 5, one thread each, in one process in turn. Both are
judged by gensim's own functions on the files of eval/words; a set with fewer than 200 covered items, or on which gensim
stays under 5 %, is only reported. CPU-seconds are of training alone: for both the vocabulary is there before. About 4
minutes a language and objective with three seeds. Without gensim only our speed is measured.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from measured import DATA, table

from pipeline.core.records import tokens_schema
from pipeline.core.shards import ShardWriter
from pipeline.text.words import sentences, words
from training import worker
from training.models.saved import load
from training.section import Pretrain
from training.spec import TrainingSpec
from training.vectors.loop import VectorRun
from training.vectors.worker import VectorTrainer

try:
    from gensim.models import KeyedVectors, Word2Vec
except ImportError:  # the peer and the judge of both
    KeyedVectors = Word2Vec = None

TOY = "--languages en --objectives skipgram --seeds 1 --epochs 1"  # the arguments with which the tests run this file

LENGTH, WIDTH, LEAST = 256, 100, 5
SETS = {
    "en": ("wordsim353-en.tsv", "analogies-en.txt"),
    "zh": ("wordsim240-zh.tsv", "analogies-zh-ca8-morphological.txt", "analogies-zh-ca8-semantic.txt"),
}


def texts(language: str) -> Iterator[str]:
    for path in sorted((DATA / "corpora" / language).glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from (json.loads(line)["text"] for line in lines)


def corpus(language: str, folder: Path) -> tuple[list[list[str]], Path, int]:
    """Sentences of words; a folder with the same words as packed rows and their tokenizer.json; how many words."""
    found = [parts for text in texts(language) for one in sentences(text) if len(parts := words(one)) > 3]
    counts: dict[str, int] = {}
    for parts in found:
        for word in parts:
            counts[word] = counts.get(word, 0) + 1
    kept = sorted((w for w, n in counts.items() if n >= LEAST), key=lambda w: (-counts[w], w.encode()))
    special = {"<|endoftext|>": 0, "<unk>": 1, "</s>": 2}
    vocabulary = {**special, **{word: at for at, word in enumerate(kept, len(special))}}
    added = [{"id": at, "content": name, "special": True} for name, at in special.items()]
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    (folder / "tokenizer.json").write_text(json.dumps({"model": model, "added_tokens": added}), encoding="utf-8")
    tokens = np.array([token for parts in found for token in (*(vocabulary.get(w, 1) for w in parts), 2)], np.uint32)
    rows = tokens[: len(tokens) // LENGTH * LENGTH].reshape(-1, LENGTH)
    for split, some in (("train", rows), ("validation", rows[::200])):
        with ShardWriter(folder, split, "a", tokens_schema(len(vocabulary))) as shard:
            spans = [[{"id": "0" * 32, "start": 0, "end": LENGTH}]] * len(some)
            shard.write(pa.table({"tokens": some.tolist(), "documents": spans}, tokens_schema(len(vocabulary))))
    return found, folder, sum(map(len, found))


class Timed(VectorTrainer):
    """Measures the training itself, without what is read before and written after."""

    cpu_seconds = 0.0

    def train(self, training: VectorRun) -> None:
        before = time.process_time()
        super().train(training)
        self.cpu_seconds = time.process_time() - before


def ours(folder: Path, objective: str, seed: int, epochs: float, batch_tokens: int) -> tuple[Any, float]:
    out = Path(tempfile.mkdtemp(dir=folder))
    section = {
        "model": {"family": "word2vec", "width": WIDTH}, "objective": objective, "epochs": epochs,
        "batch_tokens": batch_tokens, "save_every": 0.5, "validate_every": 0.5,
    }  # fmt: skip
    size = len(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
    spec = TrainingSpec(
        stage="pretrain", section=Pretrain.model_validate(section), seed=seed, threads=1, folder=out, scratch=folder,
        metrics=out / "metrics", progress="", tokenizer=folder / "tokenizer.json", vocabulary=size, length=LENGTH,
        train=tuple((folder / "train").iterdir()), validation=tuple((folder / "validation").iterdir()),
        digest="0" * 64,
    )  # fmt: skip
    timed = Timed()
    worker.work(timed, spec.to_dict(), lambda figures: None)
    if KeyedVectors is None:
        return None, timed.cpu_seconds
    names = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    found = KeyedVectors(WIDTH)
    found.add_vectors(list(names)[3:], load(out / "model").vectors().numpy()[3:])  # type: ignore[operator]
    return found, timed.cpu_seconds


def theirs(found: list[list[str]], objective: str, seed: int, epochs: float) -> tuple[Any, float]:
    rate = 0.025 if objective == "skipgram" else 0.05
    model = Word2Vec(
        vector_size=WIDTH, window=5, min_count=LEAST, sg=int(objective == "skipgram"), negative=5, sample=1e-3,
        workers=1, seed=seed, alpha=rate, min_alpha=1e-4,
    )  # fmt: skip
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(" ".join(parts) + "\n" for parts in found)
        file.flush()
        model.build_vocab(corpus_file=file.name)
        before = time.process_time()
        model.train(corpus_file=file.name, total_examples=model.corpus_count, total_words=model.corpus_total_words,
                    epochs=round(epochs))  # fmt: skip
        return model.wv, time.process_time() - before


def known(vectors: Any, language: str) -> list[float]:
    """Spearman × 100 and the accuracy of every set of analogies in per cent."""
    folder = DATA / "eval" / "words"
    pairs, *analogies = SETS[language]
    scores = [100 * float(vectors.evaluate_word_pairs(str(folder / pairs))[1][0])]
    for name in analogies:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            text = (folder / name).read_text(encoding="utf-8")
            file.write(text if text.startswith(":") else f": all\n{text}")
            file.flush()
            scores.append(100 * float(vectors.evaluate_word_analogies(file.name)[0]))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--languages", nargs="+", default=["en", "zh"], choices=["en", "zh"])
    parser.add_argument("--objectives", nargs="+", default=["skipgram", "cbow"], choices=["skipgram", "cbow"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--batch-tokens", type=int, default=8192)
    asked = parser.parse_args()
    if not (DATA / "corpora").is_dir():
        sys.exit(f"{DATA}/corpora is not here: set BLOOMERY_DATA")
    if Word2Vec is None:
        print("gensim is not installed: left out, and nothing is asked of the vectors")
    for language in asked.languages:
        with tempfile.TemporaryDirectory() as folder:
            found, packed, count = corpus(language, Path(folder))
            for objective in asked.objectives:
                ours(packed, objective, 0, 0.05, asked.batch_tokens)  # compiles the loops
            for objective in asked.objectives:
                compare(language, objective, found, packed, count, asked)


def compare(
    language: str, objective: str, sentences: list[list[str]], packed: Path, count: int, asked: argparse.Namespace
) -> None:
    results: dict[str, list[tuple[list[float], float]]] = {}
    for seed in range(1, asked.seeds + 1):
        trained = {"ours": ours(packed, objective, seed, asked.epochs, asked.batch_tokens)}
        if Word2Vec is not None:
            trained = {"gensim": theirs(sentences, objective, seed, asked.epochs), **trained}
        for name, (vectors, cost) in trained.items():
            scores = known(vectors, language) if vectors is not None else []
            results.setdefault(name, []).append((scores, count * asked.epochs / cost / 1e3))
    speed = {name: float(np.median([kilo for _, kilo in runs])) for name, runs in results.items()}
    rows = []
    for name, runs in results.items():
        scores = np.array([score for score, _ in runs])
        error = scores.std(axis=0, ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else np.zeros(scores.shape[1])
        cells = [f"{mean:.1f} ± {off:.1f}" for mean, off in zip(scores.mean(axis=0), error, strict=True)]
        ratio = f"{speed[name] / speed['gensim']:.2f} ×" if "gensim" in speed else "-"
        rows.append([name, f"{speed[name]:,.0f} k", ratio, *(cells or ["-"] * len(SETS[language]))])
    what = f"{count:,} words, {asked.epochs:g} epochs, {asked.seeds} seeds"
    title = f"{objective}, {language}: {what} (mean ± standard error)"
    table(title, ["", "words per CPU-s", "to gensim", *(f"{name}, %" for name in SETS[language])], rows)


if __name__ == "__main__":
    main()

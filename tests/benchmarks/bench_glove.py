"""GloVe: counting and training, cells and tokens per CPU-second, memory, and what the vectors are worth, by language.

    python tests/benchmarks/bench_glove.py [--languages en zh] [--seeds 3] [--epochs 15] [--programs DIR]
        [--times 8] [--work DIR]

`--programs` names a folder with the published C programs, built (cooccur, shuffle, glove); they then run on the same
words, one thread, with the same settings. Ours is the command itself, one worker: a stage's CPU-seconds are all of its
process's, imports too; a pass over the cells is the difference between a run of all epochs and one of 1. `--times`:
the memory of counting so large a corpus, further copies with their long words enciphered.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from enlarge import enlarged, read, write
from measured import DATA, measure, table

from pipeline.core.files import JsonObject
from training.evaluation.analogies import answered_correctly
from training.evaluation.similarity import spearman
from training.evaluation.word_benchmarks import read_judged_pairs, read_questions
from training.evaluation.word_vectors import read_word_vectors
from training.models.base import Model, build
from training.models.saved import load

TOY = "--languages en --seeds 1 --epochs 2"  # the arguments with which the tests run this file

WINDOW, WIDTH, X_MAX = 10, 100, 10
TEXT_BYTES = {"en": 26_000_000, "zh": 25_000_000}  # about 4 million words
PAIRS = {"en": "wordsim353-en.tsv", "zh": "wordsim240-zh.tsv"}
QUESTIONS = {"en": ["analogies-en.txt"], "zh": ["analogies-zh-ca8-morphological.txt", "analogies-zh-ca8-semantic.txt"]}
CONFIG = """\
name: bench
workdir: {work}
seed: {seed}
ingest: {{sources: [{{reader: jsonl, paths: "{corpus}/*.jsonl.gz", language: {language}}}]}}
clean: {{cleaners: [unicode]}}
dedupe: {{method: exact}}
tokenizer: {{kind: word, vocabulary: 60000, min_count: 5, sample_bytes: 1000000000}}
pack: {{length: 512, validation: 0.001}}
count: {{window: {window}}}
pretrain:
  model: {{family: glove, width: {width}}}
  objective: {{glove: {{x_max: {x_max}}}}}
  epochs: {epochs}
  batch_tokens: 262144
cluster: {{launcher: local, workers: 1, beam: {{workers: 1}}}}
"""


def corpus(language: str, folder: Path, *, times: int = 1, most: int | None = None) -> None:
    """Clean text first, then what raw-mixed holds in the language."""
    records, size = [], 0
    sources = [*read(f"corpora/{language}/*.gz", DATA), *read("*.gz", DATA / "raw-mixed")]
    for record in sources:
        if record.get("lang", language) == language and size < (most or TEXT_BYTES[language]):
            size += len(record["text"].encode())
            records.append({"id": str(len(records)), "text": record["text"]})
    write(enlarged(records, times), folder)


def run(work: Path, language: str, *, seed: int = 1, epochs: int = 1, to: str = "pretrain") -> dict[str, Path]:
    """Run the command on work/corpus; the folder of each stage's artifact, the last made where there are several."""
    path = work / f"{seed}-{epochs}.yaml"
    told = {"work": work / "run", "corpus": work / "corpus", "language": language, "seed": seed}
    path.write_text(CONFIG.format(**told, window=WINDOW, width=WIDTH, x_max=X_MAX, epochs=epochs), encoding="utf-8")
    measure([sys.executable, "-m", "cluster.cli", "run", path, "--to", to])
    manifests = sorted((work / "run").glob("store/*/*/manifest.json"), key=os.path.getmtime)
    return {manifest.parts[-3]: manifest.parent for manifest in manifests}


def journal(artifact: Path) -> JsonObject:
    """What was measured of a stage."""
    lines = [json.loads(line) for line in (artifact / "journal.jsonl").read_text().splitlines()]
    return {key: value for line in lines for key, value in line.items()}


def counts(artifact: Path) -> JsonObject:
    found: JsonObject = json.loads((artifact / "manifest.json").read_text())["counts"]
    return found


def lines_of(stages: dict[str, Path], folder: Path) -> tuple[Path, Path]:
    """The training rows as text, a sentence a line, and the words with their counts, as the C programs read them."""
    vocabulary = json.loads((stages["tokenizer"] / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    words, text, listed = list(vocabulary), folder / "lines.txt", folder / "words.txt"
    occurs: Counter[int] = Counter()
    with text.open("w", encoding="utf-8") as stream:
        for path in sorted((stages["pack"] / "train").glob("*.parquet")):
            tokens = pq.read_table(path, columns=["tokens"])["tokens"].combine_chunks().flatten().to_numpy()
            occurs.update(tokens.tolist())
            ends = (tokens == 0) | (tokens == 2)
            stream.writelines("\n" if end else f"{words[token]} " for token, end in zip(tokens, ends, strict=True))
    named = [(words[token], count) for token, count in occurs.items() if token > 2]
    named.sort(key=lambda one: (-one[1], one[0]))
    listed.write_text("".join(f"{word} {count}\n" for word, count in named), encoding="utf-8")
    return text, listed


def by_dictionary(text: Path, *, most: int = 200_000) -> float:
    """Tokens per CPU-second of a plain loop over windows into a dictionary."""
    sums: dict[tuple[str, str], float] = {}
    done, start = 0, time.process_time()
    with text.open(encoding="utf-8") as stream:
        for line in stream:
            sentence = line.split()
            for at, word in enumerate(sentence):
                for distance in range(1, min(at, WINDOW) + 1):
                    other = sentence[at - distance]
                    sums[word, other] = sums.get((word, other), 0.0) + 1 / distance
                    sums[other, word] = sums.get((other, word), 0.0) + 1 / distance
            done += len(sentence)
            if done > most:
                break
    return done / (time.process_time() - start)


def published(
    programs: Path, text: Path, listed: Path, folder: Path, *, seeds: int, epochs: int
) -> tuple[float, float, list[Path]]:
    """CPU-seconds of cooccur, CPU-seconds of a training run, and the vectors of each seed."""
    cells, shuffled, seconds, found = folder / "cells.bin", folder / "shuffled.bin", [], []

    def shell(command: str) -> float:
        return measure(["sh", "-c", command]).cpu

    counting = shell(
        f"{programs}/cooccur -memory 2 -vocab-file {listed} -window-size {WINDOW} -verbose 0 "
        f"-overflow-file {folder}/overflow < {text} > {cells}"
    )
    for seed in range(1, seeds + 1):
        shell(f"{programs}/shuffle -memory 2 -verbose 0 -seed {seed} -temp-file {folder}/part < {cells} > {shuffled}")
        command = f"{programs}/glove -save-file {folder}/{seed} -threads 1 -input-file {shuffled} -x-max {X_MAX}"
        command += f" -iter {epochs} -vector-size {WIDTH} -binary 0 -vocab-file {listed} -write-header 1 -verbose 0"
        seconds.append(shell(f"{command} -seed {seed}"))
        found.append(folder / f"{seed}.txt")
    return counting, mean(seconds), found


def model_of(vectors: Path, stages: dict[str, Path]) -> Model:
    """Vectors in a text file as a model of ours, to be asked the same questions."""
    ours = load(stages["pretrain"] / "model")
    model = build("glove", {"width": WIDTH}, vocabulary=ours.vocabulary, context=ours.context)
    vocabulary = json.loads((stages["tokenizer"] / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    with torch.no_grad(), vectors.open(encoding="utf-8") as stream:
        for parameter in model.parameters():
            parameter.zero_()
        for line in stream:
            word, *numbers = line.rstrip().split(" ")
            if word in vocabulary and len(numbers) == WIDTH:
                model.get_parameter("input")[vocabulary[word]] = torch.tensor([float(number) for number in numbers])
        model.counts.copy_(ours.counts)  # type: ignore[operator, union-attr]
    return model


def quality(model: Model, stages: dict[str, Path], language: str) -> dict[str, tuple[float, int]]:
    """Of each file the score and how many items are covered."""
    words, folder = read_word_vectors(model, stages["tokenizer"] / "tokenizer.json"), DATA / "eval" / "words"
    first, found = 30_000, {}
    find = partial(words.vocabulary.find, first=first)
    pairs = [
        (pair.judgement, find(pair.left), find(pair.right)) for pair in read_judged_pairs(folder / PAIRS[language])
    ]
    known = [pair for pair in pairs if None not in pair]
    cosines = words.cosines([one for _, one, _ in known], [other for _, _, other in known])  # type: ignore[misc]
    found[PAIRS[language]] = (spearman([judged for judged, _, _ in known], cosines), len(known))
    for file in QUESTIONS[language]:
        asked = [[find(one.a), find(one.b), find(one.c), find(one.answer)] for one in read_questions(folder / file)]
        covered = [one for one in asked if None not in one]
        found[file] = (float(np.mean(answered_correctly(words, covered, first=first))), len(covered))  # type: ignore[arg-type]
    return found


def told(scores: list[dict[str, tuple[float, int]]], file: str) -> str:
    values = [one[file][0] for one in scores]
    return f"{mean(values):.3f} ± {stdev(values) if len(values) > 1 else 0:.3f}"


def bench(language: str, work: Path, *, seeds: int, epochs: int, programs: Path | None) -> None:
    corpus(language, work / "corpus")
    short = run(work, language, seed=1, epochs=1)
    stages, scores, seconds = {}, [], []
    for seed in range(1, seeds + 1):
        stages = run(work, language, seed=seed, epochs=epochs)
        scores.append(quality(load(stages["pretrain"] / "model"), stages, language))
        seconds.append(journal(stages["pretrain"])["cpu_seconds"])
    counted, measured = counts(stages["count"]), journal(stages["count"])
    a_pass = (mean(seconds) - journal(short["pretrain"])["cpu_seconds"]) / (epochs - 1)
    folder = work / "published"
    folder.mkdir(exist_ok=True)
    text, listed = lines_of(stages, folder)
    tokens, cells = counted["tokens"], counted["cells"]
    rows: list[list[Any]] = [
        ["count, the whole stage", tokens / measured["cpu_seconds"] / 1e6, "-"],
        ["count, a dictionary in Python", by_dictionary(text) / 1e6, "-"],
        ["training, a pass", "-", cells / a_pass / 1e6],
        ["training, the whole stage", "-", epochs * cells / mean(seconds) / 1e6],
    ]
    theirs: list[dict[str, tuple[float, int]]] = []
    if programs:
        counting, training, vectors = published(programs, text, listed, folder, seeds=seeds, epochs=epochs)
        rows.append(["published: cooccur", tokens / counting / 1e6, "-"])
        rows.append(["published: glove", "-", epochs * cells / training / 1e6])
        theirs = [quality(model_of(path, stages), stages, language) for path in vectors]
    title = f"{language}: {tokens:,} tokens, {counted['vocabulary']:,} words, {cells:,} cells; count peaks at "
    title += f"{measured['peak_bytes'] / 2**20:,.0f} MiB; millions per CPU-second"
    table(title, ["", "tokens", "cells"], rows)
    files = [PAIRS[language], *QUESTIONS[language]]
    found = [
        [file, scores[0][file][1], told(scores, file), *([told(theirs, file)] if theirs else [])] for file in files
    ]
    table(f"Quality, {seeds} seeds", ["file", "covered", "ours", *(["published"] if theirs else [])], found)


def memory(language: str, work: Path, *, times: int) -> None:
    """Peak of the stage `count` on a few documents, on the corpus, and on many times as much text."""
    rows, few = [], 100_000
    for name, copies, most in (("100 kB", 1, few), ("the corpus", 1, None), (f"{times} ×", times, None)):
        folder = work / f"memory-{name[0]}-{copies}"
        corpus(language, folder / "corpus", times=copies, most=most)
        counting = run(folder, language, to="count")["count"]
        found = counts(counting)
        rows.append(
            [name, found["tokens"], found["vocabulary"], found["cells"], journal(counting)["peak_bytes"] / 2**20]
        )
    table(f"{language}: memory of counting", ["", "tokens", "words", "cells", "peak MiB"], rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--languages", nargs="+", default=["en", "zh"], choices=["en", "zh"])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--epochs", type=int, default=15, help="two or more")
    options.add_argument("--programs", type=Path)
    options.add_argument("--times", type=int, default=0)
    options.add_argument("--work", type=Path)
    chosen = options.parse_args()
    work = chosen.work or Path(tempfile.mkdtemp())
    if not chosen.programs:
        print("the published C programs are not named (--programs): left out")
    for language in chosen.languages:
        bench(language, work / language, seeds=chosen.seeds, epochs=chosen.epochs, programs=chosen.programs)
        if chosen.times:
            memory(language, work / language, times=chosen.times)


if __name__ == "__main__":
    main()

"""Does a language model learn faster from embeddings that were learned first? The same LSTM and GPT, with and without.

    python tests/benchmarks/bench_init_embeddings.py [--tokens 400000] [--seeds 3] [--languages en zh]
        [--families lstm gpt] [--workdir DIR]

For English and Chinese: skip-gram vectors of words from the same corpus, then each model from three seeds, drawn at
random and begun from the vectors (`pretrain.init_embeddings`), as users run them (`bloomery run`, one worker). Prints
the held-out loss after a quarter, a half and all of the tokens, mean ± standard error over the seeds, and what the
vectors cost. About 25 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml
from measured import DATA, measure, table

from pipeline.core.files import read_json

TOY = "--tokens 8192 --seeds 1 --languages en --families lstm"  # the arguments with which the tests run this file

WIDTH, LENGTH, BATCH_TOKENS = 128, 128, 2048
MODELS = {
    "lstm": {"family": "lstm", "layers": 1, "width": WIDTH, "hidden": WIDTH, "tied": True, "dropout": 0.1},
    "gpt": {"family": "gpt", "shape": "llama", "layers": 3, "heads": 4, "width": WIDTH},
}
MOMENTS = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Trial:
    """One run of a language model."""

    language: str
    family: str
    seed: int
    begun: bool

    @property
    def name(self) -> str:
        return f"{self.language}-{self.family}-{self.seed}-{'vectors' if self.begun else 'random'}"


def common(language: str, workdir: Path) -> dict[str, object]:
    source = {
        "reader": "jsonl",
        "name": language,
        "paths": f"{DATA}/corpora/{language}/*.jsonl.gz",
        "language": language,
    }
    return {
        "workdir": str(workdir / language),
        "ingest": {"sources": [source]},
        "clean": {"cleaners": ["unicode"], "filters": [{"length": {"min_units": 10}}]},
        "dedupe": {},
        "cluster": {"workers": 1, "beam": {"workers": 2}},
    }


def vectors(language: str, workdir: Path) -> dict[str, object]:
    """Skip-gram over the words of the same documents."""
    return {
        **common(language, workdir), "name": f"{language}-vectors",
        "tokenizer": {"kind": "word", "vocabulary": 60000}, "pack": {"length": 512, "validation": 0.02},
        "pretrain": {"model": {"family": "word2vec", "width": WIDTH}, "epochs": 5, "batch_tokens": 65536},
    }  # fmt: skip


def language_model(trial: Trial, workdir: Path, tokens: int, artifact: Path | None) -> dict[str, object]:
    pretrain: dict[str, object] = {
        "model": MODELS[trial.family], "steps": tokens // BATCH_TOKENS, "batch_tokens": BATCH_TOKENS,
        "optimizer": {"name": "adamw", "lr": 3e-3}, "schedule": {"name": "wsd", "decay": 0.5},
        "validate_every": 0.25, "validate_tokens": 32768,
    }  # fmt: skip
    if artifact:
        pretrain["init_embeddings"] = {"artifact": str(artifact), "least_coverage": 0.3}
    return {
        **common(trial.language, workdir), "name": trial.name, "seed": trial.seed,
        "tokenizer": {"kind": "bpe", "vocabulary": 4096}, "pack": {"length": LENGTH, "validation": 0.02},
        "pretrain": pretrain,
    }  # fmt: skip


def run(config: dict[str, object], folder: Path) -> None:
    path = folder / f"{config['name']}.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    command = [sys.executable, "-m", "cluster.cli", "run", str(path)]
    measure(command)


def made(workdir: Path, name: str) -> Path:
    """The model artifact of a run, by its plan."""
    run_folder = max((workdir / "runs").glob(f"*-{name}"))  # named by time; a second start finds all done
    plan = read_json(run_folder / "plan.json")
    stages = plan if isinstance(plan, list) else plan["stages"]
    fingerprint = next(one["fingerprint"] for one in stages if one["stage"] == "pretrain")
    return workdir / "store" / "pretrain" / str(fingerprint)


def held_out(artifact: Path) -> list[float]:
    curve = pq.read_table(artifact / "curve.parquet").to_pydict()
    taken = {step: loss for step, loss in zip(curve["step"], curve["validation_loss"], strict=True) if loss is not None}
    last = max(taken)
    return [taken[min(taken, key=lambda step: abs(step - moment * last))] for moment in MOMENTS]


def costs(learned: dict[str, Path], trials: list[Trial], workdir: Path) -> Iterator[str]:
    """What the vectors took to train, and what a language model did."""
    for language, artifact in learned.items():
        yield f"{language} vectors {cpu_seconds(artifact):.0f}"
        for family in sorted({trial.family for trial in trials}):
            of = [made(workdir / language, t.name) for t in trials if (t.language, t.family) == (language, family)]
            yield f"{family} {np.median([cpu_seconds(one) for one in of]):.0f}"


def cpu_seconds(artifact: Path) -> float:
    lines = [json.loads(line) for line in (artifact / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    return float(next(line["cpu_seconds"] for line in reversed(lines) if "cpu_seconds" in line))


def rows(losses: dict[Trial, list[float]], languages: list[str], families: list[str]) -> Iterator[list[str]]:
    for language, family in itertools.product(languages, families):
        of = {trial: values for trial, values in losses.items() if (trial.language, trial.family) == (language, family)}
        found = {begun: np.array([values for t, values in of.items() if t.begun == begun]) for begun in (False, True)}
        gain = found[False] - found[True]
        for name, values in (("at random", found[False]), ("from vectors", found[True]), ("gain", gain)):
            error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.zeros(len(MOMENTS))
            cells = [
                f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in zip(values.mean(axis=0), error, strict=True)
            ]
            yield [language, family, name, *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=400_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--languages", nargs="+", default=["en", "zh"], choices=["en", "zh"])
    parser.add_argument("--families", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--workdir", type=Path)
    asked = parser.parse_args()
    if not (DATA / "corpora").is_dir():
        sys.exit(f"{DATA}/corpora is not here: set BLOOMERY_DATA")
    workdir = asked.workdir or Path(tempfile.mkdtemp(prefix="init-embeddings-"))
    workdir.mkdir(parents=True, exist_ok=True)
    languages = asked.languages
    for language in languages:
        run(vectors(language, workdir), workdir)
    learned = {language: made(workdir / language, f"{language}-vectors") for language in languages}
    trials = [
        Trial(*one) for one in itertools.product(languages, asked.families, range(1, asked.seeds + 1), (False, True))
    ]

    def work(language: str) -> None:  # a work directory holds one run at a time; the two languages go side by side
        for trial in (one for one in trials if one.language == language):
            artifact = learned[language] if trial.begun else None
            run(language_model(trial, workdir, asked.tokens, artifact), workdir)

    with ThreadPoolExecutor(len(languages)) as pool:
        list(pool.map(work, languages))
    losses = {trial: held_out(made(workdir / trial.language, trial.name)) for trial in trials}
    heads = [f"loss after {int(moment * asked.tokens):,} tokens" for moment in MOMENTS]
    title = f"held-out loss in nats a token, mean ± standard error over {asked.seeds} seeds"
    table(title, ["language", "model", "embedding", *heads], list(rows(losses, languages, asked.families)))
    print("CPU-seconds of pretrain, median:", ", ".join(costs(learned, trials, workdir)))


if __name__ == "__main__":
    main()

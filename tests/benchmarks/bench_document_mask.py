"""What masking the documents of a row from each other costs and gains (`pretrain.document_mask`).

    python tests/benchmarks/bench_document_mask.py [--tokens 800000] [--seeds 2] [--languages en zh] [--length 512]
        [--rounds 5] [--workdir DIR]

The same GPT on the same rows with and without the mask, from each seed, as users run it (`bloomery run`, one worker):
English documentation of the installed packages, and the Chinese of corpora/zh. Prints the held-out loss after all of
the tokens, each model reading as it was trained; then tokens a CPU-second of the trainer's step, in turn, on real rows
of several lengths. About 20 CPU-minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import yaml
from measured import DATA, measure, table
from trainer_step import CPU, Step, speeds, trainer_step

from pipeline.core.files import read_json
from training import objectives
from training.engines import device
from training.models.base import build
from training.section import Pretrain
from training.trainer.packed_rows import PackedRows, open_rows

TOY = (
    "--tokens 4096 --seeds 1 --languages zh --length 64 --rounds 1"  # the arguments with which the tests run this file
)

MODEL = {"family": "gpt", "layers": 4, "heads": 4, "width": 128}
BATCH_TOKENS, VOCABULARY = 8192, 4096
PACKAGES = ["sympy", "networkx", "pandas", "numpy"]


def pinned(packages: Sequence[str]) -> list[str]:
    return [f"{package}=={version(package)}" for package in packages]


def source(language: str) -> dict[str, object]:
    if language == "en":
        packages = pinned(PACKAGES)
        return {"reader": "python_docs", "packages": packages, "bytes": 40_000_000, "name": "en", "language": "en"}
    return {"reader": "jsonl", "name": language, "paths": f"{DATA}/corpora/{language}/*.jsonl.gz", "language": language}


def run(language: str, length: int, tokens: int, seed: int, workdir: Path) -> None:
    """Both models of a seed; the data stages are shared by all seeds."""
    pretrain = {
        "model": MODEL, "steps": max(1, tokens // BATCH_TOKENS), "batch_tokens": BATCH_TOKENS,
        "optimizer": {"name": "adamw", "lr": 3e-3}, "schedule": {"name": "wsd", "decay": 0.5},
        "validate_every": 1.0, "validate_tokens": 131_072,
    }  # fmt: skip
    config = {
        "name": f"{language}-{length}-{seed}", "workdir": str(workdir / language), "seed": seed,
        "ingest": {"sources": [source(language)]}, "clean": {"cleaners": ["unicode"]}, "dedupe": {},
        "tokenizer": {"kind": "bpe", "vocabulary": VOCABULARY}, "pack": {"length": length, "validation": 0.05},
        "pretrain": [{"name": "plain", **pretrain}, {"name": "masked", **pretrain, "document_mask": True}],
        "cluster": {"workers": 1, "beam": {"workers": 2}},
    }  # fmt: skip
    path = workdir / f"{config['name']}.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    measure([sys.executable, "-m", "cluster.cli", "run", path])


def artifacts(workdir: Path, language: str, name: str) -> dict[str, Path]:
    """The artifacts of a run: by entry for models, by stage for others."""
    plan = read_json(max((workdir / language / "runs").glob(f"*-{name}")) / "plan.json")
    stages = plan if isinstance(plan, list) else plan["stages"]
    store = workdir / language / "store"
    return {stage.get("name") or stage["stage"]: store / stage["stage"] / stage["fingerprint"] for stage in stages}


def held_out_loss(artifact: Path) -> float:
    losses = pq.read_table(artifact / "curve.parquet")["validation_loss"].to_pylist()
    return float(losses[-1])


def losses(asked: argparse.Namespace, workdir: Path) -> list[list[object]]:
    rows: list[list[object]] = []
    for language in asked.languages:
        pairs = []
        for seed in range(1, asked.seeds + 1):
            run(language, asked.length, asked.tokens, seed, workdir)
            made = artifacts(workdir, language, f"{language}-{asked.length}-{seed}")
            pairs.append([held_out_loss(made[name]) for name in ("plain", "masked")])
        plain, masked = np.array(pairs).T
        gains = ", ".join(f"{gain:+.3f}" for gain in plain - masked)
        rows.append([language, f"{plain.mean():.3f}", f"{masked.mean():.3f}", gains])
    return rows


def step_of(rows: PackedRows, length: int, *, masked: bool) -> Step:
    torch.manual_seed(0)
    options = {key: value for key, value in MODEL.items() if key != "family"}
    model = build("gpt", {**options, "width": 256}, vocabulary=VOCABULARY, context=length)
    section = Pretrain.model_validate(
        {"steps": 1000, "batch_tokens": BATCH_TOKENS, "optimizer": "adamw", "document_mask": masked}
    )
    objective = objectives.OBJECTIVES.create(section.objective, None)
    return trainer_step(section, model, objective, rows, device.precision("auto", CPU))


def costs(asked: argparse.Namespace, workdir: Path) -> list[list[object]]:
    """Tokens a CPU-second with and without the mask, at the length of the runs and at four times that."""
    printed: list[list[object]] = []
    for language in asked.languages:
        made = artifacts(workdir, language, f"{language}-{asked.length}-1")
        files = sorted((made["pack"] / "train").glob("*.parquet"))
        rows = open_rows(files, length=asked.length, name="train", scratch=workdir / language, documents=True)
        assert rows.begins is not None
        for times in (1, 4):
            length = asked.length * times
            whole = len(rows) // times * times
            longer = PackedRows(
                np.asarray(rows.tokens[:whole]).reshape(-1, length), np.full(whole // times, length, np.int32),
                np.asarray(rows.begins[:whole]).reshape(-1, length // 8),
            )  # fmt: skip
            each = np.unpackbits(longer.begins, axis=1).sum() / len(longer) if longer.begins is not None else 0.0
            steps = {name: step_of(longer, length, masked=name == "masked") for name in ("plain", "masked")}
            measured = speeds(steps, tokens=BATCH_TOKENS, rounds=asked.rounds, steps_a_round=1)
            ratios = sorted(m / p for m, p in zip(measured["masked"], measured["plain"], strict=True))
            medians = [f"{np.median(measured[name]):,.0f}" for name in ("plain", "masked")]
            spread = f"{ratios[0]:.2f}–{ratios[-1]:.2f}"
            printed.append([language, length, f"{each:.1f}", *medians, float(np.median(ratios)), spread])
    return printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=800_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--languages", nargs="+", default=["en", "zh"], choices=["en", "zh"])
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workdir", type=Path)
    asked = parser.parse_args()
    if not (DATA / "corpora").is_dir():
        sys.exit(f"{DATA}/corpora is not here: set BLOOMERY_DATA")
    workdir = asked.workdir or Path(tempfile.mkdtemp(prefix="document-mask-"))
    workdir.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    title = (
        f"held-out loss in nats a token, {asked.tokens:,} tokens in rows of {asked.length}, mean of {asked.seeds} seeds"
    )
    header = ["language", "rows read whole", "documents masked", "gain by seed"]
    table(title, header, losses(asked, workdir))
    header = ["language", "row", "documents a row", "whole, tokens/CPU-s", "masked", "ratio", "of rounds"]
    table("a training step, 4 layers of width 256", header, costs(asked, workdir))


if __name__ == "__main__":
    main()

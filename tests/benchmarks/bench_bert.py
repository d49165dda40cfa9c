"""Masked tokens trained a CPU-second: our trainer's step beside a bare PyTorch loop of transformers' BertForMaskedLM.

    python tests/benchmarks/bench_bert.py [--rounds 5] [--steps 3] [--width 256] [--characters 600000]

The bare loop hides tokens as transformers' collator does (single tokens, 80/10/10), takes bf16 by autocast, the fused
attention, the library's own loss, clipping and fused AdamW. Ours is the trainer's own step (trainer_step.py), and hides
whole words of English and Chinese (jieba). One thread. Reads BLOOMERY_DATA. About four minutes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from measured import DATA, table
from numpy.typing import NDArray
from torch import Tensor
from trainer_step import CPU, Step, compared, speeds, trainer_step
from transformers import BertConfig, BertForMaskedLM

from pipeline.core.files import JsonObject
from pipeline.tokenizers.base import TokenizerOptions as Specials
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import load
from training.engines import device
from training.keyed_rng import keys
from training.models.base import build
from training.objectives import special_tokens
from training.objectives.masked import Masked
from training.objectives.section import Masked as Options
from training.section import Precision, Pretrain

TOY = "--rounds 1 --steps 1 --width 32 --characters 100000"  # the arguments with which the tests run this file

VOCABULARY, LENGTH, BATCH_ROWS = 8192, 128, 32
MARKS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
FILES = ("en/gutenberg.jsonl.gz", "zh/zhwiki.jsonl.gz", "zh/laws.jsonl.gz")

Ids = NDArray[np.int64]


def texts(characters: int) -> Iterator[str]:
    """So many characters of each corpus."""
    for name in FILES:
        left = characters
        with gzip.open(DATA / "corpora" / name, "rt", encoding="utf-8") as lines:
            while left > 0 and (line := next(lines, None)):
                record = json.loads(line)
                text = str(record.get("text") or record.get("content"))[: min(left, 20_000)]
                left -= len(text)
                yield text


def prepared(folder: Path, characters: int) -> tuple[Path, Ids]:
    """A tokenizer with the special tokens, and packed rows of both languages."""
    path = folder / "tokenizer.json"
    path.write_text(BytePair(Specials(specials=MARKS)).train(texts(characters), VOCABULARY), encoding="utf-8")
    reference = load(path)
    stream = [
        token for text in texts(characters // 5) for token in (*reference.encode_text(text), reference.end_of_text)
    ]
    rows = np.array(stream[: len(stream) // LENGTH * LENGTH], np.int64).reshape(-1, LENGTH)
    return path, np.random.default_rng(1).permutation(rows)


def ours(tokenizer: Path, rows: Ids, precision: Precision, *, vocabulary: int, dropout: float, width: int) -> Step:
    """A step of the trainer, in one process."""
    section = Pretrain.model_validate(
        {
            "model": {"family": "bert", "layers": 4, "heads": 4, "width": width, "dropout": dropout}, "steps": 1000,
            "batch_tokens": BATCH_ROWS * LENGTH, "precision": precision, "optimizer": {"adamw": {"lr": 1e-3}},
        }
    )  # fmt: skip
    objective = Masked(Options.model_validate({}), tokenizer)
    model = build("bert", section.model.options, vocabulary=vocabulary, context=LENGTH + objective.extra_tokens)
    return trainer_step(section, model, objective, rows, precision)


def bare(tokenizer: Path, rows: Ids, precision: Precision, *, vocabulary: int, dropout: float, width: int) -> Step:
    """A step as one writes it with the library's class."""
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=4,
        num_attention_heads=4, intermediate_size=4 * width, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout, max_position_embeddings=LENGTH + 2,
    )  # fmt: skip
    model, own = BertForMaskedLM(config).train(), special_tokens.read(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    special = torch.from_numpy(own.special)

    def step(number: int) -> float:
        first = number * BATCH_ROWS % (len(rows) - BATCH_ROWS)
        some = torch.from_numpy(rows[first : first + BATCH_ROWS])
        start, end = (torch.full((BATCH_ROWS, 1), token) for token in (own.start, own.end))
        inputs, labels = hidden(torch.cat([start, some, end], 1), special, mask=own.mask, vocabulary=vocabulary)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model(input_ids=inputs, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def hidden(tokens: Tensor, special: Tensor, *, mask: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Inputs and labels by the collator's recipe: 15 % of the tokens, 80 % of them masked, 10 % any other."""
    labels, inputs = tokens.clone(), tokens.clone()
    chances = torch.full(labels.shape, 0.15).masked_fill_(torch.isin(labels, special), 0.0)
    chosen = torch.bernoulli(chances).bool()
    labels[~chosen] = -100
    masked = torch.bernoulli(torch.full(labels.shape, 0.8)).bool() & chosen
    inputs[masked] = mask
    other = torch.bernoulli(torch.full(labels.shape, 0.5)).bool() & chosen & ~masked
    inputs[other] = torch.randint(vocabulary, labels.shape)[other]
    return inputs, labels


def row_of(
    precision: Precision, tokenizer: Path, rows: Ids, dropout: float, chosen: argparse.Namespace
) -> list[object]:
    """A row of the table."""
    torch.manual_seed(0)
    given: JsonObject = {"vocabulary": load(tokenizer).vocabulary, "dropout": dropout, "width": chosen.width}
    steps = {"bare": bare(tokenizer, rows, precision, **given), "ours": ours(tokenizer, rows, precision, **given)}
    measured = speeds(steps, tokens=BATCH_ROWS * LENGTH, rounds=chosen.rounds, steps_a_round=chosen.steps)
    return [f"{precision}, dropout {dropout}", *compared(measured, "ours")]


def read_speeds(tokenizer: Path, rows: Ids) -> list[list[object]]:
    """Tokens a CPU-second that the objective makes ready, by what it hides."""
    printed: list[list[object]] = []
    for unit in ("token", "word", "span"):
        objective = Masked(Options.model_validate({"unit": unit}), tokenizer)
        full = np.full(BATCH_ROWS, LENGTH)
        batches = [rows[at : at + BATCH_ROWS] for at in range(0, len(rows) - BATCH_ROWS, BATCH_ROWS)]
        objective.batch(batches[0], full, keys(0, 0, np.arange(BATCH_ROWS)))
        start = time.process_time()
        for number, some in enumerate(batches):
            objective.batch(some, full, keys(0, number, np.arange(BATCH_ROWS)))
        printed.append([unit, f"{len(batches) * some.size / (time.process_time() - start):,.0f}"])
    return printed


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=3, help="of each side in a round")
    options.add_argument("--width", type=int, default=256)
    options.add_argument("--characters", type=int, default=600_000, help="of each corpus, for the tokenizer")
    chosen = options.parse_args()
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer, rows = prepared(Path(folder), chosen.characters)
        fast = device.precision("auto", CPU)
        kinds: list[Precision] = [fast] if fast == "fp32" else [fast, "fp32"]
        printed = [row_of(kind, tokenizer, rows, dropout, chosen) for kind in kinds for dropout in (0.1, 0.0)]
        title = f"Masked training, tokens a CPU-second, one thread, {BATCH_ROWS} rows of {LENGTH} tokens a step"
        table(title, ["setting", "BertForMaskedLM", "ours", "ratio", "of rounds"], printed)
        table("Tokens a CPU-second made ready", ["unit", "tokens"], read_speeds(tokenizer, rows))


if __name__ == "__main__":
    main()

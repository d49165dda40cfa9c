"""A finished run, made up: artifacts as the stages write them, in English and Chinese, of every kind a report reads."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.run import Run
from pipeline.core.draft import LocalDraft
from pipeline.core.files import canonical_json, write_json
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.records import DOCUMENTS, DUPLICATES, QUARANTINE, REJECTED
from pipeline.core.shards import FileEntry, ShardWriter, entry_of, number
from pipeline.core.store import Store

ENGLISH = "The bloomery turns ore into a bloom of iron, which the smith then works on the anvil until it holds. "
CHINESE = "块炼炉把铁矿石炼成一团海绵铁，铁匠再在铁砧上反复锻打，直到它结实为止。"
FLOW = ("ingest", "signals", "clean", "dedupe", "tokenizer", "pack", "pretrain", "evaluate", "export")
KINDS = ("documents",) * 4 + ("tokenizer", "tokens", "model", "scores", "files")
CONFIG = (
    "name: demo\nworkdir: work\nseed: 17\n"
    "ingest:\n  sources:\n  - {name: <b>书</b>, licence: 'CC BY-SA 4.0'}\n  - {name: web}\n"
    "clean:\n  filters: [length, quality]\n"
)


def text(number: int) -> str:
    return (ENGLISH if number % 3 else CHINESE) * (3 + number % 5)


def identity(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def documents(numbers: Iterable[int]) -> pa.Table:
    rows = [
        {"id": identity(n), "source_id": f"doc-{n}", "text": text(n), "source": "web", "url": None,
         "language": "en" if n % 3 else "zh", "metadata": []} for n in numbers
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, DOCUMENTS)


def rejected() -> pa.Table:
    rules = (
        ("repetition.duplicate_lines", 0.62, 0.3),
        ("length.min_units", 12.0, 50.0),
        ("quality.mean_word", 11.4, 10.0),
    )
    texts = ("<script>alert('下载')</script> buy now buy now\n" * 4, "太短。", "Pneumonoultramicroscopic " * 8)
    rows = [
        {"id": identity(1000 + n), "source_id": f"doc-{1000 + n}", "stage": "clean", "rule": rules[n % 3][0],
         "value": rules[n % 3][1] + n / 500, "threshold": rules[n % 3][2], "text": texts[n % 3]} for n in range(90)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, REJECTED)


def duplicates() -> pa.Table:
    rows = [
        {"id": identity(200 + n), "source_id": f"doc-{200 + n}", "kept_id": identity(n), "kept_source_id": f"doc-{n}",
         "method": "minhash" if n % 4 else "exact", "similarity": 0.71 + n / 200} for n in range(40)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, DUPLICATES)


def quarantined() -> pa.Table:
    rows = [
        {"file": "zh/0.jsonl.gz", "position": 71 + n, "reason": "invalid_json" if n % 2 else "empty_text",
         "detail": "column 17: no end of a string", "raw": '{"text": "没有结尾'.encode()} for n in range(7)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, QUARANTINE)


def curve(steps: int = 320) -> pa.Table:
    rows = []
    for step in range(1, steps + 1):
        noise = 0.12 * math.sin(step * 12.9898) * math.cos(step * 78.233)
        loss = 4.1 + 4.9 * math.exp(-step / 38) + noise
        rows.append({
            "step": step, "loss": loss, "learning_rate": 0.02 * min(step / 7, 1, 2 * (1 - step / (steps + 1))),
            "gradient_norm": 0.8 + 3 * math.exp(-step / 20) + abs(noise), "rows": 16,
            "validation_loss": 4.25 + 4.7 * math.exp(-step / 38) if step % 32 == 0 else None,
        })  # fmt: skip
    return pa.Table.from_pylist(rows)


SCORES = [
    {"task": "perplexity", "metric": metric, "value": value, "interval": interval, "items": 150, "language": language}
    for metric, value, interval, language in (
        ("loss", 4.418, [4.37, 4.47], None), ("perplexity", 82.9, [79.0, 87.1], None),
        ("bits_per_byte", 1.852, [1.83, 1.87], None), ("xz_bits_per_byte", 2.26, None, None),
        ("bits_per_byte", 1.71, [1.69, 1.74], "en"), ("bits_per_byte", 2.31, [2.24, 2.38], "zh"),
    )
]  # fmt: skip
SAMPLES = [
    {"prompt": "Returns the", "text": " number of rows that <b>were</b> kept & counted.\n\n    >>> kept(3)\n    3",
     "language": "en", "seed": 17, "temperature": 0.8},
    {"prompt": "今天天气", "text": "很好，铁匠把炉子点着了，孩子们都跑来看。", "language": "zh", "seed": 17,
     "temperature": 0.8},
]  # fmt: skip
NEIGHBOURS = [
    {
        "word": "铁匠",
        "language": "zh",
        "neighbours": [{"word": "炉子", "cosine": 0.8123}, {"word": "<b>", "cosine": 0.5}],
    },
    {"word": "bloomery", "language": None, "neighbours": None},
]
GAPS = [
    {
        "text": "铁匠把[MASK]点着了",
        "language": "zh",
        "answer": "炉子",
        "candidates": [[{"text": "灯火", "probability": 0.4321}, {"text": "<i>", "probability": 0.25}]],
    },
    {"text": "a [MASK]", "language": None, "answer": None, "candidates": [[{"text": "letter", "probability": 0.5}]]},
]
LANGUAGES = {
    "en": {"documents": 400, "bytes": 1_600_000, "tokens": 381_000, "bytes_per_token": 4.2,
           "corpus": {"documents": 4021, "bytes": 18_200_000}},
    "zh": {"documents": 200, "bytes": 700_000, "tokens": 233_000, "bytes_per_token": 3.0,
           "corpus": {"documents": 1909, "bytes": 7_100_000}},
}  # fmt: skip
SAMPLE = {"documents": 600, "bytes": 2_300_000, "tokens": 614_000, "bytes_per_token": 3.75}
STATS = {"vocabulary": 8192, "sample": SAMPLE,
         "languages": LANGUAGES, "bytes_per_token": {"all": 3.75, "en": 4.2, "zh": 3.0}}  # fmt: skip
SPLITS = {
    split: {"documents": d, "tokens": t, "bytes": 4 * t, "rows": t // 256, "languages": {
        "en": {"documents": d // 2, "tokens": 2 * t // 3, "bytes": 3 * t},
        "zh": {"documents": d // 2, "tokens": t // 3, "bytes": t}}}
    for split, d, t in (("train", 5780, 6_620_000), ("validation", 150, 141_000))
}  # fmt: skip
# of 30.6 s; publishing is the supervisor's
GOODPUT = {"start_up": 4.0, "data_wait": 0.3, "compute": 20.4, "validation": 1.3, "checkpoint": 0.8, "restart": 3.1,
           "ending": 0.4}  # fmt: skip
RAW = [{"source": "web", "name": f"{language}/{n}.jsonl.gz", "bytes": 2_400_000 - n * 997, "sha256": identity(n) * 2,
        "records": 925 - n, "quarantined": n % 2} for language in ("en", "zh") for n in range(4)]  # fmt: skip


def by_source(documents: int, tokens: int | None = None) -> dict[str, Any]:
    """Counts of documents in two sources and two languages; characters are a byte in English, three in Chinese."""

    def measures(number: int, bytes_each: int) -> dict[str, int]:
        sizes = {"documents": number, "bytes": bytes_each * number * 1000, "characters": number * 1000}
        return sizes if tokens is None else {**sizes, "tokens": tokens * number // documents}

    english, chinese = documents // 2, documents // 4
    return {
        "web": {
            "languages": {"en": measures(english, 1), "zh": measures(chinese, 3)},
            "licences": {"CC0-1.0": chinese},
        },
        "<b>书</b>": {"languages": {"zh": measures(documents - english - chinese, 3)}, "licences": {}},
    }


RECORDS = {
    "web": {"records": 5552, "quarantined": {"invalid_json": 3, "empty_text": 4}, "skipped": {}},
    "<b>书</b>": {"records": 1849, "quarantined": {}, "skipped": {}},
}
COUNTS: dict[str, dict[str, Any]] = {
    "ingest": {"records_by_source": RECORDS, "sources": by_source(7394),
               "in": 7401, "out": 7394, "dropped": {}, "quarantined": 7,
               "reasons": {"invalid_json": 3, "empty_text": 4},
               "raw_files": 8, "raw_bytes": 19_200_000, "text_bytes": 33_000_000},
    "signals": {"in": 7394, "out": 7394, "dropped": {}, "sources": by_source(7394), "retagged": {"en → zh": 12},
                "changed": {"unicode": 1203}, "text_bytes_in": 33_000_000, "text_bytes": 32_000_000,
                "pii": {"email": {"en": 30, "zh": 12}, "cn_id": {"zh": 5}}, "languages": {"en": 3697, "zh": 3697}},
    "clean": {"sources": by_source(6501),
              "in": 7394, "out": 6501, "dropped": {"repetition.duplicate_lines": 571, "length.min_units": 210,
                                                   "quality.mean_word": 112}},
    "dedupe": {"sources": by_source(5930), "in": 6501, "out": 5930, "dropped": {"exact": 140, "minhash": 431}},
    "tokenizer": {"in": 5930, "out": 5930, "dropped": {}, "sampled": 600},
    "pack": {"in": 5930, "out": 5930, "dropped": {}, "tokens": 6_761_000, "splits": SPLITS,
             "sources": by_source(5930, 6_761_000)},
    "pretrain": {"steps": 320, "tokens": 1_310_720, "parameters": 5_300_000},
    "evaluate": {"documents": 150, "samples": 2}, "export": {"formats": 1},
}  # fmt: skip


def tables(folder: Path, **kinds: pa.Table) -> list[FileEntry]:
    found = []
    for kind, table in kinds.items():
        with ShardWriter(folder, kind, "a", table.schema) as shard:
            shard.write(table)
        found += number(LocalDraft(folder), [shard.entry] if shard.entry else [])
    return found


def jsons(folder: Path, **values: Any) -> list[FileEntry]:
    for name, value in values.items():
        write_json(folder / f"{name}.json", value)
    return [entry_of(folder, f"{name}.json") for name in values]


def files_of(stage: str, folder: Path) -> list[FileEntry]:
    if stage == "ingest":
        return [*tables(folder, parts=documents(range(300)), quarantine=quarantined()), *jsons(folder, raw=RAW)]
    if stage in ("signals", "clean", "dedupe"):
        extra = {"clean": {"rejected": rejected()}, "dedupe": {"duplicates": duplicates()}}.get(stage, {})
        return tables(folder, parts=documents(range(300 if stage != "dedupe" else 200)), **extra)
    if stage == "pretrain":
        (entry,) = tables(folder, curve=curve())
        (folder / entry.path).rename(folder / "curve.parquet")
        return [entry_of(folder, "curve.parquet")]
    named: dict[str, dict[str, Any]] = {
        "tokenizer": {"stats": STATS}, "pack": {"splits": SPLITS}, 
        "evaluate": {"scores": SCORES, "samples": SAMPLES, "neighbours": NEIGHBOURS, "fill": GAPS},
    }  # fmt: skip
    return jsons(folder, **named.get(stage, {"config": {}}))


def publish(workdir: Path, stage: str, kind: str, inputs: dict[str, str]) -> dict[str, Any]:
    fingerprint = hashlib.sha256(canonical_json([stage, inputs])).hexdigest()
    folder = workdir / "store" / stage / fingerprint
    folder.mkdir(parents=True)
    files = tuple(files_of(stage, folder))
    numerics = {"device": "cpu amx_bf16", "workers": 2, "precision": "bf16"} if stage == "pretrain" else None
    manifest = Manifest(
        stage,
        1,
        fingerprint,
        kind,
        {},
        inputs,
        files,
        COUNTS[stage],
        digest_of(files),
        content_digest_of(files),
        numerics,
    )
    write_json(folder / "manifest.json", manifest.to_dict())
    cost = 1 + len(stage) * 3.7
    measured = {"seconds": cost, "cpu_seconds": cost * 1.6, "peak_bytes": cost * 1e7, "publish_seconds": 0.2}
    noted = {"goodput": GOODPUT} if stage == "pretrain" else {}
    lines = [{"started": 1.0, **noted}, {"event": "measured", "attempt": 1, **measured}]
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"stage": stage, "fingerprint": fingerprint, "inputs": inputs, "why": "nothing yet", "state": "run",
            "version": 1,
            "makes": kind, "params": {}}  # fmt: skip


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[..., tuple[Run, Store]]:
    """made_up("ingest", …) → a run whose artifacts are published up to those stages (all of them without a name)."""

    def make(*stages: str, ended: str = "finished", error: str = "") -> tuple[Run, Store]:
        workdir, chosen, plan, inputs = tmp_path / "work", stages or FLOW, [], {}
        for stage, kind in zip(FLOW, KINDS, strict=True):
            if stage in chosen:
                plan.append(publish(workdir, stage, kind, dict(inputs)))
                documents = {"dedupe": inputs["dedupe"]} if stage == "tokenizer" and "dedupe" in inputs else {}
                inputs = {**documents, stage: plan[-1]["fingerprint"]}
        run = Run(workdir / "runs" / "20261124-083300-demo")
        run.metrics.mkdir(parents=True)
        write_json(run.path / "plan.json", plan)
        (run.path / "config.yaml").write_text(CONFIG, encoding="utf-8")
        run.event(
            "started", pid=1, born=0, command="bloomery run demo.yaml", versions={"python": "3.11.7"}, stages=list(FLOW)
        )
        for one in plan:
            run.event("stage_done", stage=one["stage"])
        run.event(ended, stage="pretrain", error=error)
        return run, Store(workdir)

    return make

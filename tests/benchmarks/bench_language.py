"""Language identification: accuracy on sentences, on their beginnings and on whole documents; code apart; speed.

    python tests/benchmarks/bench_language.py [--rounds 3] [--files 60]

Prints the figures of pipeline/text/README.md. About a minute.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sysconfig
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from measured import DATA, table

from pipeline.kernels import column
from pipeline.stages.identification import identify
from pipeline.text.language_model import identify_text

TOY = "--rounds 1 --files 2"  # the arguments with which the tests run this file

# labels of the data → tags of ours; others have the two-letter code of `TWO`
TWO_LETTERS = """
    afr:af arb:ar bak:ba bel:be ben:bn bod:bo ces:cs ckb:ckb cym:cy dan:da deu:de div:dv ell:el eng:en
    fao:fo fra:fr heb:he hin:hi hun:hu hye:hy ibo:ig ind:id isl:is ita:it jpn:ja kan:kn kaz:kk khm:km
    kin:rw kor:ko lao:lo ltz:lb nld:nl pan:pa pol:pl por:pt pus:ps pbt:ps rus:ru sin:si slk:sk smo:sm
    spa:es srp:sr swa:sw swe:sv tha:th tir:ti tsn:tn tuk:tk tur:tr ukr:uk uzb:uz ven:ve vie:vi
"""
TWO = dict(pair.split(":") for pair in TWO_LETTERS.split())
SAME = {"zho": {"zh", "zh-Hant"}, "zh": {"zh"}, "zh-Hant": {"zh-Hant"}, "nob": {"no", "nb"}, "nno": {"nn", "no"}}
HELD_OUT = ("go", "pl", "pm", "vim", "sql", "tcl", "php", "awk", "rb", "el", "java", "rs", "lua")
USED = ("py", "pyi", "pyx", "pxd", "h", "hpp", "c", "cpp", "cu", "cuh", "js", "proto", "f90", "cmake")


def lines_of(path: Path) -> Iterator[bytes]:
    if path.exists():
        with gzip.open(path, "rb") as stream:
            yield from stream


def records_of(path: Path) -> Iterator[dict[str, Any]]:
    return map(json.loads, lines_of(path))


def is_right(language: str | None, label: str) -> bool:
    primary = label.split("-")[0]
    return language in SAME.get(label, SAME.get(primary, {label, TWO.get(primary, primary)}))


def languages_of(texts: list[str]) -> list[str | None]:
    return identify(pa.array(texts, pa.large_string()), [None] * len(texts), every=True).languages


def sentences() -> None:
    """Accuracy by language: whole sentences and their first 50 characters, and Chinese in its kinds."""
    rows = list(records_of(DATA / "eval" / "language-id.jsonl.gz"))
    if not rows:
        return
    totals, chinese = [], []
    for name, cut in (("whole", None), ("first 50 characters", 50)):
        answers = languages_of([row["text"][:cut] for row in rows])
        right = Counter(row["lang"] for row, answer in zip(rows, answers, strict=True) if is_right(answer, row["lang"]))
        number = Counter(row["lang"] for row in rows)
        weak = [f"{label} {right[label]}" for label in sorted(number) if right[label] < 36]
        totals.append([name, len(rows), len(number), f"{sum(right.values()) / len(rows):.3f}", ", ".join(weak)])
        for label in ("zho-CN", "zho-TW", "yue", "jpn", "kor"):
            seen = Counter(answer for row, answer in zip(rows, answers, strict=True) if row["lang"] == label)
            chinese.append([f"{label}, {name}", *(seen[tag] for tag in ("zh", "zh-Hant", "yue", "ja", "ko"))])
    table("Sentences", ["text", "sentences", "languages", "right", "under 36 of 40"], totals)
    table("Chinese, Japanese, Korean", ["truth", "zh", "zh-Hant", "yue", "ja", "ko"], chinese)


def documents() -> Iterator[tuple[str, str, str]]:
    """Label, source and text of each document of raw-mixed whose text is as published."""
    truth = {(row["shard"], row["line"]): row for row in records_of(DATA / "raw-mixed.truth" / "docs.jsonl.gz")}
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        for number, line in enumerate(lines_of(path), 1):
            row = truth.get((path.name, number))
            if row is not None and row["quality"] == "good":
                yield row["lang"], row["source"], json.loads(line)["text"]


def whole_documents() -> None:
    """Whole documents of raw-mixed, as if none had a tag."""
    rows = list(documents())
    answers = languages_of([text for _, _, text in rows])
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for (label, source, _), answer in zip(rows, answers, strict=True):
        kind = label if label in ("en", "zh", "zh-Hant", "code") else "19 others"
        for name in (kind, f"{kind}: {source}") if kind in ("en", "zh") else (kind,):
            groups[name]["right" if is_right(answer, label) else str(answer)] += 1
    found = []
    for name, counts in sorted(groups.items()):
        wrong = ", ".join(f"{tag} {n}" for tag, n in counts.most_common() if tag != "right")
        found.append([name, counts.total(), 100 * counts["right"] / counts.total(), wrong])
    table("Documents of raw-mixed, untagged", ["truth", "documents", "right %", "answers that are wrong"], found)


def code(most: int) -> None:
    """Files of installed packages and of this machine, by their extension: the share that is called code."""
    folders = [Path(sysconfig.get_paths()["purelib"]), Path("/usr/share"), Path("/usr/lib")]
    found: dict[str, list[Path]] = defaultdict(list)
    for folder in folders:
        for path in folder.rglob("*.*") if folder.exists() else ():
            if path.suffix[1:] in (*USED, *HELD_OUT) and not path.is_symlink():
                found[path.suffix[1:]].append(path)
    draw, rows = random.Random(17), []
    for extension in (*USED, *HELD_OUT):
        paths = sorted(found[extension])
        texts = [text for path in draw.sample(paths, min(most, len(paths))) if (text := _read(path))]
        if texts:
            share = 100 * float(np.mean([answer == "code" for answer in languages_of(texts)]))
            rows.append([extension, "used" if extension in USED else "held out", len(texts), share])
    table("Code of installed packages", ["extension", "for the rule", "files", "called code %"], rows)


def _read(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return text[:100_000] if len(text) >= 200 else None


def speed(rounds: int) -> None:
    """MB per CPU-second: identification of untagged text, all signals, and the model alone on whole texts."""
    rows = []
    mixed = [text for _, _, text in documents()]
    for name in ("en", "zh", "mixed"):
        texts = mixed if name == "mixed" else [
            record["text"] for path in sorted((DATA / "corpora" / name).glob("*.gz")) for record in records_of(path)
        ]  # fmt: skip
        if not texts:
            continue
        text = pa.array(texts, pa.large_string())
        size = text.nbytes / 1e6
        unknown = [None] * len(text)
        examined = identify(text, unknown, every=False).examined
        rows.append([
            f"{name} ({size:.0f} MB)",
            *(size / _seconds(work, rounds) for work in (
                lambda text=text, tags=unknown: identify(text, tags, every=False),
                lambda text=text: column.measure(text, ["en"] * len(text)),
                lambda texts=texts: [identify_text(item.encode()) for item in texts],
            )),
            100 * float(examined.mean()),
        ])  # fmt: skip
    header = ["text", "identify, untagged", "all signals", "the model on every document", "documents it sees %"]
    table("MB of text per CPU-second, one thread", header, rows)


def _seconds(work: Any, rounds: int) -> float:
    work()
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--files", type=int, default=60, help="of code, of each extension")
    chosen = options.parse_args()
    sentences()
    whole_documents()
    code(chosen.files)
    speed(chosen.rounds)


if __name__ == "__main__":
    main()

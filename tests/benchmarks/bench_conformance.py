"""Published filters beside datatrove: the same decisions on the same English documents, and the speed of the chain.

    python tests/benchmarks/bench_conformance.py [--mb 14] [--peer PYTHON]

PYTHON has datatrove; this file installs nothing:
    python -m venv peers && peers/bin/pip install "datatrove[io,processing]==0.10.1" spacy==3.8.18 jieba
Without it, our side alone is printed. One thread on each side, CPU-seconds; compiling and loading are left out on both.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from measured import DATA, table

from pipeline.filters import FILTERS
from pipeline.filters.base import Filter, build_filter, measure_all
from pipeline.filters.rules import KEPT, apply_rules
from pipeline.filters.section import Clean
from pipeline.kernels import column

TOY = "--mb 0.2"  # the arguments with which the tests run this file
PEER_FILTERS = Path(__file__).with_name("peer_datatrove_filters.py")
NAMES = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
CHINESE: list[Any] = list(Clean.model_validate({"filters": "chinese-web"}).filters)


def documents_of(language: str, megabytes: float) -> list[str]:
    """Documents of raw-mixed that are tagged with the language, without those that hold another script: some tags are
    wrong on purpose, and no English rule of ours judges Chinese."""
    texts, size = [], 0
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        with gzip.open(path) as stream:
            for line in stream:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # raw-mixed holds broken lines on purpose
                if isinstance(record, dict) and record.get("lang") == language and isinstance(record.get("text"), str):
                    text = record["text"].encode("utf-8", "replace").decode()
                    size += len(text.encode())
                    if size > megabytes * 1e6:
                        return in_script(texts, language)
                    texts.append(text)
    return in_script(texts, language)


def in_script(texts: list[str], language: str) -> list[str]:
    """The texts in the script of English or of Chinese."""
    scripts = column.languages(pa.array(texts, pa.large_string())).to_pylist()
    return [text for text, script in zip(texts, scripts, strict=True) if (script == "zh") == (language == "zh")]


def ours(texts: list[str], filters: list[Filter], language: str) -> tuple[dict[str, list[str | None]], float, float]:
    """Decisions of each filter, CPU-seconds of signals and rules, and of the signals that are always measured."""
    text = pa.array(texts, pa.large_string())
    documents = pa.table(
        {"id": [""] * len(texts), "text": pa.chunked_array([text]), "language": [language] * len(texts)}
    )
    measure_all(filters, documents.slice(0, 2))  # compiles
    column.measure(text.slice(0, 2), [language] * 2)
    started = time.process_time()
    base = column.measure(text, [language] * len(texts))
    always = time.process_time() - started
    signals = {**base, **measure_all(filters, documents)}
    decisions: dict[str, list[str | None]] = {}
    for built in filters:
        rules = built.rules()
        first = apply_rules(rules, signals, [language] * len(texts)).first.tolist()
        decisions[built.name] = [None if at == KEPT else rules[at].name for at in first]
    return decisions, time.process_time() - started, always


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mb", type=float, default=14, help="of each language")
    options.add_argument("--peer", type=Path, help="a Python that has datatrove")
    chosen = options.parse_args()
    exact = Clean.model_validate({"filters": [{name: {"reading": "datatrove"}} for name in NAMES]}).filters
    rows: list[list[object]] = []
    english = documents_of("en", chosen.mb)
    decisions, seconds, always = ours(english, [build_filter(FILTERS, c.name, c.options) for c in exact], "en")
    size = sum(len(text.encode()) for text in english) / 1e6
    peer = peer_result(chosen.peer, english)
    if peer:
        chain = peer["seconds"]["chain"]
        rows.append(["datatrove, four filters, English", size, chain, size / chain, 1.0])
    else:
        print("datatrove is left out: name a Python that has it with --peer (the docstring says how to make one)")
    ratio: object = peer["seconds"]["chain"] / seconds if peer else "-"
    rows.append(["ours, the same filters, English", size, seconds, size / seconds, ratio])
    rows.append(["· signals that are always measured", size, always, size / always, ""])
    chinese = documents_of("zh", chosen.mb)
    _, zh_seconds, zh_always = ours(chinese, [build_filter(FILTERS, c.name, c.options) for c in CHINESE], "zh")
    zh_size = sum(len(text.encode()) for text in chinese) / 1e6
    rows.append(["ours, chinese-web, Chinese", zh_size, zh_seconds, zh_size / zh_seconds, ""])
    rows.append(["· signals that are always measured", zh_size, zh_always, zh_size / zh_always, ""])
    table("Filter chain, one thread", ["", "MB", "CPU-s", "MB per CPU-s", "ratio"], rows)
    if peer:
        compare(decisions, peer["decisions"])


def peer_result(python: Path | None, texts: list[str]) -> dict[str, Any] | None:
    """What the peer decides; None without it."""
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "texts.json", Path(folder) / "out.json"
        source.write_text(json.dumps(texts))
        subprocess.run([python, PEER_FILTERS, source, out], check=True)
        result: dict[str, Any] = json.loads(out.read_text())
        return result


def compare(own: dict[str, list[str | None]], peer: dict[str, list[str | None]]) -> None:
    """A row a filter: documents kept by each side, and how many are decided alike."""
    rows: list[list[object]] = []
    for name in NAMES:
        kept, peer_kept = (np.array([rule is None for rule in side[name]]) for side in (own, peer))
        same = int((kept == peer_kept).sum())
        rows.append([name, len(kept), int(kept.sum()), int(peer_kept.sum()), f"{100 * same / len(kept):.2f} %"])
    table("Decisions, reading datatrove", ["filter", "documents", "kept by us", "by datatrove", "equal"], rows)


if __name__ == "__main__":
    main()

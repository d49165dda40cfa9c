"""Peak memory of the data stages at 1 × and 8 × of a corpus: it must not grow with the corpus.

    python tests/benchmarks/bench_memory.py [--mb 64] [--times 8] [--work DIR]

A stage's peak less its imports is its peak less that of the same stage on a handful of documents.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from enlarge import enlarged, read, write
from measured import DATA, measure, table

TOY = "--mb 0.05 --times 2"  # the arguments with which the tests run this file

STAGES = ["ingest", "signals", "clean", "dedupe", "tokenizer", "pack"]
CONFIG = """\
name: bench
workdir: {work}
ingest: {{sources: [{{reader: jsonl, paths: "{corpus}/*.jsonl.gz"}}]}}
clean: {{}}
dedupe: {{}}
tokenizer: {{vocabulary: 8000}}
pack: {{length: 1024, validation: 0.05}}
cluster: {{launcher: local, beam: {{workers: 2}}}}
"""


def peaks(corpus: Path, work: Path) -> dict[str, float]:
    """MiB at the peak of every stage, the largest single process."""
    path = work.with_suffix(".yaml")
    path.write_text(CONFIG.format(work=work, corpus=corpus), encoding="utf-8")
    measure([sys.executable, "-m", "cluster.cli", "run", path, "--to", "pack"])
    found = {}
    for manifest in work.glob("store/*/*/manifest.json"):
        lines = [json.loads(line) for line in (manifest.parent / "journal.jsonl").read_text().splitlines()]
        found[manifest.parts[-3]] = max(line.get("peak_bytes", 0) for line in lines) / 2**20
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mb", type=float, default=64)
    options.add_argument("--times", type=int, default=8)
    options.add_argument("--work", type=Path)
    chosen = options.parse_args()
    work = chosen.work or Path(tempfile.mkdtemp())
    records = [
        {"id": str(number), "text": record["text"], "lang": language}
        for language in ("en", "zh")
        for number, record in enumerate(read(f"corpora/{language}/*.gz", DATA))
    ]
    copies = max(1, round(chosen.mb * 1e6 / sum(len(record["text"].encode()) for record in records)))
    small = write(enlarged(records[:200] + records[-200:], 1), work / "few")
    once = write(enlarged(records, copies), work / "once")
    many = write(enlarged(records, copies * chosen.times), work / "many")
    base, one, all_ = (peaks(work / name, work / f"run-{name}") for name in ("few", "once", "many"))
    rows = []
    for stage in STAGES:
        net_one, net_all = one[stage] - base[stage], all_[stage] - base[stage]
        rows.append([stage, base[stage], one[stage], all_[stage], net_one, net_all, net_all / max(net_one, 1.0)])
    header = [
        "stage",
        f"{small / 1e6:.0f} MB",
        f"{once / 1e6:.0f} MB",
        f"{many / 1e6:.0f} MB",
        "1 × net",
        "n × net",
        "ratio",
    ]
    table("Peak memory, MiB (net: less imports)", header, rows)


if __name__ == "__main__":
    main()

"""Writes the text from which pipeline/filters/bounds.json is derived, and the configuration that measures it.

    python tests/benchmarks/bounds_corpus.py FOLDER
    bloomery run FOLDER/bounds.yaml
    bloomery signals --workdir FOLDER/work --fit --json > pipeline/filters/bounds.json

The text: the distinct good documents of raw-mixed and the clean corpora, a source each, without tags.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml
from measured import DATA


def published() -> dict[str, list[str]]:
    """The texts by source: those of the mixed corpus, then those of the corpora that it was mixed from."""
    texts: dict[str, dict[str, None]] = defaultdict(dict)
    with gzip.open(DATA / "raw-mixed.truth" / "docs.jsonl.gz", "rt", encoding="utf-8") as stream:
        truth: dict[Any, Any] = {(row["shard"], row["line"]): row for row in map(json.loads, stream)}
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        with gzip.open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                row = truth.get((path.name, number))
                if row is not None and row["quality"] == "good":
                    texts[row["source"]][json.loads(line)["text"]] = None
    for path in sorted((DATA / "corpora").glob("??/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for record in map(json.loads, stream):
                texts[path.name.split(".")[0]][record["text"]] = None
    return {source: list(unique) for source, unique in sorted(texts.items())}


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for source, texts in published().items():
        path = folder / f"{source}.jsonl"
        path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
        sources.append({"reader": "jsonl", "name": source, "paths": str(path)})
    config = {
        "name": "bounds",
        "workdir": str(folder / "work"),
        "seed": 17,
        "ingest": {"sources": sources},
        "clean": {},
    }
    (folder / "bounds.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    print(f"{folder}/bounds.yaml")


if __name__ == "__main__":
    main()

"""Dedupe on raw-mixed: recall and precision against its table of near pairs, by language, and MB per CPU-second.

    python tests/benchmarks/bench_dedupe.py

A pair counts when both came in; it is found when not both stay. A removal is right when the pair of the document that
goes and the one that stays for it has a true Jaccard index of 0.6 or more (threshold 0.7 less 0.1).
"""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from enlarge import read
from measured import DATA, table

from pipeline.core.artifact import Artifact
from pipeline.core.draft import LocalDraft
from pipeline.core.files import JsonObject
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, StageOutput
from pipeline.core.manifest import Manifest
from pipeline.core.places import JobPaths
from pipeline.core.records import DOCUMENTS
from pipeline.core.shards import FileEntry, ShardWriter, number
from pipeline.dedupe.section import Dedupe
from pipeline.stages import dedupe

TOY = ""  # the arguments with which the tests run this file

TRUTH = DATA / "raw-mixed.truth"
BINS = ((0.9, "≥ .9"), (0.8, ".8–.9"), (0.7, ".7–.8"), (0.6, ".6–.7"))


def documents(folder: Path) -> Artifact:
    """A documents artifact of raw-mixed, a file a shard."""
    entries: list[FileEntry] = []
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        records = [record for record in read(path.name, path.parent) if record["text"] and "id" in record]
        rows = [{"id": str(r["id"]), "source_id": str(r["id"]), "text": r["text"]} for r in records]
        with ShardWriter(folder, "parts", path.name, DOCUMENTS) as shard:
            for first in range(0, len(rows), 1_000):
                shard.write(pa.Table.from_pylist(rows[first : first + 1_000], schema=DOCUMENTS))
        assert shard.entry is not None
        entries.append(shard.entry)
    return artifact(folder, StageOutput(number(LocalDraft(folder), entries), {}))


def artifact(folder: Path, outcome: StageOutput) -> Artifact:
    return Artifact(folder, Manifest("bench", 1, "", "documents", {}, {}, tuple(outcome.files), {}, "", ""))


def rows_of(found: Artifact, folder: str, columns: list[str]) -> Iterator[JsonObject]:
    for path in found.files(folder):
        yield from pq.read_table(path, columns=columns).to_pylist()


def pairs() -> Iterator[tuple[str, str, float]]:
    with (TRUTH / "near-pairs.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            yield row["id_a"], row["id_b"], float(row["jaccard"])


def languages() -> dict[str, str]:
    with gzip.open(TRUTH / "docs.jsonl.gz", "rt", encoding="utf-8") as stream:
        named = {record["id"]: record["lang"] for record in map(json.loads, stream)}
    return {name: "zh" if lang.startswith("zh") else lang if lang == "en" else "other" for name, lang in named.items()}


def recall(entered: set[str], gone: dict[str, JsonObject]) -> None:
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    language = languages()
    for one, other, index in pairs():
        bin_ = next((name for least, name in BINS if index >= least), None)
        if bin_ and one in entered and other in entered:
            for group in ("all", language[one]):
                counts[group, bin_][0] += one in gone or other in gone
                counts[group, bin_][1] += 1
    rows = []
    for group in ("all", "en", "zh", "other"):
        totals = [counts[group, name] for _, name in BINS]
        rows.append([group, *(f"{hit}/{of} = {hit / of:.3f}" if of else "-" for hit, of in totals)])
    table("Recall: pairs of which not both stay, by true Jaccard index", ["language", *(n for _, n in BINS)], rows)


def precision(gone: dict[str, JsonObject]) -> None:
    true = {frozenset((one, other)): index for one, other, index in pairs()}
    known = languages()
    judged = {name: row for name, row in gone.items() if name in known}
    index = {name: true.get(frozenset((name, row["kept_source_id"])), 0.0) for name, row in judged.items()}
    right = sum(value >= 0.6 for value in index.values())
    off = sum(abs(row["similarity"] - index[name]) > 0.01 for name, row in judged.items())
    rows = [["removals", len(judged)], ["right", f"{right} = {right / max(1, len(judged)):.4f}"],
            ["of an index under .7 (chains)", sum(value < 0.7 for value in index.values())],
            ["similarity told wrong by more than .01", off]]  # fmt: skip
    table("Precision: what went, for whom", ["", "documents"], rows)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        inputs, section = documents(root / "documents"), Dedupe().model_dump()
        seconds = []
        for attempt in ("first", "second"):
            (root / attempt).mkdir()
            identity = Identity("dedupe", 1, "documents", "", "", section, 17)
            place = JobPaths(root / attempt, root, root, root / "log.txt")
            job = Job(identity, Inputs.of({"documents": inputs}), place)
            start = time.process_time()
            outcome = dedupe.run(job)
            seconds.append(time.process_time() - start)
        found = artifact(root / "second", outcome)
        columns = ["source_id", "kept_source_id", "similarity"]
        gone = {row["source_id"]: row for row in rows_of(found, "duplicates/", columns)}
        recall({row["source_id"] for row in rows_of(inputs, "parts/", ["source_id"])}, gone)
        precision(gone)
        size = outcome.counts["bytes_in"] / 1e6
        rows = [[f"raw-mixed, {size:.1f} MB", size / seconds[0], size / seconds[1]]]
        table("Dedupe as a stage, one worker, MB per CPU-second", ["corpus", "kernels loaded", "again"], rows)


if __name__ == "__main__":
    main()

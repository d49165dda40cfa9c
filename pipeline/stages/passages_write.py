"""The last steps of passages: what is left of each document, what was removed, and a few samples with what stays."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.beam.task import Task
from pipeline.core.job import Job
from pipeline.core.records import DOCUMENTS, REJECTED
from pipeline.core.shards import EntryFields, ShardWriter
from pipeline.dedupe.corpus import CorpusIndex, read_rows
from pipeline.kernels.column import buffers
from pipeline.passages.base import mix
from pipeline.passages.batch import DocumentBatch
from pipeline.passages.records import RecordArray
from pipeline.passages.removals import REMOVED, removed_rows
from pipeline.stages.dedupe_inputs import listed_documents
from pipeline.stages.passages_inputs import RangePartition, section_of
from pipeline.stages.passages_remove import Edited, Remover

SAMPLES = 8  # of each finder
QUOTED, CONTEXT = 300, 80  # characters of a sample, and before and after it
ORDER = np.uint64(0x9E3779B97F4A7C15)
SAMPLED = pa.schema(
    [
        ("finder", pa.string()), ("copies", pa.int64()),
        *((f"{side}{name}", pa.string()) for side in ("", "kept_")
          for name in ("id", "source_id", "before", "text", "after")),
    ]
)  # fmt: skip


class RemovalSample(TypedDict):
    """A removal that the report shows. `order`: a hash; samples are those with the smallest."""

    order: int
    finder: str
    document: int
    start: int
    end: int
    kept: int
    kept_start: int
    copies: int


class SampleList(TypedDict):
    """The payload of the task that quotes samples."""

    samples: list[RemovalSample]


class QuotedSamples(TypedDict):
    """Its result: the file, if there are samples."""

    entries: list[EntryFields]


class WrittenRange(TypedDict):
    """The result of a file range. `removed`: by finder, passages, documents and characters; `sources`: by finder and
    source, passages; `rows`: documents kept and dropped; `text_bytes`: before and after."""

    entries: list[EntryFields]
    rows: list[int]
    text_bytes: list[int]
    changed: int
    removed: dict[str, dict[str, int]]
    sources: dict[str, dict[str, int]]
    samples: list[RemovalSample]


def write(job: Job, task: Task[RangePartition]) -> WrittenRange:
    """A file range → its documents without repeated passages, those left too short, and what was removed."""
    corpus, files, remover = CorpusIndex.load(job.draft), listed_documents(job), Remover(job, task)
    counter = _RangeCounter([component.name for component in section_of(job).finders], remover)
    for file in corpus.files_of(task.payload["partition"]):
        with (
            ShardWriter(job.folder, "parts", f"{file:06d}", DOCUMENTS) as parts,
            ShardWriter(job.folder, "rejected", f"{file:06d}", REJECTED) as rejected,
            ShardWriter(job.folder, "removed", f"{file:06d}", REMOVED) as removed,
        ):
            for documents, table in read_rows(job.inputs.local(files[file]), int(corpus.starts[file])):
                kept, dropped, rows = [], [], [REMOVED.empty_table()]
                for first_row, batch in remover.batches(table, int(documents[0])):
                    edited = remover.edit(first_row, batch)
                    kept.append(edited.kept)
                    dropped.append(edited.rejected)
                    rows += counter.add(first_row, batch, edited)
                parts.write(pa.concat_tables(kept))
                rejected.write(pa.concat_tables(dropped), dropped_from=table)
                removed.write(pa.concat_tables(rows))
        counter.result["rows"][0] += parts.rows
        counter.result["rows"][1] += rejected.rows
        counter.result["entries"] += [shard.entry.to_dict() for shard in (parts, rejected, removed) if shard.entry]
    return counter.result


class _RangeCounter:
    """Adds up the counts of a file range, and writes the rows of removed/."""

    def __init__(self, names: list[str], remover: Remover) -> None:
        self.names, self.remover = names, remover
        self.result: WrittenRange = {
            "entries": [], "rows": [0, 0], "text_bytes": [0, 0], "changed": 0,
            "removed": {name: {"passages": 0, "documents": 0, "characters": 0} for name in names},
            "sources": {name: {} for name in names}, "samples": [],
        }  # fmt: skip

    def add(self, first_row: int, batch: DocumentBatch, edited: Edited) -> list[pa.Table]:
        """Count a batch. Returns the rows of removed/, a table for each finder that removed anything."""
        for side, table in enumerate((batch.table, edited.kept)):
            _, offsets = buffers(table["text"])
            self.result["text_bytes"][side] += int(offsets[-1] - offsets[0])
        self.result["changed"] += edited.changed
        tables = []
        for name, removals in zip(self.names, edited.removals, strict=True):
            if len(removals):
                rows = removed_rows(batch, removals, first_row, name, self.remover.names)
                self._count(name, removals, rows)
                tables.append(rows)
        return tables

    def _count(self, name: str, removals: RecordArray, rows: pa.Table) -> None:
        of_finder = self.result["removed"][name]
        of_finder["passages"] += len(removals)
        of_finder["documents"] += len(np.unique(removals["document"]))
        of_finder["characters"] += pc.sum(pc.subtract(rows["end"], rows["start"])).as_py()
        sources = Counter(self.result["sources"][name])
        sources.update({row["values"] or "": row["counts"] for row in rows["source"].value_counts().to_pylist()})
        self.result["sources"][name] = dict(sources)
        with np.errstate(over="ignore"):
            order = mix(removals["document"] * ORDER + removals["start"])
        smallest = np.argsort(order, kind="stable")[:SAMPLES]
        samples = [
            RemovalSample(
                order=int(order[row]), finder=name,
                document=int(removals["document"][row]), start=int(removals["start"][row]),
                end=int(removals["end"][row]), kept=int(removals["kept"][row]),
                kept_start=int(removals["kept_start"][row]), copies=int(removals["copies"][row]),
            )
            for row in smallest
        ]  # fmt: skip
        self.result["samples"] = smallest_samples([*self.result["samples"], *samples])


def smallest_samples(samples: list[RemovalSample]) -> list[RemovalSample]:
    """SAMPLES of each finder, the same ones whatever the order."""
    by_finder: dict[str, list[RemovalSample]] = {}
    for sample in sorted(samples, key=lambda sample: (sample["order"], sample["document"], sample["start"])):
        of_finder = by_finder.setdefault(sample["finder"], [])
        if len(of_finder) < SAMPLES:
            of_finder.append(sample)
    return [sample for name in sorted(by_finder) for sample in by_finder[name]]


def quote_samples(job: Job, task: Task[SampleList]) -> QuotedSamples:
    """Each sample as it stood in its document, and the copy that stays in its own, with what is around them."""
    corpus = CorpusIndex.load(job.draft)
    rows = []
    for sample in task.payload["samples"]:
        document = _document(job, corpus, sample["document"])
        kept = _document(job, corpus, sample["kept"])
        row = {"finder": sample["finder"], "copies": sample["copies"]}
        length = len(document["text"][sample["start"] : sample["end"]].decode())
        row |= _quoted(document, sample["start"], length, "")
        rows.append(row | _quoted(kept, sample["kept_start"], length, "kept_"))
    with ShardWriter(job.folder, "samples", task.key, SAMPLED) as shard:
        shard.write(pa.Table.from_pylist(rows, schema=SAMPLED))
    return {"entries": [shard.entry.to_dict()] if shard.entry else []}


def _document(job: Job, corpus: CorpusIndex, row: int) -> dict[str, bytes]:
    """The ids and the text of a document, as bytes; reads one row group."""
    file = int(np.searchsorted(corpus.starts, np.uint64(row), side="right")) - 1
    within = row - int(corpus.starts[file])
    with pq.ParquetFile(job.inputs.local(listed_documents(job)[file]), pre_buffer=False) as stored:
        group = 0
        while within >= stored.metadata.row_group(group).num_rows:
            within -= stored.metadata.row_group(group).num_rows
            group += 1
        table = stored.read_row_group(group, columns=["id", "source_id", "text"], use_threads=False)
    return {name: (table[name][within].as_py() or "").encode() for name in table.column_names}


def _quoted(document: dict[str, bytes], start: int, length: int, prefix: str) -> dict[str, str]:
    """A passage of so many characters from byte `start` on, and the characters around it."""
    before, rest = document["text"][:start].decode(), document["text"][start:].decode()
    text, after = rest[:length], rest[length:]
    shown = text if len(text) <= QUOTED else text[:QUOTED].rstrip() + " …"
    values = {
        "id": document["id"].decode(), "source_id": document["source_id"].decode(), "before": before[-CONTEXT:],
        "text": shown, "after": after[:CONTEXT],
    }  # fmt: skip
    return {f"{prefix}{name}": value for name, value in values.items()}

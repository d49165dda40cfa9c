"""decontaminate: removes what documents share with evaluation items; parts/ are the rest.

The driver builds an index of the items' n-grams; a task scans a file with it. contaminated/ has a row for every passage
that was found: document, task, item, text and what was done; rejected/ the documents that were dropped. With
`max_documents` a step before counts in how many documents each n-gram occurs. Cost: about 100 MB of text a CPU-second.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TypedDict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.arrays import load_array, save_arrays
from pipeline.core.counts import StageCounts, summed
from pipeline.core.draft import sharing
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, sha256_file
from pipeline.core.inputs import InputFile
from pipeline.core.job import Job, StageOutput
from pipeline.core.records import DOCUMENTS, REJECTED
from pipeline.core.shards import EntryFields, FileEntry, ShardWriter, batches, number
from pipeline.decontamination import index as item_index
from pipeline.decontamination.index import ItemIndex
from pipeline.decontamination.items import Item, ItemOptions, read_items
from pipeline.decontamination.matches import Passage, by_document, cut, passages, without
from pipeline.kernels.column import buffers
from pipeline.kernels.contamination import Sizes

COUNT, REMOVE, INDEX, IGNORED = "count", "remove", "index", "ignored"
QUOTED = 1000  # characters of a passage that are kept
CONTAMINATED = pa.schema(
    [
        ("id", pa.string()), ("source_id", pa.string()), ("language", pa.string()), ("task", pa.string()),
        ("item", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("ngrams", pa.int64()),
        ("action", pa.string()), ("text", pa.large_string()),
    ]
)  # fmt: skip


class DocumentsFile(TypedDict):
    """The payload of a task: a file of documents."""

    file: InputFile


class KeyCounts(TypedDict):
    """The n-grams that occur in a file, by the index of their key, and in how many documents each does."""

    keys: list[int]
    documents: list[int]


class ScannedFile(TypedDict):
    """The result of a task. `documents`: by task and by what was done; `items`: which items were found, by index."""

    files: list[EntryFields]
    rows: list[int]
    dropped: dict[str, int]
    documents: dict[str, dict[str, int]]
    languages: dict[str, dict[str, int]]
    items: list[int]
    text_bytes: list[int]


def run(job: Job) -> StageOutput:
    """Build the index, scan every file; the artifact is parts/, rejected/ and contaminated/."""
    with sharing(job.draft, job.folder, INDEX):
        totals = item_index.build(_items(job), sizes_of(job.params), job.folder)
    tasks = [
        Task(f"{n:06d}", file["bytes"], DocumentsFile(file=file))
        for n, file in enumerate(job.inputs.listed("documents", "parts/"))
    ]
    with sharing(job.draft, job.folder, IGNORED):
        save_arrays(job.folder / INDEX, IGNORED, keys=_frequent_keys(job, tasks))
    results = run_tasks(job, REMOVE, tasks, remove_from_file)
    entries = [FileEntry.from_dict(entry) for result in results for entry in result["files"]]
    return StageOutput(number(job.draft, entries), _counts(job, results, totals))


def sizes_of(params: JsonObject) -> Sizes:
    """The lengths of n-grams."""
    return Sizes(params["words"], params["characters"], params["min_words"], params["min_characters"])


def _items(job: Job) -> Iterator[Item]:
    """Every evaluation item, in the order of the files; a file that changed since the plan is an error."""
    for options, source in zip(job.params["tasks"], job.sources, strict=True):
        file = source["files"][0]
        if sha256_file(file["path"]) != options["sha256"]:
            raise StageFailed(f"decontaminate: {file['path']} changed after the run was planned. Run again.")
        yield from read_items(
            file["path"], ItemOptions(options["task"], options["format"], options["fields"], options["id"])
        )


def _frequent_keys(job: Job, tasks: list[Task[DocumentsFile]]) -> NDArray[np.int64]:
    """The n-grams that are in more than `max_documents` documents: phrases of the corpus, not of the items."""
    limit = job.params["max_documents"]
    if limit is None:
        return np.empty(0, np.int64)
    documents: Counter[int] = Counter()
    for result in run_tasks(job, COUNT, tasks, count_in_file):
        documents.update(dict(zip(result["keys"], result["documents"], strict=True)))
    return np.array(sorted(key for key, n in documents.items() if n > limit), np.int64)


def count_in_file(job: Job, task: Task[DocumentsFile]) -> KeyCounts:
    """One task: in how many documents of a file each n-gram of the index occurs."""
    index = item_index.load(job.draft)
    documents: Counter[int] = Counter()
    for table in batches(job.inputs.local(task.payload["file"]), ["text"]):
        hits = index.scan(table["text"].combine_chunks())
        pairs = np.unique(np.stack([hits.document, hits.key]), axis=1)
        documents.update(pairs[1].tolist())
    keys = sorted(documents)
    return {"keys": keys, "documents": [documents[key] for key in keys]}


def remove_from_file(job: Job, task: Task[DocumentsFile]) -> ScannedFile:
    """One task: scan a file and write what is left, what was dropped, and every passage."""
    index = item_index.load(job.draft)
    ignored = load_array(job.draft, f"{INDEX}/{IGNORED}", "keys")
    counter = _FileCounter(index)
    parts = ShardWriter(job.folder, "parts", task.key, DOCUMENTS)
    rejected = ShardWriter(job.folder, "rejected", task.key, REJECTED)
    contaminated = ShardWriter(job.folder, "contaminated", task.key, CONTAMINATED)
    with parts, rejected, contaminated:
        for table in batches(job.inputs.local(task.payload["file"])):
            hits = without(index.scan(table["text"].combine_chunks()), ignored)
            batch = _Batch(table, index, job.params)
            for document, of_document in by_document(hits):
                batch.judge(document, passages(table["text"][document].as_py(), of_document, index))
            kept = batch.kept()
            parts.write(kept)
            rejected.write(pa.Table.from_pylist(batch.rejected, schema=REJECTED), dropped_from=table)
            contaminated.write(pa.Table.from_pylist(batch.contaminated, schema=CONTAMINATED))
            counter.add(table, kept, batch)
    entries = [writer.entry.to_dict() for writer in (parts, rejected, contaminated) if writer.entry]
    return {"files": entries, "rows": [parts.rows, rejected.rows], **counter.counts()}  # type: ignore[typeddict-item]


class _Batch:
    """A row group: what happens to its documents."""

    def __init__(self, table: pa.Table, index: ItemIndex, params: JsonObject) -> None:
        self.table, self.index, self.params = table, index, params
        self.rejected: list[JsonObject] = []
        self.contaminated: list[JsonObject] = []
        self.documents: list[tuple[str, str, str]] = []  # task, what was done, language
        self.found_items: set[int] = set()
        self.changed: dict[int, str | None] = {}  # None: dropped

    def judge(self, document: int, found_passages: list[Passage]) -> None:
        """Decide what happens to a document with passages of items, and record it."""
        row = {name: self.table[name][document].as_py() for name in ("id", "source_id", "language", "text")}
        main = max(found_passages, key=lambda passage: (passage.ngrams, -passage.item))
        action = self._apply(document, row["text"], found_passages)
        tasks = {self.index.items[passage.item][0] for passage in found_passages}
        self.documents += [(task, action, row["language"] or "unknown") for task in sorted(tasks)]
        self.found_items.update(passage.item for passage in found_passages)
        for passage in found_passages:
            task, item = self.index.items[passage.item]
            self.contaminated.append({
                "id": row["id"], "source_id": row["source_id"], "language": row["language"], "task": task, "item": item,
                "start": passage.start, "end": passage.end, "ngrams": passage.ngrams, "action": action,
                "text": row["text"][passage.start : min(passage.end, passage.start + QUOTED)],
            })  # fmt: skip
        if action == "dropped":
            task, item = self.index.items[main.item]
            self.rejected.append({
                "id": row["id"], "source_id": row["source_id"], "stage": "decontaminate",
                "rule": f"decontaminate.{task}", "value": float(main.ngrams), "threshold": 0.0,
                "text": f"[{item}] {row['text'][main.start : min(main.end, main.start + QUOTED)]}",
            })  # fmt: skip

    def _apply(self, document: int, text: str, found_passages: list[Passage]) -> str:
        if self.params["action"] == "report":
            return "reported"
        pieces: list[str] = []
        if self.params["action"] == "cut":
            pieces = cut(text, found_passages, margin=self.params["margin"], min_piece=self.params["min_piece"])
        is_kept = 0 < len(pieces) <= self.params["max_pieces"]
        self.changed[document] = "\n\n".join(pieces) if is_kept else None
        return "cut" if is_kept else "dropped"

    def kept(self) -> pa.Table:
        """The documents that stay, with the text that is left of them."""
        if not self.changed:
            return self.table
        texts = self.table["text"].to_pylist()
        for document, text in self.changed.items():
            texts[document] = text
        column = pa.array(texts, pa.large_string())
        table = self.table.set_column(self.table.schema.get_field_index("text"), "text", column)
        return table.filter(column.is_valid())


class _FileCounter:
    """Adds up the counts of a task."""

    def __init__(self, index: ItemIndex) -> None:
        self.index = index
        self.dropped: Counter[str] = Counter()
        self.documents: dict[str, Counter[str]] = defaultdict(Counter)
        self.languages: dict[str, Counter[str]] = defaultdict(Counter)
        self.items: set[int] = set()
        self.text_bytes = [0, 0]

    def add(self, table: pa.Table, kept: pa.Table, batch: _Batch) -> None:
        self.dropped.update(row["rule"] for row in batch.rejected)
        for task, action, language in batch.documents:
            self.documents[task][action] += 1
            self.languages[task][language] += 1
        self.items |= batch.found_items
        for side, rows in enumerate((table, kept)):
            _, offsets = buffers(rows["text"])
            self.text_bytes[side] += int(offsets[-1] - offsets[0])

    def counts(self) -> JsonObject:
        return {
            "dropped": dict(self.dropped), "items": sorted(self.items), "text_bytes": self.text_bytes,
            "documents": {task: dict(counts) for task, counts in self.documents.items()},
            "languages": {task: dict(counts) for task, counts in self.languages.items()},
        }  # fmt: skip


def _counts(job: Job, results: list[ScannedFile], totals: JsonObject) -> StageCounts:
    """The sums over all tasks; `contamination` has a row for every evaluation task, also one that was not found."""
    kept, rejected = np.sum([[0, 0], *(result["rows"] for result in results)], axis=0).tolist()
    before, after = np.sum([[0, 0], *(result["text_bytes"] for result in results)], axis=0).tolist()
    dropped: Counter[str] = Counter()
    for result in results:
        dropped.update(result["dropped"])
    names = item_index.load(job.draft).items
    found_items = Counter(names[item][0] for item in {item for result in results for item in result["items"]})
    documents = summed(result["documents"] for result in results)
    contamination = {
        task: {**total, "items_found": found_items[task], **documents.get(task, {})} for task, total in totals.items()
    }
    return {
        "in": kept + rejected, "out": kept, "dropped": dict(sorted(dropped.items())), "contamination": contamination,
        "contaminated_languages": summed(result["languages"] for result in results),
        "text_bytes_in": before, "text_bytes": after,
    }  # fmt: skip

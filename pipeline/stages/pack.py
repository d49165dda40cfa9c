"""pack: documents and a tokenizer → rows of tokens, train/ and validation/.

Three steps over the documents' files, each as many tasks wide as Beam has workers: `survey` reads ids and languages and
settles who is held out; `encode` encodes every file once into flat token files; `rows` cuts each split's stream, files
laid end to end, into shards of a fixed number of rows. Tokens lie in document order whatever the number of workers.
Memory: a row group's text and tokens a worker, then a shard's tokens. About 30 MB of text a CPU-second (README).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.errors import StageFailed
from pipeline.core.files import write_json
from pipeline.core.records import tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, batches, entry_of, number
from pipeline.core.stage import Job, Outcome
from pipeline.tokenizers import draw
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.guard import Guarded, encoder
from pipeline.tokenizers.rows import occurrences, pieces, table, with_end_of_text
from pipeline.tokenizers.section import Pack
from pipeline.tokenizers.streams import Piece, StreamWriter, read
from pipeline.tokenizers.subword import load

SPLITS = ("train", "validation")
SHARD_TOKENS = 1 << 23
WRITE_TOKENS = 1 << 20
ENCODE_BYTES = 2 << 20
STREAMS = "streams"  # under the draft: gone at publication
UNKNOWN = "unknown"  # the language of a document without one, in counts

Cutoffs = Mapping[str, int]
Counts = dict[str, dict[str, int]]


def run(job: Job) -> Outcome:
    """Survey, encode, cut into rows; the counts say documents, tokens and rows by split and language."""
    tasks = _file_tasks(job)
    cutoffs = _cutoffs(run_tasks(job, "survey", tasks, survey), Pack.model_validate(job.params).validation)
    encoded, fallback = _encode(job, tasks, cutoffs)
    splits = _totals(job, encoded)
    _check(splits)
    entries = _rows(job, encoded, splits)
    write_json(job.folder / "splits.json", splits)
    counts = {
        "in": sum(result["documents"] for result in encoded),
        "out": sum(split["documents"] for split in splits.values()),
        "dropped": {},
        "tokens": sum(split["tokens"] for split in splits.values()),
        "splits": splits,
    }
    files = [*number(job.folder, entries), entry_of(job.folder, "splits.json")]
    return Outcome(files, counts, journal={"encoder": fallback or encoded[0].get("encoder", "gigatoken")})


def _file_tasks(job: Job) -> list[Task]:
    files = job.inputs["documents"].files("parts/")
    if not files:
        raise StageFailed("pack: no document came in: the stages before dropped everything. Look at their counts.")
    return [Task(f"{at:06d}", path.stat().st_size, {"path": str(path)}) for at, path in enumerate(files)]


def survey(job: Job, task: Task) -> dict[str, Any]:
    """The smallest number drawn in each language; reads the id and language columns alone."""
    least: dict[str, int] = {}
    for batch in batches(Path(task.payload["path"]), ["id", "language"]):
        drawn = draw.numbers(batch["id"].combine_chunks(), "validation")
        for language, chosen in _by_language(batch):
            least[language] = min(least.get(language, draw.SPAN), int(drawn[chosen].min()))
    return {"least": least}


def _by_language(batch: pa.Table) -> list[tuple[str, NDArray[np.int64]]]:
    """Languages in order of their names, each with the numbers of its rows."""
    column = batch["language"].combine_chunks().fill_null(UNKNOWN)
    languages = sorted(column.unique().to_pylist())
    return [(language, np.flatnonzero(pc.equal(column, language))) for language in languages]


def _cutoffs(surveys: Sequence[dict[str, Any]], share: float) -> dict[str, int]:
    """A language holds out every document drawn up to its cutoff: `share` of them, and the smallest in any case."""
    cutoffs: dict[str, int] = {}
    for result in surveys:
        for language, least in result["least"].items():
            cutoffs[language] = min(cutoffs.get(language, draw.SPAN), least)
    return {language: max(least, int(share * draw.SPAN)) for language, least in sorted(cutoffs.items())}


def _encode(job: Job, tasks: Sequence[Task], cutoffs: Cutoffs) -> tuple[list[dict[str, Any]], str | None]:
    """Encode every file; if the fast path was ever seen to differ, everything again by the reference."""
    with_cutoffs = [Task(task.key, task.size, {**task.payload, "cutoffs": cutoffs, "fast": True}) for task in tasks]
    results = run_tasks(job, "encode", with_cutoffs, encode)
    fallback = next((result["fallback"] for result in results if result["fallback"]), None)
    if fallback:
        job.progress.note("encode", f"encoding with `tokenizers`: {fallback}")
    if any(result["doubtful"] for result in results):
        again = [Task(task.key, task.size, {**task.payload, "fast": False}) for task in with_cutoffs]
        results = run_tasks(job, "encode-again", again, encode)
    return results, fallback


def encode(job: Job, task: Task) -> dict[str, Any]:
    """One file → a token stream for each split; counts by split and language."""
    pack = _packer(job, fast=task.payload["fast"])
    counts: dict[str, Counts] = {split: {} for split in SPLITS}
    documents = 0
    with ExitStack() as stack:
        streams = [stack.enter_context(StreamWriter(job.folder / STREAMS, f"{split}-{task.key}")) for split in SPLITS]
        for batch in _small_batches(Path(task.payload["path"])):
            encoded = pack.encode(batch["text"].combine_chunks())
            held, sizes = _held_out(batch, task.payload["cutoffs"]), np.diff(encoded.offsets)
            for split, stream, mask in zip(SPLITS, streams, (~held, held), strict=True):
                tokens = encoded.ids[np.repeat(mask, sizes)]
                stream.write(tokens, batch["id"].combine_chunks().filter(pa.array(mask)), sizes[mask])
                _count(counts[split], batch, mask, {"tokens": sizes, **pack.counted(encoded)})
            documents += len(batch)
    return {
        "documents": documents,
        "tokens": {split: stream.tokens for split, stream in zip(SPLITS, streams, strict=True)},
        "counts": counts,
        "fallback": pack.encoder.fallback if isinstance(pack.encoder, Guarded) else None,
        "doubtful": isinstance(pack.encoder, Guarded) and pack.encoder.doubtful,
        "encoder": pack.encoder.name if isinstance(pack.encoder, Guarded) else "tokenizers",
    }


def _small_batches(path: Path) -> Iterator[pa.Table]:
    """Row groups in stretches of some 2 MB of text: eight times that is in memory while it is encoded."""
    for batch in batches(path, ["id", "language", "text"]):
        size = np.cumsum(pc.binary_length(batch["text"]).to_numpy())
        cuts = np.flatnonzero(np.diff(size // ENCODE_BYTES, prepend=0))
        for first, last in itertools.pairwise(np.unique([0, *(cuts + 1), len(batch)]).tolist()):
            yield batch.slice(first, last - first)


@dataclass(frozen=True)
class _Packer:
    encoder: Encoder
    end_of_text: int
    vocabulary: int
    unknown: int | None = None
    sentence: int | None = None

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        return with_end_of_text(self.encoder.encode(column), self.end_of_text, self.dtype)

    def counted(self, encoded: Encoded) -> dict[str, NDArray[np.int64]]:
        """By name, how many of a document's tokens say more than text: nothing for a tokenizer without such tokens."""
        named = {"unknown": self.unknown, "sentences": self.sentence}
        return {name: occurrences(encoded, token) for name, token in named.items() if token is not None}

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if self.vocabulary <= 1 << 16 else np.uint32)


def _packer(job: Job, *, fast: bool) -> _Packer:
    return _packer_of(job.inputs["tokenizer"].path / "tokenizer.json", fast, get_ident())


@lru_cache(maxsize=64)
def _packer_of(path: Path, fast: bool, thread: int) -> _Packer:
    """One encoder a thread, kept from file to file: its word cache makes the second file faster than the first."""
    guarded = encoder(path.read_text(encoding="utf-8")) if fast else None
    reference = load(path) if guarded is None else guarded.reference
    chosen = reference if guarded is None else guarded
    return _Packer(chosen, reference.end_of_text, reference.vocabulary, reference.unknown, reference.sentence)


def _held_out(batch: pa.Table, cutoffs: Cutoffs) -> NDArray[np.bool_]:
    """Which documents of a batch are for validation."""
    column = batch["language"].combine_chunks().fill_null(UNKNOWN)
    of_language = pc.index_in(column, pa.array(list(cutoffs))).to_numpy(zero_copy_only=False)
    limits = np.fromiter(cutoffs.values(), np.int64, len(cutoffs))[of_language]
    held: NDArray[np.bool_] = draw.numbers(batch["id"].combine_chunks(), "validation") <= limits
    return held


def _count(counts: Counts, batch: pa.Table, mask: NDArray[np.bool_], named: dict[str, NDArray[np.int64]]) -> None:
    named = {**named, "bytes": pc.binary_length(batch["text"].combine_chunks()).to_numpy()}
    for language, rows in _by_language(batch):
        chosen = rows[mask[rows]]
        if len(chosen):
            one = counts.setdefault(language, {"documents": 0, **dict.fromkeys(named, 0)})
            one["documents"] += len(chosen)
            for name, values in named.items():
                one[name] += int(values[chosen].sum())


def _totals(job: Job, encoded: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Documents, tokens and bytes of text by split and language, rows by split: what splits.json says."""
    length = Pack.model_validate(job.params).length
    splits: dict[str, Any] = {}
    for split in SPLITS:
        languages: Counts = {}
        for result in encoded:
            for language, one in result["counts"][split].items():
                held = languages.setdefault(language, dict.fromkeys(one, 0))
                for name, value in one.items():
                    held[name] += value
        names = next(iter(languages.values()), ("documents", "tokens", "bytes"))
        sums = {name: sum(one[name] for one in languages.values()) for name in names}
        splits[split] = {**sums, "rows": -(-sums["tokens"] // length), "languages": dict(sorted(languages.items()))}
    return splits


def _check(splits: dict[str, Any]) -> None:
    documents = sum(split["documents"] for split in splits.values())
    for split in SPLITS:
        if not splits[split]["documents"]:
            raise StageFailed(
                f"pack: {split} is empty: {documents:,} documents came in, and each language holds one out at least. "
                "Add documents, or drop fewer of them."
            )


def _rows(job: Job, encoded: Sequence[dict[str, Any]], splits: dict[str, Any]) -> list[FileEntry]:
    """Cut each split's stream into shards of a fixed number of rows."""
    length = Pack.model_validate(job.params).length
    step = max(1, SHARD_TOKENS // length) * length
    tasks = []
    for split in SPLITS:
        sizes, total = [result["tokens"][split] for result in encoded], splits[split]["tokens"]
        for index, first in enumerate(range(0, total, step)):
            found = pieces(sizes, first, min(first + step, total))
            wanted = [[f"{split}-{file:06d}", skip, take] for file, skip, take in found]
            taken = sum(take for _, _, take in found)
            tasks.append(Task(f"{split}-{index:06d}", taken, {"split": split, "pieces": wanted}))
    return [FileEntry.from_dict(result["entry"]) for result in run_tasks(job, "rows", tasks, write_rows)]


def write_rows(job: Job, task: Task) -> dict[str, Any]:
    """One shard: read its stretch of the streams, write it a row group of about a million tokens at a time."""
    length, pack = Pack.model_validate(job.params).length, _packer(job, fast=False)
    schema = tokens_schema(pack.vocabulary)
    stretch = read(job.folder / STREAMS, [Piece(*piece) for piece in task.payload["pieces"]], pack.dtype)
    step = max(1, WRITE_TOKENS // length) * length
    with ShardWriter(job.folder, task.payload["split"], task.key, schema) as shard:
        for first in range(0, len(stretch.tokens), step):
            shard.write(table(stretch.part(first, first + step), length, schema))
    return {"entry": shard.entry.to_dict() if shard.entry else None}

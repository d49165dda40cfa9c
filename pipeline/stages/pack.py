"""pack: documents and a tokenizer → rows of tokens, train/ and validation/.

Three steps over the documents' files, each as many tasks wide as Beam has workers: `survey` reads ids and languages and
decides who is held out and which documents are compared with the reference; `encode` encodes every file once into flat
token files; `rows` cuts each split's stream, files laid end to end, into shards of a fixed number of rows. Tokens lie
in document order whatever the number of workers. All ids come from one path: when the fast encoder differs from the
reference anywhere, `encode-reference` encodes every file again, into files of its own.
Memory: a row group's text and tokens a worker, then a shard's tokens. About 30 MB of text a CPU-second (README).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.counts import ByLanguage, StageCounts
from pipeline.core.errors import StageFailed
from pipeline.core.files import write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.records import tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, batches, column_bytes, entry_of, number
from pipeline.core.shards import rows as row_count
from pipeline.tokenizers import id_hash, verification_sample
from pipeline.tokenizers.packed_rows import file_ranges, to_table
from pipeline.tokenizers.packer import FAST, REFERENCE, Packer, load_packer
from pipeline.tokenizers.section import Pack
from pipeline.tokenizers.token_streams import StreamRange, StreamWriter, read_ranges
from pipeline.tokenizers.verified_encoder import EncodersDiffer

SPLITS = ("train", "validation")
SHARD_TOKENS = 1 << 23
WRITE_TOKENS = 1 << 20
ENCODE_BYTES = 2 << 20
STREAMS = "streams"  # under the draft: gone at publication
UNKNOWN = "unknown"  # the language of a document without one, in counts

Cutoffs = Mapping[str, int]


def run(job: Job) -> StageOutput:
    """Survey, encode, cut into rows; the counts say documents, tokens and rows by split and language."""
    tasks = _file_tasks(job)
    surveys = run_tasks(job, "survey", tasks, survey)
    cutoffs = _cutoffs(surveys, Pack.model_validate(job.params).validation)
    path_name, encoded, encoder_name = _encode(job, tasks, {"cutoffs": cutoffs, "verify": _threshold(surveys)})
    splits = _totals(job, encoded)
    _check(splits)
    entries = _rows(job, path_name, encoded, splits)
    write_json(job.folder / "splits.json", splits)
    counts: StageCounts = {
        "in": sum(result["documents"] for result in encoded),
        "out": sum(split["documents"] for split in splits.values()),
        "dropped": {},
        "tokens": sum(split["tokens"] for split in splits.values()),
        "splits": splits,
    }
    files = [*number(job.folder, entries), entry_of(job.folder, "splits.json")]
    return StageOutput(files, counts, journal={"encoder": encoder_name})


def _file_tasks(job: Job) -> list[Task]:
    files = job.inputs.files("documents", "parts/")
    if not files:
        raise StageFailed("pack: no document came in: the stages before dropped everything. Look at their counts.")
    return [Task(f"{at:06d}", path.stat().st_size, {"path": str(path)}) for at, path in enumerate(files)]


def survey(job: Job, task: Task) -> dict[str, Any]:
    """The smallest numbers drawn, in each language for validation and of all for verification; reads no text."""
    least: dict[str, int] = {}
    verify = np.empty(0, np.int64)
    path = Path(task.payload["path"])
    for batch in batches(path, ["id", "language"]):
        ids = batch["id"].combine_chunks()
        drawn = id_hash.hash_ids(ids, "validation")
        verify = verification_sample.smallest(ids, verify)
        for language, chosen in _by_language(batch):
            least[language] = min(least.get(language, id_hash.HASH_RANGE), int(drawn[chosen].min()))
    return {
        "least": least,
        "verify": verify.tolist(),
        "documents": row_count(path),
        "bytes": column_bytes(path, "text"),
    }


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
            cutoffs[language] = min(cutoffs.get(language, id_hash.HASH_RANGE), least)
    return {language: max(least, int(share * id_hash.HASH_RANGE)) for language, least in sorted(cutoffs.items())}


def _threshold(surveys: Sequence[dict[str, Any]]) -> int:
    """Up to which number documents are compared with the reference: the same for every file."""
    documents, size = (sum(result[name] for result in surveys) for name in ("documents", "bytes"))
    return verification_sample.threshold((n for result in surveys for n in result["verify"]), size / max(documents, 1))


def _encode(job: Job, tasks: Sequence[Task], payload: dict[str, Any]) -> tuple[str, list[dict[str, Any]], str]:
    """Encode every file by the fast path or, where it differs anywhere, every file by the reference.

    The path (`FAST` or `REFERENCE`), the results, and the encoder's name or why it is the reference.
    """
    fallback = _packer(job, FAST).fallback
    if fallback is None:
        results = run_tasks(job, "encode", _with(tasks, {**payload, "path_name": FAST}), encode)
        fallback = next((result["difference"] for result in results if result["difference"]), None)
        if fallback is None:
            return FAST, results, results[0]["encoder"]
    job.progress.note("encode", f"encoding every file with `tokenizers`: {fallback}")
    results = run_tasks(job, "encode-reference", _with(tasks, {**payload, "path_name": REFERENCE}), encode)
    return REFERENCE, results, fallback


def _with(tasks: Sequence[Task], payload: dict[str, Any]) -> list[Task]:
    return [Task(task.key, task.size, {**task.payload, **payload}) for task in tasks]


def encode(job: Job, task: Task) -> dict[str, Any]:
    """One file → a token stream for each split; counts by split and language. Ends at the first difference."""
    pack = _packer(job, task.payload["path_name"])
    counts: dict[str, ByLanguage] = {split: {} for split in SPLITS}
    documents, folder = 0, job.folder / STREAMS / task.payload["path_name"]
    try:
        with ExitStack() as stack:
            streams = [stack.enter_context(StreamWriter(folder, f"{split}-{task.key}")) for split in SPLITS]
            for batch in _small_batches(Path(task.payload["path"])):
                encoded = pack.encode(batch, task.payload["verify"])
                held, sizes = _held_out(batch, task.payload["cutoffs"]), np.diff(encoded.offsets)
                for split, stream, mask in zip(SPLITS, streams, (~held, held), strict=True):
                    tokens = encoded.ids[np.repeat(mask, sizes)]
                    stream.write(tokens, batch["id"].combine_chunks().filter(pa.array(mask)), sizes[mask])
                    _count(counts[split], batch, mask, {"tokens": sizes, **pack.counted(encoded)})
                documents += len(batch)
    except EncodersDiffer as difference:
        return {"difference": str(difference)}
    return {
        "difference": None,
        "documents": documents,
        "tokens": {split: stream.tokens for split, stream in zip(SPLITS, streams, strict=True)},
        "counts": counts,
        "encoder": pack.encoder_name,
    }


def _small_batches(path: Path) -> Iterator[pa.Table]:
    """Row groups in stretches of some 2 MB of text: eight times that is in memory while it is encoded."""
    for batch in batches(path, ["id", "language", "text"]):
        size = np.cumsum(pc.binary_length(batch["text"]).to_numpy())
        cuts = np.flatnonzero(np.diff(size // ENCODE_BYTES, prepend=0))
        for first, last in itertools.pairwise(np.unique([0, *(cuts + 1), len(batch)]).tolist()):
            yield batch.slice(first, last - first)


def _packer(job: Job, path_name: str) -> Packer:
    return load_packer(job.inputs.one("tokenizer").file("tokenizer.json"), path_name, get_ident())


def _held_out(batch: pa.Table, cutoffs: Cutoffs) -> NDArray[np.bool_]:
    """Which documents of a batch are for validation."""
    column = batch["language"].combine_chunks().fill_null(UNKNOWN)
    of_language = pc.index_in(column, pa.array(list(cutoffs))).to_numpy(zero_copy_only=False)
    limits = np.fromiter(cutoffs.values(), np.int64, len(cutoffs))[of_language]
    held: NDArray[np.bool_] = id_hash.hash_ids(batch["id"].combine_chunks(), "validation") <= limits
    return held


def _count(counts: ByLanguage, batch: pa.Table, mask: NDArray[np.bool_], named: dict[str, NDArray[np.int64]]) -> None:
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
        languages: ByLanguage = {}
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


def _rows(job: Job, path_name: str, encoded: Sequence[dict[str, Any]], splits: dict[str, Any]) -> list[FileEntry]:
    """Cut each split's stream, as one path encoded it, into shards of a fixed number of rows."""
    length = Pack.model_validate(job.params).length
    step = max(1, SHARD_TOKENS // length) * length
    tasks = []
    for split in SPLITS:
        sizes, total = [result["tokens"][split] for result in encoded], splits[split]["tokens"]
        for index, first in enumerate(range(0, total, step)):
            found = file_ranges(sizes, first, min(first + step, total))
            wanted = [[f"{split}-{file:06d}", skip, take] for file, skip, take in found]
            taken = sum(take for _, _, take in found)
            tasks.append(
                Task(f"{split}-{index:06d}", taken, {"split": split, "path_name": path_name, "pieces": wanted})
            )
    return [FileEntry.from_dict(result["entry"]) for result in run_tasks(job, f"rows-{path_name}", tasks, write_rows)]


def write_rows(job: Job, task: Task) -> dict[str, Any]:
    """One shard: read its stretch of the streams, write it a row group of about a million tokens at a time."""
    length, pack = Pack.model_validate(job.params).length, _packer(job, REFERENCE)
    schema = tokens_schema(pack.vocabulary)
    folder = job.folder / STREAMS / task.payload["path_name"]
    stretch = read_ranges(folder, [StreamRange(*piece) for piece in task.payload["pieces"]], pack.dtype)
    step = max(1, WRITE_TOKENS // length) * length
    with ShardWriter(job.folder, task.payload["split"], task.key, schema) as shard:
        for first in range(0, len(stretch.tokens), step):
            shard.write(to_table(stretch.part(first, first + step), length, schema))
    return {"entry": shard.entry.to_dict() if shard.entry else None}

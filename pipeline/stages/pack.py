"""pack: documents and a tokenizer → rows of tokens in train/ and validation/.

There are three steps over the files of documents, each with as many parallel tasks as Beam has workers: `survey` reads
ids and languages, and decides which documents are held out and which are compared with the reference; `encode` encodes
every file once into flat token files; `rows` cuts each split's stream (the files end to end) into shards of a fixed
number of rows (pack_rows.py). Tokens are in document order whatever the number of workers; where `by_source` is set, in
that order by source and language. One encoder produces all ids: when the fast encoder differs from the reference
anywhere, `encode-reference` encodes every file again, into other files.
Memory: the text and tokens of a row group per worker, then the tokens of a shard. About 30 MB of text a CPU-second.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import get_ident

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.counts import ByLanguage, SplitCounts, StageCounts
from pipeline.core.errors import StageFailed
from pipeline.core.files import write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import FileEntry, batches, column_bytes, entry_of, number
from pipeline.core.shards import rows as row_count
from pipeline.core.source_counts import SourceCounter, merged
from pipeline.stages.pack_rows import SPLITS, STREAMS, shard_tasks, split_counts, with_groups, write_rows
from pipeline.tokenizers import verification_sample
from pipeline.tokenizers.grouped_streams import GroupedStreamWriter
from pipeline.tokenizers.id_hash import HASH_RANGE, hash_ids
from pipeline.tokenizers.pack_tasks import (
    EncodedFile,
    EncodeFile,
    Encoding,
    EncodingFailed,
    Split,
    Survey,
    SurveyFile,
)
from pipeline.tokenizers.packer import FAST, REFERENCE, Packer, load_packer
from pipeline.tokenizers.section import Pack
from pipeline.tokenizers.token_streams import StreamWriter
from pipeline.tokenizers.verified_encoder import EncodersDiffer

ENCODE_BYTES = 2 << 20
UNKNOWN = "unknown"  # in counts, the language of a document without one


def run(job: Job) -> StageOutput:
    """Survey, encode, cut into rows; the counts are documents, tokens and rows by split and language."""
    surveys = run_tasks(job, "survey", _survey_tasks(job), survey)
    cutoffs = _cutoffs(surveys, Pack.model_validate(job.params).validation)
    encoding = _encode(job, cutoffs, _verification_threshold(surveys))
    section = Pack.model_validate(job.params)
    splits = split_counts(section, encoding.files)
    _check_not_empty(splits)
    tasks = shard_tasks(section, encoding)
    written = run_tasks(job, f"rows-{encoding.encoder_choice}", tasks, write_rows)
    if section.is_grouped:
        splits = with_groups(splits, encoding.files, tasks, written)
    entries = [FileEntry.from_dict(result["entry"]) for result in written]
    write_json(job.folder / "splits.json", splits)
    counts: StageCounts = {
        "in": sum(result["documents"] for result in encoding.files),
        "out": sum(split["documents"] for split in splits.values()),
        "dropped": {},
        "tokens": sum(split["tokens"] for split in splits.values()),
        "splits": splits,
    }
    by_source = [result["sources"] for result in encoding.files if "sources" in result]
    if len(by_source) == len(encoding.files):  # an earlier version did not count sources
        counts["sources"] = merged(by_source)
    files = [*number(job.draft, entries), entry_of(job.folder, "splits.json")]
    return StageOutput(files, counts, journal={"encoder": encoding.encoder_name})


def _survey_tasks(job: Job) -> list[Task[SurveyFile]]:
    files = job.inputs.listed("documents", "parts/")
    if not files:
        raise StageFailed("pack: no document came in: earlier stages dropped all of them. Look at their counts.")
    return [Task(f"{n:06d}", file["bytes"], SurveyFile(file=file)) for n, file in enumerate(files)]


def survey(job: Job, task: Task[SurveyFile]) -> Survey:
    """The smallest id hashes of a file, by language for validation and of all documents for verification."""
    least: dict[str, int] = {}
    verify = np.empty(0, np.int64)
    path = job.inputs.local(task.payload["file"])
    for batch in batches(path, ["id", "language"]):
        ids = batch["id"].combine_chunks()
        hashes = hash_ids(ids, "validation")
        verify = verification_sample.smallest(ids, verify)
        for language, rows in _rows_by_language(batch):
            least[language] = min(least.get(language, HASH_RANGE), int(hashes[rows].min()))
    return {
        "least": least,
        "verify": verify.tolist(),
        "documents": row_count(path),
        "bytes": column_bytes(path, "text"),
    }


def _rows_by_language(batch: pa.Table) -> list[tuple[str, NDArray[np.int64]]]:
    """The languages in alphabetical order, each with the numbers of its rows."""
    column = batch["language"].combine_chunks().fill_null(UNKNOWN)
    languages = sorted(column.unique().to_pylist())
    return [(language, np.flatnonzero(pc.equal(column, language))) for language in languages]


def _cutoffs(surveys: Sequence[Survey], share: float) -> dict[str, int]:
    """By language, the largest hash that is held out: `share` of the documents, and at least the smallest hash."""
    cutoffs: dict[str, int] = {}
    for result in surveys:
        for language, least in result["least"].items():
            cutoffs[language] = min(cutoffs.get(language, HASH_RANGE), least)
    return {language: max(least, int(share * HASH_RANGE)) for language, least in sorted(cutoffs.items())}


def _verification_threshold(surveys: Sequence[Survey]) -> int:
    """The largest hash of a document that is compared with the reference: the same for every file."""
    documents = sum(result["documents"] for result in surveys)
    size_bytes = sum(result["bytes"] for result in surveys)
    hashes = (value for result in surveys for value in result["verify"])
    return verification_sample.threshold(hashes, size_bytes / max(documents, 1))


def _encode(job: Job, cutoffs: dict[str, int], verify: int) -> Encoding:
    """Encode every file with the fast encoder, or every file with the reference if the ids differ anywhere."""

    def tasks(encoder_choice: str) -> list[Task[EncodeFile]]:
        return [
            Task(
                task.key,
                task.size,
                EncodeFile(file=task.payload["file"], encoder_choice=encoder_choice, cutoffs=cutoffs, verify=verify),
            )
            for task in _survey_tasks(job)
        ]

    fallback = _packer(job, FAST).fallback
    if fallback is None:
        results = run_tasks(job, "encode", tasks(FAST), encode)
        fallback = next((result["difference"] for result in results if result["difference"] is not None), None)
        if fallback is None:
            encoded = _without_failures(results)
            return Encoding(FAST, encoded, encoded[0]["encoder"])
    job.progress.note("encode", f"encoding every file with `tokenizers`: {fallback}")
    results = run_tasks(job, "encode-reference", tasks(REFERENCE), encode)
    return Encoding(REFERENCE, _without_failures(results), fallback)


def _without_failures(results: Sequence[EncodedFile | EncodingFailed]) -> list[EncodedFile]:
    return [result for result in results if result["difference"] is None]


def encode(job: Job, task: Task[EncodeFile]) -> EncodedFile | EncodingFailed:
    """Write the token streams of one file, one per split; stop at the first difference from the reference."""
    payload = task.payload
    pack = _packer(job, payload["encoder_choice"])
    counts: dict[Split, ByLanguage] = {split: {} for split in SPLITS}
    sources = SourceCounter()
    documents = 0
    folder = job.folder / STREAMS / payload["encoder_choice"]
    is_grouped = Pack.model_validate(job.params).is_grouped
    try:
        with ExitStack() as stack:
            writers = GroupedStreamWriter if is_grouped else StreamWriter
            streams = [stack.enter_context(writers(folder, f"{split}-{task.key}")) for split in SPLITS]
            for batch in _small_batches(job.inputs.local(payload["file"])):
                encoded = pack.encode(batch, payload["verify"])
                held_out = _held_out(batch, payload["cutoffs"])
                sizes = np.diff(encoded.offsets)
                for split, stream, mask in zip(SPLITS, streams, (~held_out, held_out), strict=True):
                    tokens = encoded.ids[np.repeat(mask, sizes)]
                    stream.write(tokens, batch.filter(pa.array(mask)), sizes[mask])
                    _count(counts[split], batch, mask, {"tokens": sizes, **pack.count_markers(encoded)})
                sources.add(batch, tokens=sizes)
                documents += len(batch)
    except EncodersDiffer as difference:
        return {"difference": str(difference)}
    encoded_file: EncodedFile = {
        "difference": None,
        "documents": documents,
        "tokens": {split: stream.tokens for split, stream in zip(SPLITS, streams, strict=True)},
        "counts": counts,
        "sources": sources.result(),
        "encoder": pack.encoder_name,
    }
    if is_grouped:
        encoded_file["groups"] = {split: stream.groups for split, stream in zip(SPLITS, streams, strict=True)}
    return encoded_file


def _small_batches(path: Path) -> Iterator[pa.Table]:
    """Row groups in slices of about 2 MB of text: encoding takes eight times as much memory."""
    for batch in batches(path, ["id", "source", "language", "text"]):
        size = np.cumsum(pc.binary_length(batch["text"]).to_numpy())
        cuts = np.flatnonzero(np.diff(size // ENCODE_BYTES, prepend=0))
        for first, last in itertools.pairwise(np.unique([0, *(cuts + 1), len(batch)]).tolist()):
            yield batch.slice(first, last - first)


def _packer(job: Job, encoder_choice: str) -> Packer:
    return load_packer(job.inputs.single("tokenizer").file("tokenizer.json"), encoder_choice, get_ident())


def _held_out(batch: pa.Table, cutoffs: Mapping[str, int]) -> NDArray[np.bool_]:
    """Which documents of a batch are for validation."""
    column = batch["language"].combine_chunks().fill_null(UNKNOWN)
    language_index = pc.index_in(column, pa.array(list(cutoffs))).to_numpy(zero_copy_only=False)
    limits = np.fromiter(cutoffs.values(), np.int64, len(cutoffs))[language_index]
    held_out: NDArray[np.bool_] = hash_ids(batch["id"].combine_chunks(), "validation") <= limits
    return held_out


def _count(
    counts: ByLanguage, batch: pa.Table, mask: NDArray[np.bool_], measures: Mapping[str, NDArray[np.int64]]
) -> None:
    """Add the documents that `mask` selects to the counts of their languages; `measures` has a value per document."""
    measures = {**measures, "bytes": pc.binary_length(batch["text"]).to_numpy()}
    for language, rows in _rows_by_language(batch):
        selected = rows[mask[rows]]
        if len(selected):
            totals = counts.setdefault(language, {"documents": 0, **dict.fromkeys(measures, 0)})
            totals["documents"] += len(selected)
            for name, values in measures.items():
                totals[name] += int(values[selected].sum())


def _check_not_empty(splits: Mapping[str, SplitCounts]) -> None:
    documents = sum(split["documents"] for split in splits.values())
    for split in SPLITS:
        if not splits[split]["documents"]:
            raise StageFailed(
                f"pack: {split} is empty: {documents:,} documents came in, and each language holds out at least one. "
                "Add documents, or drop fewer of them."
            )

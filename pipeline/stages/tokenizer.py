"""tokenizer: documents → tokenizer.json and stats.json, learned from a sample of bounded size (or taken from a file).

The sample follows from the documents' ids alone: each has a number drawn from its id, and the smallest are taken,
languages in proportion to their bytes, one document each at least. One pass over the text at 190 MB a CPU-second, then
training, about 0.6 CPU-seconds a MB: twice the default 16 MB would gain under 1 % (README). The sample stays on disk
and is read in pieces: a kind that counts (`word`) may see hundreds of MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing, write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import batches, column_bytes, entry_of
from pipeline.tokenizers import TOKENIZERS, id_hash, tokenizer_file
from pipeline.tokenizers.base import Encoded, TokenizerOptions, TokenizerTrainer
from pipeline.tokenizers.packed_rows import occurrences
from pipeline.tokenizers.section import DEFAULT_OPTIONS, PLUGIN_OPTIONS
from pipeline.tokenizers.verified_encoder import EncodersDiffer, VerifiedEncoder

UNKNOWN = "unknown"  # the language of a document without one
DRAWN = pa.schema([("language", pa.string()), ("number", pa.int64()), ("text", pa.large_string())])
LEAST_BYTES = 4096  # of a language, where there is so much: its characters should be known
BATCH_ROWS = 256
VERIFY_EVERY = 1_000  # documents of the sample
Rows = NDArray[np.bool_]
MARGIN = 1.5  # how much more than the sample is drawn: the numbers of a language are not spread quite evenly


def run(job: Job) -> StageOutput:
    """Draw the sample, train, say how many bytes a token holds in each language."""
    params = {**DEFAULT_OPTIONS.get(job.params.get("kind", "bpe"), PLUGIN_OPTIONS), **job.params}
    results = run_tasks(job, "draw", _file_tasks(job, params["sample_bytes"]), draw_from_file)
    corpus = _sum(result["languages"] for result in results)
    if not corpus:
        raise StageFailed("tokenizer: no document came in: the stages before dropped everything. Look at their counts.")
    sample = _sample(job, results, corpus, params["sample_bytes"])
    kind = _kind(job, params)
    job.progress.note("train", f"training on {sample.size_bytes:,} bytes of {len(sample.rows):,} documents")
    texts = (text for batch in sample.batches() for text in batch["text"].to_pylist())
    json_text = kind.train(texts, params.get("vocabulary") or 0)
    with replacing(job.folder / "tokenizer.json") as beside:
        beside.write_text(json_text, encoding="utf-8")
    write_json(job.folder / "stats.json", _stats(json_text, corpus, sample))
    documents = sum(one["documents"] for one in corpus.values())
    files = [entry_of(job.folder, name) for name in ("tokenizer.json", "stats.json")]
    return StageOutput(files, {"in": documents, "out": documents, "dropped": {}, "sampled": len(sample.rows)})


def _kind(job: Job, params: dict[str, Any]) -> TokenizerTrainer:
    """The kind with its options; a file is what was planned, to the byte."""
    options = TokenizerOptions(tuple(params.get("specials", ())), params.get("min_count"), params.get("lowercase"))
    if "sha256" in params:
        path = job.sources[0]["files"][0]["path"]
        if tokenizer_file.read(path).sha256 != params["sha256"]:
            raise StageFailed(f"tokenizer: {path} has changed since this run began. Run again.")
        options = replace(options, path=path)
    made = TOKENIZERS.load(params.get("kind", "bpe"))
    found: TokenizerTrainer = made(options) if options != TokenizerOptions() else made()
    return found


def _file_tasks(job: Job, sample_bytes: int) -> list[Task]:
    """One task a file; the share to draw follows from the size of the text column, which the footers know."""
    files = job.inputs.files("documents", "parts/")
    total = sum(column_bytes(path, "text") for path in files)
    limit = int(min(1.0, MARGIN * sample_bytes / max(total, 1)) * id_hash.HASH_RANGE)
    return [
        Task(f"{at:06d}", path.stat().st_size, {"path": str(path), "limit": limit}) for at, path in enumerate(files)
    ]


def draw_from_file(job: Job, task: Task) -> dict[str, Any]:
    """One file → drawn/<key>.arrow with its candidates; returns documents and bytes by language."""
    languages: dict[str, dict[str, int]] = {}
    path = job.folder / "drawn" / f"{task.key}.arrow"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as beside, pa.ipc.new_file(str(beside), DRAWN) as stream:
        for batch in batches(Path(task.payload["path"]), ["id", "language", "text"]):
            numbers = pa.array(id_hash.hash_ids(batch["id"].combine_chunks(), "sample"))
            whole = pa.table([batch["language"].fill_null(UNKNOWN), numbers, batch["text"]], schema=DRAWN)
            stream.write_table(whole.take(pa.array(_chosen(whole, task.payload["limit"], languages))))
    return {"languages": languages, "file": f"drawn/{task.key}.arrow"}


def _chosen(batch: pa.Table, limit: int, languages: dict[str, dict[str, int]]) -> NDArray[np.int64]:
    """The rows with a number up to the limit, and of each language the smallest so far; `languages` is kept up."""
    numbers = batch["number"].to_numpy()
    size = pc.binary_length(batch["text"]).to_numpy()
    chosen = set(np.flatnonzero(numbers <= limit).tolist())
    for language in sorted(batch["language"].unique().to_pylist()):
        rows = np.flatnonzero(pc.equal(batch["language"], language))
        one = languages.setdefault(language, {"documents": 0, "bytes": 0, "least": id_hash.HASH_RANGE})
        one["documents"] += len(rows)
        one["bytes"] += int(size[rows].sum())
        least = rows[np.argmin(numbers[rows])]
        if numbers[least] < one["least"]:
            one["least"] = int(numbers[least])
            chosen.add(int(least))
    return np.array(sorted(chosen), np.int64)


def _sum(results: Iterator[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Documents and bytes by language over all files."""
    corpus: dict[str, dict[str, int]] = {}
    for languages in results:
        for language, one in languages.items():
            held = corpus.setdefault(language, {"documents": 0, "bytes": 0})
            for name in held:
                held[name] += one[name]
    return dict(sorted(corpus.items()))


@dataclass(frozen=True)
class Sample:
    """Rows of `drawn`, in their order; of each, `kept` bytes: all, but for the last of a language."""

    drawn: pa.Table
    rows: NDArray[np.int64]
    kept: NDArray[np.int64]

    @property
    def size_bytes(self) -> int:
        return int(self.kept.sum())

    def batches(self) -> Iterator[pa.Table]:
        """Language and text, some documents at a time, read from the files where they lie."""
        chunks = {name: self.drawn[name].chunks for name in ("language", "text")}
        starts = np.cumsum([0, *map(len, chunks["text"])])
        for first in range(0, len(self.rows), BATCH_ROWS):
            rows = self.rows[first : first + BATCH_ROWS]
            of_chunk = np.searchsorted(starts, rows, side="right") - 1
            places = list(zip(of_chunk.tolist(), (rows - starts[of_chunk]).tolist(), strict=True))
            languages = [chunks["language"][chunk][at].as_py() for chunk, at in places]
            whole = [chunks["text"][chunk][at].as_py().encode() for chunk, at in places]
            kept = self.kept[first : first + BATCH_ROWS].tolist()
            texts = [text[:size].decode(errors="ignore") for text, size in zip(whole, kept, strict=True)]
            yield pa.table({"language": pa.array(languages), "text": pa.array(texts, pa.large_string())})


def _sample(
    job: Job, results: Sequence[dict[str, Any]], corpus: dict[str, dict[str, int]], sample_bytes: int
) -> Sample:
    """Of each language the documents with the smallest numbers, up to its share of the bytes; the last one is cut."""
    tables = []
    for result in results:
        with pa.memory_map(str(job.folder / result["file"])) as source:
            tables.append(pa.ipc.open_file(source).read_all())
    drawn = pa.concat_tables(tables)
    order = pc.sort_indices(drawn, [("number", "ascending"), ("text", "ascending")]).to_numpy().astype(np.int64)
    size = pc.binary_length(drawn["text"]).to_numpy()[order]
    of_language = drawn["language"].combine_chunks().take(pa.array(order))
    total = sum(one["bytes"] for one in corpus.values())
    room = np.zeros(len(order), np.int64)  # what is left of the language's share when a document's turn comes
    for language, one in corpus.items():
        mine = np.flatnonzero(pc.equal(of_language, language))
        share = max(sample_bytes * one["bytes"] // max(total, 1), LEAST_BYTES)
        room[mine] = share - (np.cumsum(size[mine]) - size[mine])
    taken = np.flatnonzero(room > 0)
    return Sample(drawn, order[taken], np.minimum(room, size)[taken])


def _stats(json_text: str, corpus: dict[str, dict[str, int]], sample: Sample) -> dict[str, Any]:
    """Bytes per token, all together and by language, on the sample; how large it is, and how much of it is unknown."""
    verified = VerifiedEncoder(json_text)
    reference = verified.reference
    try:
        sums = _measured(sample, sorted(corpus), reference.unknown, verified.encode)
    except EncodersDiffer:
        sums = _measured(sample, sorted(corpus), reference.unknown, lambda column, _: reference.encode(column))
    known_unknown = reference.unknown is not None
    whole = _figures(np.sum(list(sums.values()), axis=0), known_unknown)
    languages = {
        language: {**_figures(found, known_unknown), "corpus": corpus[language]} for language, found in sums.items()
    }
    return {
        "vocabulary": reference.vocabulary,
        "sample": whole,
        "languages": languages,
        "bytes_per_token": {
            "all": whole["bytes_per_token"],
            **{language: one["bytes_per_token"] for language, one in languages.items()},
        },
    }


def _measured(
    sample: Sample, languages: Sequence[str], unknown_id: int | None, encode: Callable[[pa.Array, Rows], Encoded]
) -> dict[str, NDArray[np.int64]]:
    """Documents, bytes, tokens and unknown tokens of the sample by language. One document in a thousand is compared
    with the reference, counted in the order of the sample, which the ids of the documents settle."""
    sums = {language: np.zeros(4, np.int64) for language in languages}
    seen = 0
    for batch in sample.batches():
        encoded = encode(batch["text"].combine_chunks(), np.arange(seen, seen + len(batch)) % VERIFY_EVERY == 0)
        seen += len(batch)
        tokens, size = np.diff(encoded.offsets), pc.binary_length(batch["text"]).to_numpy()
        unknown = occurrences(encoded, unknown_id)
        for language, own in sums.items():
            rows = np.flatnonzero(pc.equal(batch["language"], language))
            own += [len(rows), size[rows].sum(), tokens[rows].sum(), unknown[rows].sum()]
    return sums


def _figures(sums: NDArray[np.int64], with_unknown: bool) -> dict[str, Any]:
    """Documents, bytes, tokens and unknown tokens as a person reads them."""
    documents, size, tokens, unknown = sums.tolist()
    found = {"documents": documents, "bytes": size, "tokens": tokens}
    found["bytes_per_token"] = round(size / tokens, 4) if tokens else None
    if with_unknown:
        found |= {"unknown": unknown, "unknown_share": round(unknown / tokens, 6) if tokens else None}
    return found

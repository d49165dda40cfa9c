"""tokenizer: documents → tokenizer.json and stats.json, trained on a sample of bounded size (or read from a file).

The sample depends only on the ids of the documents: those with the smallest id hashes are selected, languages in
proportion to their bytes, at least one document of each. One pass over the text at 190 MB a CPU-second, then training,
about 0.6 CPU-seconds per MB; twice the default of 16 MB would improve the result by less than 1 % (README). The sample
stays on disk and is read in batches, since a kind that counts words may use hundreds of MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.artifact import Artifact
from pipeline.core.counts import ByLanguage
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, replacing, write_json
from pipeline.core.inputs import InputFile
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import batches, column_bytes, entry_of
from pipeline.tokenizers import TOKENIZERS, tokenizer_file
from pipeline.tokenizers.base import Encoded, TokenizerOptions, TokenizerTrainer
from pipeline.tokenizers.id_hash import HASH_RANGE, hash_ids
from pipeline.tokenizers.packed_rows import occurrences
from pipeline.tokenizers.section import DEFAULT_OPTIONS, PLUGIN_OPTIONS
from pipeline.tokenizers.verified_encoder import EncodersDiffer, VerifiedEncoder

UNKNOWN = "unknown"  # the language of a document without one
CANDIDATES = pa.schema([("language", pa.string()), ("number", pa.int64()), ("text", pa.large_string())])
LEAST_BYTES = 4096  # of each language that has so much, so that its characters are in the sample
BATCH_ROWS = 256
VERIFY_EVERY = 1_000  # documents of the sample
CANDIDATE_FACTOR = 1.5  # candidates per byte of the sample, since hashes are not spread quite evenly over languages

EncodeFunction = Callable[[pa.Array, NDArray[np.bool_]], Encoded]


class SampleFile(TypedDict):
    """The payload of a task: a file of documents, and the largest id hash of a candidate for the sample."""

    file: InputFile
    limit: int


class SampledFile(TypedDict):
    """Documents, bytes and the smallest id hash of a file by language, and the file of its candidates."""

    languages: ByLanguage
    file: str


def run(job: Job) -> StageOutput:
    """Select the sample, train, and measure how many bytes a token has in each language."""
    params = {**DEFAULT_OPTIONS.get(job.params.get("kind", "bpe"), PLUGIN_OPTIONS), **job.params}
    results = run_tasks(job, "draw", _sample_tasks(job, params["sample_bytes"]), sample_file)
    corpus = _sum_by_language(result["languages"] for result in results)
    if not corpus:
        raise StageFailed("tokenizer: no document came in: earlier stages dropped all of them. Look at their counts.")
    sample = _select_sample(job, results, corpus, params["sample_bytes"])
    trainer = _trainer(job, params)
    job.progress.note("train", f"training on {sample.size_bytes:,} bytes of {len(sample.rows):,} documents")
    texts = (text for batch in sample.batches() for text in batch["text"].to_pylist())
    json_text = trainer.train(texts, params.get("vocabulary") or 0)
    with replacing(job.folder / "tokenizer.json") as temporary:
        temporary.write_text(json_text, encoding="utf-8")
    write_json(job.folder / "stats.json", _stats(json_text, corpus, sample))
    documents = sum(counts["documents"] for counts in corpus.values())
    files = [entry_of(job.folder, name) for name in ("tokenizer.json", "stats.json")]
    return StageOutput(files, {"in": documents, "out": documents, "dropped": {}, "sampled": len(sample.rows)})


def _trainer(job: Job, params: JsonObject) -> TokenizerTrainer:
    """The trainer of the kind with its options; a file must still have the content that was planned."""
    options = TokenizerOptions(tuple(params.get("specials", ())), params.get("min_count"), params.get("lowercase"))
    if "sha256" in params:
        path = job.sources[0]["files"][0]["path"]
        if tokenizer_file.read(path).sha256 != params["sha256"]:
            raise StageFailed(f"tokenizer: {path} has changed since this run began. Run again.")
        options = replace(options, path=path)
    trainer_class = TOKENIZERS.load(params.get("kind", "bpe"))
    return trainer_class(options) if options != TokenizerOptions() else trainer_class()


def _sample_tasks(job: Job, sample_bytes: int) -> list[Task[SampleFile]]:
    """One task per file; the share of candidates follows from the size of the text. No file is downloaded."""
    files = job.inputs.listed("documents", "parts/")
    total = sum(map(_text_bytes, job.inputs.all("documents")))
    limit = int(min(1.0, CANDIDATE_FACTOR * sample_bytes / max(total, 1)) * HASH_RANGE)
    return [Task(f"{n:06d}", file["bytes"], SampleFile(file=file, limit=limit)) for n, file in enumerate(files)]


def _text_bytes(documents: Artifact) -> int:
    """Bytes of all texts by the counts of the stage; from the files' footers if it is a plug-in that counts none."""
    counts = documents.manifest.counts
    counted = counts.get("text_bytes", counts.get("bytes_out"))
    if counted is not None:
        return counted
    return sum(column_bytes(path, "text") for path in documents.files("parts/"))


def sample_file(job: Job, task: Task[SampleFile]) -> SampledFile:
    """Write the candidates of one file to drawn/<key>.arrow; return documents and bytes by language."""
    languages: ByLanguage = {}
    path = job.folder / "drawn" / f"{task.key}.arrow"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, pa.ipc.new_file(str(temporary), CANDIDATES) as stream:
        for batch in batches(job.inputs.local(task.payload["file"]), ["id", "language", "text"]):
            hashes = pa.array(hash_ids(batch["id"].combine_chunks(), "sample"))
            table = pa.table([batch["language"].fill_null(UNKNOWN), hashes, batch["text"]], schema=CANDIDATES)
            stream.write_table(table.take(pa.array(_candidates(table, task.payload["limit"], languages))))
    return {"languages": languages, "file": f"drawn/{task.key}.arrow"}


def _candidates(batch: pa.Table, limit: int, languages: ByLanguage) -> NDArray[np.int64]:
    """The rows whose hash is at most `limit`, and the smallest hash of each language so far; updates `languages`."""
    hashes = batch["number"].to_numpy()
    size = pc.binary_length(batch["text"]).to_numpy()
    selected = set(np.flatnonzero(hashes <= limit).tolist())
    for language in sorted(batch["language"].unique().to_pylist()):
        rows = np.flatnonzero(pc.equal(batch["language"], language))
        counts = languages.setdefault(language, {"documents": 0, "bytes": 0, "least": HASH_RANGE})
        counts["documents"] += len(rows)
        counts["bytes"] += int(size[rows].sum())
        least = rows[np.argmin(hashes[rows])]
        if hashes[least] < counts["least"]:
            counts["least"] = int(hashes[least])
            selected.add(int(least))
    return np.array(sorted(selected), np.int64)


def _sum_by_language(results: Iterable[ByLanguage]) -> ByLanguage:
    """Documents and bytes by language over all files."""
    corpus: ByLanguage = {}
    for languages in results:
        for language, counts in languages.items():
            totals = corpus.setdefault(language, {"documents": 0, "bytes": 0})
            for name in totals:
                totals[name] += counts[name]
    return dict(sorted(corpus.items()))


@dataclass(frozen=True)
class TrainingSample:
    """Rows of `candidates`, in order, and how many bytes of each are used: all, except for the last of a language."""

    candidates: pa.Table
    rows: NDArray[np.int64]
    used_bytes: NDArray[np.int64]

    @property
    def size_bytes(self) -> int:
        return int(self.used_bytes.sum())

    def batches(self) -> Iterator[pa.Table]:
        """Language and text of some documents at a time, read from the files of candidates."""
        chunks = {name: self.candidates[name].chunks for name in ("language", "text")}
        starts = np.cumsum([0, *map(len, chunks["text"])])
        for first in range(0, len(self.rows), BATCH_ROWS):
            rows = self.rows[first : first + BATCH_ROWS]
            chunk_of = np.searchsorted(starts, rows, side="right") - 1
            places = list(zip(chunk_of.tolist(), (rows - starts[chunk_of]).tolist(), strict=True))
            languages = [chunks["language"][chunk][row].as_py() for chunk, row in places]
            encoded = [chunks["text"][chunk][row].as_py().encode() for chunk, row in places]
            sizes = self.used_bytes[first : first + BATCH_ROWS].tolist()
            texts = [text[:size].decode(errors="ignore") for text, size in zip(encoded, sizes, strict=True)]
            yield pa.table({"language": pa.array(languages), "text": pa.array(texts, pa.large_string())})


def _select_sample(job: Job, results: Sequence[SampledFile], corpus: ByLanguage, sample_bytes: int) -> TrainingSample:
    """The documents with the smallest hashes, up to the share of their language in bytes; the last one is cut."""
    tables = []
    for result in results:
        with pa.memory_map(str(job.draft.file(result["file"]))) as source:
            tables.append(pa.ipc.open_file(source).read_all())
    candidates = pa.concat_tables(tables)
    order = pc.sort_indices(candidates, [("number", "ascending"), ("text", "ascending")]).to_numpy().astype(np.int64)
    size = pc.binary_length(candidates["text"]).to_numpy()[order]
    language_of = candidates["language"].combine_chunks().take(pa.array(order))
    total = sum(counts["bytes"] for counts in corpus.values())
    remaining = np.zeros(len(order), np.int64)  # the rest of the language's share before each document
    for language, counts in corpus.items():
        rows = np.flatnonzero(pc.equal(language_of, language))
        share = max(sample_bytes * counts["bytes"] // max(total, 1), LEAST_BYTES)
        remaining[rows] = share - (np.cumsum(size[rows]) - size[rows])
    selected = np.flatnonzero(remaining > 0)
    return TrainingSample(candidates, order[selected], np.minimum(remaining, size)[selected])


def _stats(json_text: str, corpus: ByLanguage, sample: TrainingSample) -> JsonObject:
    """The content of stats.json: bytes per token on the sample, its size and unknown share, overall and by language."""
    verified = VerifiedEncoder(json_text)
    reference = verified.reference
    try:
        sums = _measure(sample, sorted(corpus), reference.unknown, verified.encode)
    except EncodersDiffer:
        sums = _measure(sample, sorted(corpus), reference.unknown, lambda column, _: reference.encode(column))
    has_unknown = reference.unknown is not None
    overall = _figures(np.sum(list(sums.values()), axis=0), has_unknown)
    languages = {
        language: {**_figures(values, has_unknown), "corpus": corpus[language]} for language, values in sums.items()
    }
    return {
        "vocabulary": reference.vocabulary,
        "sample": overall,
        "languages": languages,
        "bytes_per_token": {
            "all": overall["bytes_per_token"],
            **{language: figures["bytes_per_token"] for language, figures in languages.items()},
        },
    }


def _measure(
    sample: TrainingSample, languages: Sequence[str], unknown_id: int | None, encode: EncodeFunction
) -> dict[str, NDArray[np.int64]]:
    """Documents, bytes, tokens and unknown tokens of the sample by language.

    One document in a thousand is compared with the reference, by its position in the sample, which depends only on ids.
    """
    sums = {language: np.zeros(4, np.int64) for language in languages}
    position = 0
    for batch in sample.batches():
        encoded = encode(batch["text"].combine_chunks(), np.arange(position, position + len(batch)) % VERIFY_EVERY == 0)
        position += len(batch)
        tokens = np.diff(encoded.offsets)
        size = pc.binary_length(batch["text"]).to_numpy()
        unknown = occurrences(encoded, unknown_id)
        for language, totals in sums.items():
            rows = np.flatnonzero(pc.equal(batch["language"], language))
            totals += [len(rows), size[rows].sum(), tokens[rows].sum(), unknown[rows].sum()]
    return sums


def _figures(sums: NDArray[np.int64], with_unknown: bool) -> JsonObject:
    """Documents, bytes, tokens and unknown tokens with their ratios."""
    documents, size, tokens, unknown = sums.tolist()
    figures: JsonObject = {"documents": documents, "bytes": size, "tokens": tokens}
    figures["bytes_per_token"] = round(size / tokens, 4) if tokens else None
    if with_unknown:
        figures |= {"unknown": unknown, "unknown_share": round(unknown / tokens, 6) if tokens else None}
    return figures

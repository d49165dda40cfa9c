"""tokenizer: documents → tokenizer.json and stats.json, learned from a sample of bounded size.

The sample follows from the documents' ids alone: each has a number drawn from its id, and the smallest are taken,
languages in proportion to their bytes, one document each at least. One pass over the text at 190 MB a CPU-second, then
training, about 0.6 CPU-seconds a MB: twice the default 16 MB would gain under 1 % (README).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing, write_json
from pipeline.core.shards import batches, entry_of
from pipeline.core.stage import Job, Outcome
from pipeline.tokenizers import TOKENIZERS, draw
from pipeline.tokenizers.base import Kind
from pipeline.tokenizers.guard import encoder
from pipeline.tokenizers.section import Tokenizer
from pipeline.tokenizers.subword import Reference

UNKNOWN = "unknown"  # the language of a document without one
DRAWN = pa.schema([("language", pa.string()), ("number", pa.int64()), ("text", pa.large_string())])
LEAST_BYTES = 4096  # of a language, where there is so much: its characters should be known
MARGIN = 1.5  # how much more than the sample is drawn: the numbers of a language are not spread quite evenly


def run(job: Job) -> Outcome:
    """Draw the sample, train, say how many bytes a token holds in each language."""
    section = Tokenizer.model_validate(job.params)
    results = run_tasks(job, "draw", _file_tasks(job, section.sample_bytes), draw_from_file)
    corpus = _sum(result["languages"] for result in results)
    if not corpus:
        raise StageFailed("tokenizer: no document came in: the stages before dropped everything. Look at their counts.")
    sample = _sample(job, results, corpus, section.sample_bytes)
    kind: Kind = TOKENIZERS.load(section.kind)()
    job.progress.note("train", f"training on {sample.nbytes:,} bytes of {len(sample):,} documents")
    json_text = kind.train(sample["text"].to_pylist(), section.vocabulary)
    with replacing(job.folder / "tokenizer.json") as beside:
        beside.write_text(json_text, encoding="utf-8")
    write_json(job.folder / "stats.json", _stats(json_text, corpus, sample))
    documents = sum(one["documents"] for one in corpus.values())
    files = [entry_of(job.folder, name) for name in ("tokenizer.json", "stats.json")]
    return Outcome(files, {"in": documents, "out": documents, "dropped": {}, "sampled": len(sample)})


def _file_tasks(job: Job, sample_bytes: int) -> list[Task]:
    """One task a file; the share to draw follows from the size of the text column, which the footers know."""
    files = job.inputs["documents"].files("parts/")
    total = sum(_text_bytes(path) for path in files)
    limit = int(min(1.0, MARGIN * sample_bytes / max(total, 1)) * draw.SPAN)
    return [
        Task(f"{at:06d}", path.stat().st_size, {"path": str(path), "limit": limit}) for at, path in enumerate(files)
    ]


def _text_bytes(path: Path) -> int:
    footer = pq.read_metadata(path)
    column = footer.schema.to_arrow_schema().names.index("text")
    return sum(footer.row_group(group).column(column).total_uncompressed_size for group in range(footer.num_row_groups))


def draw_from_file(job: Job, task: Task) -> dict[str, Any]:
    """One file → drawn/<key>.arrow with its candidates; returns documents and bytes by language."""
    languages: dict[str, dict[str, int]] = {}
    path = job.folder / "drawn" / f"{task.key}.arrow"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as beside, pa.ipc.new_file(str(beside), DRAWN) as stream:
        for batch in batches(Path(task.payload["path"]), ["id", "language", "text"]):
            numbers = pa.array(draw.numbers(batch["id"].combine_chunks(), "sample"))
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
        one = languages.setdefault(language, {"documents": 0, "bytes": 0, "least": draw.SPAN})
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


def _sample(
    job: Job, results: Sequence[dict[str, Any]], corpus: dict[str, dict[str, int]], sample_bytes: int
) -> pa.Table:
    """Of each language the documents with the smallest numbers, up to its share of the bytes; the last one is cut."""
    tables = []
    for result in results:
        with pa.memory_map(str(job.folder / result["file"])) as source:
            tables.append(pa.ipc.open_file(source).read_all())
    drawn = pa.concat_tables(tables).sort_by([("number", "ascending"), ("text", "ascending")])
    total = sum(one["bytes"] for one in corpus.values())
    shares = {language: sample_bytes * one["bytes"] // max(total, 1) for language, one in corpus.items()}
    left = {language: max(share, LEAST_BYTES) for language, share in shares.items()}
    taken = []
    for record in _records(drawn):
        if left[record["language"]] > 0:
            text = record["text"].encode()[: left[record["language"]]]
            left[record["language"]] -= len(text)
            taken.append({**record, "text": text.decode(errors="ignore")})
    return pa.Table.from_pylist(taken, schema=DRAWN)


def _records(drawn: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in drawn.to_batches(max_chunksize=256):
        yield from batch.to_pylist()


def _stats(json_text: str, corpus: dict[str, dict[str, int]], sample: pa.Table) -> dict[str, Any]:
    """Bytes per token, all together and by language, on the sample; how large sample and corpus are."""
    encoded = encoder(json_text).encode(sample["text"].combine_chunks())
    tokens, size = np.diff(encoded.offsets), pc.binary_length(sample["text"]).to_numpy()
    languages: dict[str, dict[str, Any]] = {}
    for language in sorted(corpus):
        rows = np.flatnonzero(pc.equal(sample["language"], language))
        languages[language] = {**_figures(tokens[rows], size[rows]), "corpus": corpus[language]}
    return {
        "vocabulary": Reference(json_text).vocabulary,
        "sample": _figures(tokens, size),
        "languages": languages,
        "bytes_per_token": {
            "all": _figures(tokens, size)["bytes_per_token"],
            **{language: one["bytes_per_token"] for language, one in languages.items()},
        },
    }


def _figures(tokens: NDArray[np.int64], size: NDArray[np.int64]) -> dict[str, Any]:
    token_count, byte_count = int(tokens.sum()), int(size.sum())
    found = {"documents": len(tokens), "bytes": byte_count, "tokens": token_count}
    return {**found, "bytes_per_token": round(byte_count / token_count, 4) if token_count else None}

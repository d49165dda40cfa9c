"""A few examples of what was dropped, and why: three for each reason, the same ones every time.

Ids are hashes, so the smallest ids of a reason are an even sample of it. At most MOST_ROWS rows are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import figures
from pipeline.core.artifact import Artifact, Remote
from pipeline.core.counts import NO_LANGUAGE
from pipeline.core.files import JsonObject
from pipeline.core.report import Example, Quote
from pipeline.core.shards import batches
from pipeline.core.tables import sorted_by

EACH = 3
MOST_ROWS = 200_000  # of a kind of file: a second or two, whatever the size of the corpus
KEPT_FILES = 8  # of at most 8 MiB of text in a row group
LONGEST = 600  # characters shown
NOT_SEEN = "(the text is not in the first files looked at)"

Rows = dict[str, list[JsonObject]]


def examples_of(artifact: Artifact, inputs: Sequence[Artifact]) -> dict[str, tuple[Example, ...]]:
    """Reason → examples, by whichever files of dropped documents an artifact has."""
    if artifact.files("rejected/"):
        return _of(_smallest(artifact, "rejected/", by="rule", key="id"), _rejected)
    if artifact.files("quarantine/"):
        return _of(_smallest(artifact, "quarantine/", by="reason", key="position"), _quarantined)
    if artifact.files("duplicates/"):
        return duplicates(artifact, inputs)
    return {}


def duplicates(artifact: Artifact, inputs: Sequence[Artifact]) -> dict[str, tuple[Example, ...]]:
    """Method → examples with the similarity, and both texts where the inputs have them."""
    rows = _smallest(artifact, "duplicates/", by="method", key="id")
    ids = {row[key] for of_method in rows.values() for row in of_method for key in ("id", "kept_id")}
    texts = _texts(inputs, ids)
    return {method: tuple(_duplicate(row, texts) for row in of_method) for method, of_method in rows.items()}


def kept_examples(artifacts: Sequence[Artifact], languages: Sequence[str]) -> dict[str, tuple[Example, ...]]:
    """Language → documents that were kept, of several sources where the files looked at have several.

    At most KEPT_FILES files are looked at, evenly spread over the corpus, and of each the first row group. Nothing is
    downloaded for it.
    """
    files = [
        file for artifact in artifacts if not isinstance(artifact.place, Remote) for file in artifact.files("parts/")
    ]
    step = max(1, len(files) // KEPT_FILES)
    first: dict[tuple[str, str], list[JsonObject]] = {}
    for file in files[::step][:KEPT_FILES]:
        batch = next(batches(file, ["id", "source_id", "source", "url", "language", "text"]))
        pairs = zip(batch["language"].to_pylist(), batch["source"].to_pylist(), strict=True)
        for language, source in dict.fromkeys(pairs):
            name = language or NO_LANGUAGE
            if name in languages:
                selected = batch.filter(_equal(batch, {"language": language, "source": source}))
                rows = sorted_by(selected, "id").slice(0, EACH).to_pylist()
                key = (name, source or "")
                first[key] = sorted(first.get(key, []) + rows, key=lambda row: row["id"])[:EACH]
    return {language: _alternating(language, first) for language in languages if any(language == k for k, _ in first)}


def _equal(batch: pa.Table, pair: JsonObject) -> pa.ChunkedArray:
    """The rows with a language and a source, either of which may be missing."""
    tests = [
        pc.is_null(batch[name]) if value is None else pc.fill_null(pc.equal(batch[name], value), False)
        for name, value in pair.items()
    ]
    return pc.and_(*tests)


def _alternating(language: str, rows: Mapping[tuple[str, str], Sequence[JsonObject]]) -> tuple[Example, ...]:
    """One document of each source, then a second one, until there are enough."""
    by_source = [rows[key] for key in sorted(rows) if key[0] == language]
    ordered = [of_source[turn] for turn in range(EACH) for of_source in by_source if turn < len(of_source)]
    return tuple(
        Example((Quote(shortened(row["text"]), code=row["source_id"] or row["id"], label=row["source"] or ""),))
        for row in ordered[:EACH]
    )


def _of(rows: Rows, example: Callable[[JsonObject], Example]) -> dict[str, tuple[Example, ...]]:
    return {reason: tuple(example(row) for row in of_reason) for reason, of_reason in rows.items()}


def _rejected(row: JsonObject) -> Example:
    value, threshold = row["value"], row["threshold"]
    note = [figures.significant(value)] if value is not None else []
    note += [f"threshold {figures.significant(threshold)}"] if note and threshold is not None else []
    quote = Quote(shortened(row["text"]), code=row["source_id"] or row["id"])
    return Example((quote,), ", ".join(note))


def _quarantined(row: JsonObject) -> Example:
    text = shortened((row["raw"] or b"").decode("utf-8", "replace"))
    quote = Quote(text, code=row["file"], label=f"record {row['position']}", mono=True)
    return Example((quote,), row["detail"] or "")


def _duplicate(row: JsonObject, texts: dict[str, str]) -> Example:
    similarity = row["similarity"]
    note = row["method"] + (f" · similarity {similarity:.3f}" if similarity is not None else "")
    kept_quote = Quote(texts.get(row["kept_id"]) or NOT_SEEN, "kept", row["kept_source_id"] or row["kept_id"])
    dropped = Quote(texts.get(row["id"]) or NOT_SEEN, "dropped", row["source_id"] or row["id"])
    return Example((kept_quote, dropped), note)


def shortened(text: str | None) -> str:
    """The beginning of a text."""
    if not text:
        return ""
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " …"


def _smallest(artifact: Artifact, prefix: str, *, by: str, key: str) -> Rows:
    smallest: Rows = {}
    for batch in _tables(artifact.files(prefix), None):
        for value in pc.unique(batch[by]).to_pylist():
            rows = sorted_by(batch.filter(pc.equal(batch[by], value)), key).slice(0, EACH).to_pylist()
            smallest[value] = sorted(smallest.get(value, []) + rows, key=lambda row: row[key])[:EACH]
    return dict(sorted(smallest.items()))


def _texts(artifacts: Sequence[Artifact], ids: set[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    files = (file for artifact in artifacts for file in artifact.files("parts/"))
    for batch in _tables(files, ["id", "text"]):
        hits = batch.filter(pc.is_in(batch["id"], pa.array(sorted(ids), pa.string())))
        texts.update((row["id"], shortened(row["text"])) for row in hits.to_pylist())
        if len(texts) == len(ids):
            break
    return texts


def _tables(files: Iterable[Path], columns: list[str] | None) -> Iterator[pa.Table]:
    rows_read = 0
    for file in files:
        for batch in batches(file, columns):
            yield batch
            rows_read += batch.num_rows
            if rows_read >= MOST_ROWS:
                return

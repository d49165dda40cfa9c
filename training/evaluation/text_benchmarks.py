"""Benchmark files for sentence vectors: texts with a topic, and queries with the passage that answers each.

JSON Lines, gzip or not. Topics: `text` and `label`, and `split` where there is one. Queries: `question` and `context`
(as in SQuAD and CMRC 2018), `query` and `passage`, or `en` and `zh`; equal passages are one. Any other line is an
error, never skipped. Memory: the file's texts; a file of more than MAX_TEXTS is refused: each is compared with each.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject

QUERY_FIELDS = (("question", "context"), ("query", "passage"), ("en", "zh"))
TRAIN = "train"
MAX_TEXTS = 20_000
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their topics; a split is None where a line has none."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str | None, ...]


@dataclass(frozen=True)
class QueryPassages:
    """Queries; the distinct passages; and for each query the place of its own passage among them."""

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    answers: tuple[int, ...]


def read(path: Path) -> LabelledTexts | QueryPassages:
    """The content of a file, by the fields of its first line.

    Raises: UserError that names the first line which differs from the others, or what the file lacks.
    """
    first = next(_records(path), None)
    if first is None:
        raise UserError(f"{path}: holds no texts.")
    return read_topics(path) if "label" in first[1] else read_query_passages(path)


def read_topics(path: Path) -> LabelledTexts:
    """The texts of a file with their topics.

    Raises: UserError as `read`, or when there are fewer than two topics: there would be nothing to tell apart.
    """
    rows = [
        (_string(path, number, record, field="text"), _string(path, number, record, field="label"), record.get("split"))
        for number, record in _records(path)
    ]
    if len({label for _, label, _ in rows}) < 2:
        raise UserError(f"{path}: holds texts of fewer than two topics. Each line needs `text` and `label`.")
    texts, labels, splits = zip(*rows, strict=True)
    return LabelledTexts(texts, labels, splits)


def read_split_topics(path: Path) -> LabelledTexts:
    """As `read_topics`, with texts to train on and others to test on.

    Raises: UserError as `read_topics`, or when the `split` of the lines does not give both.
    """
    topics = read_topics(path)
    test = [split for split in topics.splits if split != TRAIN]
    if not 0 < len(test) < len(topics.splits):
        raise UserError(
            f"{path}: a probe learns from lines whose `split` is {TRAIN} and is tested on the others; this file has "
            f"{len(topics.splits) - len(test):,} and {len(test):,}. Add `split` to its lines."
        )
    return topics


def read_query_passages(path: Path) -> QueryPassages:
    """The queries and passages of a file.

    Raises: UserError as `read`, or when there are fewer than two passages.
    """
    queries: list[str] = []
    passages: dict[str, int] = {}
    answers: list[int] = []
    fields: tuple[str, str] | None = None
    for number, record in _records(path):
        fields = fields or next((pair for pair in QUERY_FIELDS if all(name in record for name in pair)), None)
        if fields is None:
            alternatives = "; ".join(f"`{query}` and `{passage}`" for query, passage in QUERY_FIELDS)
            raise UserError(
                f"{path}:{number}: no query with a passage. A line needs {alternatives} (or `text` and `label`)."
            )
        queries.append(_string(path, number, record, field=fields[0]))
        passage = _string(path, number, record, field=fields[1])
        answers.append(passages.setdefault(passage, len(passages)))
    if len(passages) < 2:
        raise UserError(f"{path}: holds fewer than two passages: there would be nothing to tell apart.")
    return QueryPassages(tuple(queries), tuple(passages), tuple(answers))


def _records(path: Path) -> Iterator[tuple[int, JsonObject]]:
    """The records of the lines that are not empty, with the line's number."""
    count = 0
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number}: not JSON ({error.msg}).") from error
        if not isinstance(record, dict):
            raise UserError(f"{path}:{number}: not a JSON object: {line[:60]!r}.")
        count += 1
        if count > MAX_TEXTS:
            raise UserError(
                f"{path}: more than {MAX_TEXTS:,} texts, and each is compared with each. Make the file shorter."
            )
        yield number, record


def _string(path: Path, number: int, record: JsonObject, *, field: str) -> str:
    value = record.get(field)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{path}:{number}: `{field}` should be a text, is {value!r:.60}.")
    return value


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data.startswith(GZIP) else data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start:,}). Convert it.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged gzip ({error}).") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error

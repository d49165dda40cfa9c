"""The files that sentence vectors are judged by: texts with a topic, and queries with the passage that answers each.

JSON Lines, gzip or not. Topics: `text` and `label`, and `split` where there is one. Pairs: `question` and `context` (as
SQuAD and CMRC 2018 have them), `query` and `passage`, or `en` and `zh`; equal passages are one. Any other line is
refused, never passed over. Memory: the file's texts; a file of more than MOST texts is refused, since each meets each.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError

PAIRS = (("question", "context"), ("query", "passage"), ("en", "zh"))
TRAIN = "train"
MOST = 20_000
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Topics:
    """Texts and what each is about; `splits` holds None where a line names none."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str | None, ...]


@dataclass(frozen=True)
class Pairs:
    """Queries; the distinct passages; and for each query the place of its own passage among them."""

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    answers: tuple[int, ...]


def read(path: Path) -> Topics | Pairs:
    """What a file holds, by the fields of its first line.

    Raises: UserError that names the first line which is not as the others, or what the file lacks.
    """
    first = next(_records(path), None)
    if first is None:
        raise UserError(f"{path}: holds no texts.")
    return read_topics(path) if "label" in first[1] else read_pairs(path)


def read_topics(path: Path) -> Topics:
    """The texts of a file with their topics.

    Raises: UserError as `read`, or when there are fewer than two topics: nothing could be told apart.
    """
    found = [
        (_string(path, number, record, "text"), _string(path, number, record, "label"), record.get("split"))
        for number, record in _records(path)
    ]
    if len({label for _, label, _ in found}) < 2:
        raise UserError(f"{path}: holds texts of fewer than two topics. Each line needs `text` and `label`.")
    texts, labels, splits = zip(*found, strict=True)
    return Topics(texts, labels, splits)


def read_split_topics(path: Path) -> Topics:
    """As `read_topics`, with texts to learn from and others to be judged by.

    Raises: UserError as `read_topics`, or when no `split` parts the texts.
    """
    found = read_topics(path)
    others = [split for split in found.splits if split != TRAIN]
    if not 0 < len(others) < len(found.splits):
        raise UserError(
            f"{path}: a probe learns from lines whose `split` is {TRAIN} and is judged by the others; this file has "
            f"{len(found.splits) - len(others):,} and {len(others):,}. Add `split` to its lines."
        )
    return found


def read_pairs(path: Path) -> Pairs:
    """The queries and passages of a file.

    Raises: UserError as `read`, or when there are fewer than two passages.
    """
    queries: list[str] = []
    passages: dict[str, int] = {}
    answers: list[int] = []
    fields: tuple[str, str] | None = None
    for number, record in _records(path):
        fields = fields or next((pair for pair in PAIRS if all(name in record for name in pair)), None)
        if fields is None:
            wanted = "; ".join(f"`{one}` and `{other}`" for one, other in PAIRS)
            raise UserError(f"{path}:{number}: no query with a passage. A line needs {wanted} (or `text` and `label`).")
        queries.append(_string(path, number, record, fields[0]))
        answers.append(passages.setdefault(_string(path, number, record, fields[1]), len(passages)))
    if len(passages) < 2:
        raise UserError(f"{path}: holds fewer than two passages; nothing could be told apart.")
    return Pairs(tuple(queries), tuple(passages), tuple(answers))


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
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
        if count > MOST:
            raise UserError(f"{path}: more than {MOST:,} texts, and each would meet each. Make the file shorter.")
        yield number, record


def _string(path: Path, number: int, record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{path}:{number}: `{name}` should be a text, is {value!r:.60}.")
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

"""Make a large corpus out of a small real one: further copies with the long words enciphered, so that no copy is a near
duplicate of another while word lengths, stop words, punctuation and repetition stay those of real text."""

from __future__ import annotations

import gzip
import json
import re
import string
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.core.files import JsonObject

VOWELS, CONSONANTS = "aeiou", "".join(sorted(set(string.ascii_lowercase) - set("aeiou")))
LONG_WORD = re.compile(r"[A-Za-z]{5,}")
HAN = re.compile(r"[\u4e00-\u9fff]")


def read(pattern: str, folder: Path) -> Iterator[JsonObject]:
    """The records of gzipped JSONL files, in order; lines that do not parse are left out."""
    paths = sorted(folder.glob(pattern))
    if not paths:
        sys.exit(f"{folder / pattern} does not exist. Set the folder of the data: BLOOMERY_DATA=/path/to/data")
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    record = json.loads(line)
                    record["text"].encode()
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    continue
                yield record


def cipher(number: int) -> dict[int, int]:
    """Letter → letter of copy `number`: vowels among vowels, consonants among consonants."""
    pairs = {}
    for letters, step in ((VOWELS, number % 5), (CONSONANTS, number * 5 % 21)):
        for index, letter in enumerate(letters):
            other = letters[(index + step) % len(letters)]
            pairs[ord(letter)], pairs[ord(letter.upper())] = ord(other), ord(other.upper())
    return pairs


def copy_of(text: str, number: int) -> str:
    """Copy `number` of a text (0: itself); Han characters move within their block, about half of them."""
    if not number:
        return text
    letters = cipher(number)
    text = LONG_WORD.sub(lambda found: found[0].translate(letters), text)
    return HAN.sub(lambda found: chr(0x4E00 + (ord(found[0]) - 0x4E00 + 7 * number) % 3000), text)


def enlarged(records: Iterable[JsonObject], copies: int) -> Iterator[JsonObject]:
    """Every record `copies` times over, copy by copy, with ids of their own."""
    held = list(records)
    for number in range(copies):
        for record in held:
            yield {
                "id": f"{record['id']}~{number}",
                "text": copy_of(record["text"], number),
                "lang": record.get("lang"),
            }


def write(records: Iterable[JsonObject], folder: Path, *, shard_bytes: int = 8 << 20) -> int:
    """Write gzipped JSONL shards; returns the bytes of text written."""
    folder.mkdir(parents=True, exist_ok=True)
    total, size, lines, index = 0, 0, [], 0

    def flush() -> None:
        nonlocal size, index
        if lines:
            with gzip.open(folder / f"{index:05d}.jsonl.gz", "wb", compresslevel=1) as stream:
                stream.write(b"".join(lines))
        lines.clear()
        size, index = 0, index + 1

    for record in records:
        data = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        lines.append(data)
        size += len(data)
        total += len(record["text"].encode())
        if size >= shard_bytes:
            flush()
    flush()
    return total

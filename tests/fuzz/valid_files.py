"""A small valid file for every reader, and how many records a damaged copy of it may hold without anybody noticing.

To add a reader, add a line to VALID_FILES; readers of the web have theirs in `valid_web_files.py`.
"""

from __future__ import annotations

import ast
import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tests.fuzz import valid_web_files

Recount = Callable[[bytes], int]
DOCUMENTS = 24
ROWS = [
    {
        "id": f"d{number}", "lang": "zh", "n": str(number),
        "text": f'第 {number} 篇文档, "quoted"\nand {"a word " * (number % 7)}',
    }
    for number in range(DOCUMENTS)
]  # fmt: skip
FIELDS = {"id": "id", "text": "text", "url": "url", "language": None}


@dataclass(frozen=True)
class ValidFile:
    """A file that its reader reads to so many `records`: documents, and what is skipped with a reason.

    `recount`: how many records a damaged copy holds, counted in another way, for formats in which a lost record leaves
    no trace, such as a line, or a whole gzip member. Elsewhere a copy must have as many documents, or a bad record.
    """

    name: str
    reader: str
    data: Callable[[], bytes]
    options: dict[str, Any] = field(default_factory=dict)
    recount: Recount | None = None
    records: int = DOCUMENTS
    within: str = ""  # what its name begins with in its source, where the reader looks at that


def lines() -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def count_lines(data: bytes) -> int:
    for mark in (b"\xef\xbb\xbf",):
        data = data.removeprefix(mark)
    return sum(1 for line in data.split(b"\n") if line and not line.isspace())


def count_elements(data: bytes) -> int:
    return len(json.loads(data))


def count_rows(data: bytes) -> int:
    """The rows without the header; of a file that is no CSV at all, none that could be missed."""
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig", "surrogateescape"), newline="\n"), strict=True))
    return len([row for row in rows if row]) - 1


def separated(delimiter: str) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(ROWS[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return stream.getvalue().encode()


def count_tabbed_rows(data: bytes) -> int:
    text = io.StringIO(data.decode("utf-8-sig", "surrogateescape"), newline="\n")
    return len([row for row in csv.reader(text, delimiter="\t", strict=True) if row]) - 1


def zstd() -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(lines())


def array() -> bytes:
    return json.dumps(ROWS, ensure_ascii=False, indent=1).encode()


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), stream, row_group_size=9, compression="zstd", write_page_checksum=True)
    return stream.getvalue()


def arrow(new: Callable[..., Any]) -> bytes:
    table = pa.Table.from_pylist(ROWS)
    stream = io.BytesIO()
    with new(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=9)
    return stream.getvalue()


def web_files() -> list[ValidFile]:
    return [
        ValidFile(
            name, reader, partial(data, DOCUMENTS), options, recount, records=1 if reader == "html" else DOCUMENTS
        )
        for name, (reader, data, options, recount) in valid_web_files.FILES.items()
    ]


def module() -> bytes:
    """A module whose docstrings are the documents."""
    parts = ['"""第 0 篇文档。"""\n\nimport os\n']
    for number in range(1, DOCUMENTS):
        head = ("def f{}(x: int = 1) -> None:", "class C{}:", "async def g{}():")[number % 3].format(number)
        parts.append(f'\n\n{head}\n    """第 {number} 篇文档, "quoted",\n\n    and more.\n    """\n    a = [os, 1]\n')
    return "".join(parts).encode()


def count_docstrings(data: bytes) -> int:
    """The docstrings anywhere in the tree, those of white space aside; a SyntaxError is a ValueError."""
    try:
        tree = ast.parse(data.decode("utf-8-sig"))
    except SyntaxError as error:
        raise ValueError(str(error)) from error
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    return sum(bool(docstring and docstring.strip()) for docstring in docstrings)


inflated_lines = partial(valid_web_files.inflated, count_lines)
RECORDS = {"fields": FIELDS}
DOCSTRINGS = {"min_characters": 1}
VALID_FILES = {
    valid.name: valid
    for valid in (
        ValidFile("a.jsonl", "jsonl", lines, RECORDS, count_lines),
        ValidFile("a.jsonl.gz", "jsonl", lambda: gzip.compress(lines()), RECORDS, inflated_lines(gzip.decompress)),
        ValidFile("a.jsonl.bz2", "jsonl", lambda: bz2.compress(lines()), RECORDS, inflated_lines(bz2.decompress)),
        ValidFile("a.jsonl.xz", "jsonl", lambda: lzma.compress(lines()), RECORDS, inflated_lines(lzma.decompress)),
        ValidFile("a.jsonl.zst", "jsonl", zstd, RECORDS),
        ValidFile("a.json", "json", array, RECORDS, count_elements),
        ValidFile("a.csv", "csv", lambda: separated(","), RECORDS, count_rows),
        ValidFile("a.tsv", "tsv", lambda: separated("\t"), RECORDS, count_tabbed_rows),
        ValidFile("a.txt", "plain", lambda: lines(), {"split": "line"}, count_lines),
        ValidFile("a.parquet", "parquet", parquet, RECORDS),
        ValidFile("file.arrow", "arrow", lambda: arrow(pa.ipc.new_file), RECORDS),
        ValidFile("stream.arrow", "arrow", lambda: arrow(pa.ipc.new_stream), RECORDS),
        ValidFile("a.py", "python_docs", module, DOCSTRINGS, count_docstrings, within="fuzz/"),
        *web_files(),
    )
}  # fmt: skip

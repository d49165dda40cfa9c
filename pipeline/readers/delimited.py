"""CSV and TSV: fields as they are written, so that `NA` stays `NA` and `007` stays `007`; an empty field is none.

The first line names the columns, unless `columns` does. The position of a document is its first line, from 1. Quotes
are those of RFC 4180: a field in quotes may hold line ends, and `""` for a quote. A row with too few or too many
fields, or with bytes that are no text, is one bad record. So is a line whose quote is not closed, or is closed within
a field: reading goes on with the line behind it, not with the end of the file.
Cost: 61 MB of text per CPU-second on documents of 6 kB.
"""

from __future__ import annotations

import csv
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.core.files import RawFile
from pipeline.readers.base import RAW_BYTES, BadRecord, FileSpan, Reader, Record, invalid_utf8, too_large
from pipeline.readers.divisions import divide_rows
from pipeline.readers.fields import RecordFields, missing_text, sample, written
from pipeline.readers.lines import Line, lines
from pipeline.readers.section import Delimited, Source, SourceParams
from pipeline.readers.streams import StreamError

REREAD = 8  # times max_record_bytes of a file that may be read again behind unclosed quotes
SNIFFED_ROWS = 20
CSV_ENDINGS, TSV_ENDINGS = (".csv",), (".tsv", ".tab")


class Row(NamedTuple):
    """A row: the line where it begins, its fields, and its bytes."""

    position: int
    fields: list[str]
    raw: bytes


class Csv(Reader):
    """Reads a document from each row."""

    format = "CSV"
    delimiter = ","

    def __init__(self, options: SourceParams, *, max_record_bytes: int) -> None:
        super().__init__(options, max_record_bytes=max_record_bytes)
        self.fields = RecordFields(options["fields"])
        self.separator: str = options.get("delimiter") or self.delimiter
        self.columns: list[str] | None = options.get("columns")
        self.encoding: str = options.get("encoding", "utf-8")

    @property
    def left_out(self) -> int:
        return self.fields.left_out

    @classmethod
    def recognizes(cls, head: bytes, name: str) -> bool:
        return _is_table(head, ",", name.endswith(CSV_ENDINGS))

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        if not isinstance(source, Delimited):
            return None
        names = source.columns or [name for file in sample(files) for name in _header(cls, source, file)]
        return missing_text(source.fields.text, names, "the files have no column")

    def divide(self, file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
        return divide_rows(file, span_bytes) if self.encoding == "utf-8" else ()

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | BadRecord]:
        return self._records(file, None, after)

    def read_span(self, file: RawFile, span: FileSpan, *, after: int = -1) -> Iterator[Record | BadRecord]:
        return self._records(file, span, after)

    def _records(self, file: RawFile, span: FileSpan | None, after: int) -> Iterator[Record | BadRecord]:
        names = self.columns
        if names is None and span is not None and span.start:
            names = next((row.fields for row in self.rows(file) if isinstance(row, Row)), [])
        names = names and _unique(names)
        for row in self.rows(file, span):
            if isinstance(row, BadRecord):
                if row.position > after:
                    yield row
            elif names is None:
                names = _unique(row.fields)
            elif row.position > after:
                yield self._record(names, row)

    def rows(self, file: RawFile, span: FileSpan | None = None) -> Iterator[Row | BadRecord]:
        """Every row of a file or a span, the header included."""
        numbered = lines(file.path, limit=self.max_record_bytes, encoding=self.encoding, span=span)
        return _RowParser(numbered, self.separator, self.max_record_bytes).rows()

    def _record(self, names: Sequence[str], row: Row) -> Record | BadRecord:
        if len(row.fields) != len(names):
            detail = f"{len(row.fields):,} fields; the header has {len(names):,}"
            return BadRecord(row.position, "ragged_row", detail, row.raw[:RAW_BYTES])
        values: dict[str, object] = {name: field for name, field in zip(names, row.fields, strict=True) if field}
        for path in self.fields.texts:
            if path in names:
                values.setdefault(path, "")
        return self.fields.document(row.position, values, row.raw, written)


class Tsv(Csv):
    """CSV with tabs."""

    format = "TSV"
    delimiter = "\t"

    @classmethod
    def recognizes(cls, head: bytes, name: str) -> bool:
        return _is_table(head, "\t", name.endswith(TSV_ENDINGS))


class _RowTooLong(Exception):
    """The lines of a row are longer than a record may be."""


class _RowParser:
    """Parses lines to rows. `taken` are the lines of the row in hand, `again` those to be read once more."""

    def __init__(self, numbered: Iterator[Line | BadRecord], delimiter: str, limit: int) -> None:
        self.numbered = numbered
        self.delimiter = delimiter
        self.limit = limit
        self.again: deque[Line] = deque()
        self.taken: list[Line] = []
        self.size = 0
        self.bad_line: BadRecord | None = None
        self.reread = 0

    def rows(self) -> Iterator[Row | BadRecord]:
        csv.field_size_limit(1 << 31)  # of the process; the length of a row is bounded here
        parser = self._parser()
        while True:
            self.taken = []
            self.size = 0
            try:
                fields = next(parser, None)
                if fields:
                    yield self._row(fields)
                elif fields is None and self.bad_line is None:
                    return
            except _RowTooLong:
                yield self._unclosed(f"a quote is not closed within {self.limit:,} bytes")
                parser = self._parser()
            except csv.Error as error:
                end = "unexpected end" in str(error)
                yield self._unclosed("a quote is not closed up to the end of the file" if end else str(error))
                parser = self._parser()
            if self.bad_line is not None and not self.again:
                yield self.bad_line
                self.bad_line = None
                parser = self._parser()

    def _parser(self) -> Iterator[list[str]]:
        return csv.reader(self._texts(), delimiter=self.delimiter, strict=True)

    def _texts(self) -> Iterator[str]:
        """The next lines as the parser asks for them; ends before a line that cannot be read."""
        while True:
            line = self.again.popleft() if self.again else None if self.bad_line else next(self.numbered, None)
            if isinstance(line, BadRecord):
                self.bad_line = line
            if line is None or isinstance(line, BadRecord):
                return
            self.taken.append(line)
            self.size += len(line[1]) + 1
            if self.size > self.limit:
                raise _RowTooLong
            yield line[1].decode("utf-8", "surrogateescape") + "\n"

    def _row(self, fields: list[str]) -> Row | BadRecord:
        position = self.taken[0][0]
        raw = self.taken[0][1] if len(self.taken) == 1 else b"\n".join(line for _, line in self.taken)
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            return invalid_utf8(position, raw, error)
        return Row(position, fields, raw)

    def _unclosed(self, reason: str) -> BadRecord:
        """A bad record for the first line of the row in hand; the lines behind it are read again."""
        (position, line), *behind = self.taken
        if not behind and self.size > self.limit:
            return too_large(position, len(line), self.limit, line)
        self.reread += self.size
        if self.reread <= REREAD * self.limit:
            self.again.extendleft(reversed(behind))
        elif behind:
            reason += f"; lines {position:,} to {behind[-1][0]:,} are lost"
        return BadRecord(position, "unclosed_quote", reason, line[:RAW_BYTES])


def _unique(names: Sequence[str]) -> list[str]:
    """The names of the columns; a name that is repeated gets a number."""
    unique: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        unique.append(
            name if name not in unique else next(candidate for candidate in numbered if candidate not in unique)
        )
    return unique


def _header(reader: type[Csv], source: Delimited, file: RawFile) -> list[str]:
    rows = reader(source.model_dump(mode="json"), max_record_bytes=1 << 20).rows(file)
    try:
        row = next(rows, None)
    except (StreamError, OSError):
        return []
    return _unique(row.fields) if isinstance(row, Row) else []


def _is_table(head: bytes, delimiter: str, named: bool) -> bool:
    """Whether the first rows have the same number of fields; a name such as `a.csv` is enough for text of one row."""
    rows_text = head if len(head) < 1 << 15 else head[: head.rfind(b"\n") + 1]
    try:
        text = rows_text.decode("utf-8-sig", "strict" if not named else "replace")
        parsed = list(itertools.islice(csv.reader(text.splitlines(keepends=True), delimiter=delimiter), SNIFFED_ROWS))
    except (UnicodeDecodeError, csv.Error):
        return False
    rows = [row for row in parsed if row]
    if named:
        return bool(rows) and "\0" not in text
    names = rows[0] if rows else []
    if text.lstrip()[:1] in ("{", "[", "<"):
        return False
    header = len(names) > 1 and len(set(names)) == len(names) and all(name and len(name) <= 64 for name in names)
    return header and len(rows) > 2 and all(len(row) == len(names) for row in rows[1:-1])

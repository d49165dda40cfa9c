"""A corpus that every Python installation has: docstrings, READMEs and licences of pinned distributions.

Files: those listed in RECORD, ordered by the sha256 of (distribution, path), up to the budget of raw bytes, so that the
same pins give the same corpus on every machine. Documents: every docstring of a module, class or function with at least
`min_characters` after `inspect.cleandoc` (shorter ones say too little to train on), the long description in METADATA,
and each licence file. Copies are kept for deduplication to find.
Sources are parsed with `ast` in worker processes and never imported. Cost: 9 MB of source per CPU-second, which hold
1.4 MB of text.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import re
import warnings
from collections.abc import Iterator
from email.parser import Parser
from importlib import metadata
from inspect import cleandoc
from pathlib import Path
from typing import NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile, open_bytes, version_of
from pipeline.readers.base import BadRecord, Reader, Record, encode_text, invalid_utf8, too_large
from pipeline.readers.section import PythonDocs as Section
from pipeline.readers.section import Source

MAX_SOURCE_BYTES = 1 << 20  # larger modules are tables and generated code
# not documentation: tests, generated code, and modules whose bytes depend on how a wheel was built
EXCLUDED = re.compile(r"(^|/)(tests?|testing)/|_pb2(_grpc)?\.py$|(^|/)_?(git_)?version(_\w+)?\.py$|(^|/)\.\.(/|$)")
LICENCE = re.compile(r"\.dist-info/(licenses/.*|(LICEN[CS]E|COPYING|NOTICE)[^/]*)$", re.IGNORECASE)
GENERATED = re.compile(r"^[#\s\"']*.*\b(generated (automatically )?by|auto-?generated|do not edit)\b", re.I | re.M)
GENERATED_LINES = 5


class _RecordedFile(NamedTuple):
    """A file of a distribution, as RECORD lists it."""

    order: bytes
    name: str
    path: str
    size: int


class PythonDocs(Reader):
    """Reads the docstrings of a module, the description in a METADATA file, or a licence."""

    isolation = "processes"

    @classmethod
    def match(cls, source: Source) -> list[RawFile]:
        """List the files of the pinned distributions within the budget, sorted by name. Only RECORD is read.

        Raises: UserError with the pip command when a distribution is missing or of another version.
        """
        assert isinstance(source, Section)
        candidates = [file for pin in _installed(source.packages) for file in _recorded_files(pin)]
        budget = source.bytes
        selected: list[_RecordedFile] = []
        for file in sorted(candidates):
            if budget is not None and budget < file.size:
                break
            budget = None if budget is None else budget - file.size
            selected.append(file)
        if not selected:
            raise UserError(f"ingest source '{source.name}': {source.bytes:,} bytes hold no file. Raise `bytes`.")
        return sorted((_raw_file(file) for file in selected), key=lambda file: file.name.encode())

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | BadRecord]:
        with open_bytes(file.path) as stream:
            data = stream.read(self.max_record_bytes + 1)
        if len(data) > self.max_record_bytes:
            yield too_large(0, file.size, self.max_record_bytes, data)
            return
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            yield invalid_utf8(0, data, error)
            return
        distribution, _, path = file.name.partition("/")
        for position, name, document in _documents(path, text):
            if position <= after:
                continue
            if isinstance(document, BadRecord):
                yield document
            elif len(document) >= self.options["min_characters"]:
                yield _record(position, document, distribution, path, name)


def _installed(pins: list[str]) -> Iterator[metadata.Distribution]:
    """The distribution of every pin.

    Raises: UserError that lists all missing and mismatched ones.
    """
    distributions: list[metadata.Distribution] = []
    problems: list[str] = []
    for pin in pins:
        name, _, version = pin.partition("==")
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            problems.append(f"{name} is not installed")
            continue
        # a local version ("+cpu") says how a wheel was built, not which sources it holds
        if distribution.version not in (version, version.partition("+")[0]) and not distribution.version.startswith(
            f"{version}+"
        ):
            problems.append(f"{name} is {distribution.version}, not {version}")
        distributions.append(distribution)
    if problems:
        raise UserError(f"python_docs: {'; '.join(problems)}. Install the pins: pip install {' '.join(pins)}")
    return iter(distributions)


def _recorded_files(distribution: metadata.Distribution) -> Iterator[_RecordedFile]:
    name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
    record = distribution.read_text("RECORD")
    if record is None:
        raise UserError(f"python_docs: {name} was installed without a RECORD. Install it with pip.")
    folder = str(distribution.locate_file(""))  # a Path for each of 20,000 files would take a quarter of a second
    for path, sha256, size in csv.reader(record.splitlines()):
        # an entry without a hash was written at installation and is not part of the distribution
        if sha256 and size and _is_documentation(path, int(size)):
            order = hashlib.sha256(f"{name}\0{path}".encode()).digest()
            yield _RecordedFile(order, f"{name}/{path}", f"{folder}/{path}", int(size))


def _is_documentation(path: str, size: int) -> bool:
    if not 0 < size <= MAX_SOURCE_BYTES or EXCLUDED.search(path):
        return False
    return path.endswith((".py", ".dist-info/METADATA")) or bool(LICENCE.search(path))


def _raw_file(file: _RecordedFile) -> RawFile:
    try:
        status = Path(file.path).stat()
    except OSError as error:
        distribution = file.name.partition("/")[0]
        raise UserError(
            f"python_docs: {file.name} cannot be opened ({error.strerror}). Install it again: pip install"
            f" --force-reinstall {distribution}"
        ) from error
    return RawFile(file.path, file.name, status.st_size, status.st_mtime, version_of(status))


def _record(position: int, text: str, distribution: str, path: str, name: str) -> Record | BadRecord:
    data = encode_text(position, text)
    if isinstance(data, BadRecord):
        return data
    origin = {"distribution": distribution, "path": path, **({"qualname": name} if name else {})}
    return Record(position, data, f"{path}:{name}" if name else path, metadata=origin)


def _documents(path: str, text: str) -> Iterator[tuple[int, str, str | BadRecord]]:
    """Yield (position, qualified name, text) of every document of a file, of any length."""
    if path.endswith(".py"):
        return _docstrings(text)
    if path.endswith("/METADATA"):
        message = Parser().parsestr(text)
        return iter([(0, "", str(message.get_payload() or message.get("Description", "")).strip())])
    return iter([(0, "", text)])


def _docstrings(text: str) -> Iterator[tuple[int, str, str | BadRecord]]:
    """Docstrings in the order of the source, counted from 0; a single bad record if the source does not parse."""
    if GENERATED.search("\n".join(text.split("\n", GENERATED_LINES)[:GENERATED_LINES])):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escape sequences in third-party code
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        yield 0, "", BadRecord(0, "unparsable_python", f"{type(error).__name__}: {error}", text[:2000].encode()[:2000])
        return
    position = 0
    pending: list[tuple[ast.AST, str]] = [(tree, "")]
    while pending:
        node, name = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            if docstring is not None:
                yield position, name, cleandoc(docstring).strip()
                position += 1
        pending += [(child, _name_of(child, name)) for child in reversed(list(ast.iter_child_nodes(node)))
                    if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)]  # fmt: skip


def _name_of(node: ast.AST, above: str) -> str:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return above
    return f"{above}.{node.name}" if above else node.name

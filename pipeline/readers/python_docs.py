"""The documentation that every Python installation holds: docstrings, READMEs and licences of pinned distributions.

Which files: those that RECORD lists, in the order of the sha256 of (distribution, path), up to the budget of raw bytes;
so the same pins give the same corpus on every machine. Which documents: every docstring of a module, class or function
of at least `min_characters`, as `inspect.cleandoc` lays it out (a shorter one says too little to train on), the long
description of METADATA, each licence file. Copies are left in: deduplication needs something to do.
Sources are parsed with `ast`, never imported, in worker processes. Cost: 9 MB of source per CPU-second, which hold
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
from pipeline.readers.base import Bad, Reader, Record, checked_text, invalid_utf8, too_large
from pipeline.readers.section import PythonDocs as Section
from pipeline.readers.section import Source

MAX_SOURCE_BYTES = 1 << 20  # larger modules are tables and generated code
# not documentation: tests, generated code, and modules whose bytes depend on how a wheel was built
SKIPPED = re.compile(r"(^|/)(tests?|testing)/|_pb2(_grpc)?\.py$|(^|/)_?(git_)?version(_\w+)?\.py$|(^|/)\.\.(/|$)")
LICENCE = re.compile(r"\.dist-info/(licenses/.*|(LICEN[CS]E|COPYING|NOTICE)[^/]*)$", re.IGNORECASE)
GENERATED = re.compile(r"^[#\s\"']*.*\b(generated (automatically )?by|auto-?generated|do not edit)\b", re.I | re.M)
GENERATED_LINES = 5


class _Listed(NamedTuple):
    """A line of RECORD that is worth reading."""

    order: bytes
    name: str
    path: Path
    size: int


class PythonDocs(Reader):
    """The docstrings of a module, the description of a METADATA file, or a licence."""

    isolation = "processes"

    @classmethod
    def match(cls, source: Source) -> list[RawFile]:
        """The files of the pinned distributions within the budget, sorted by name; RECORD alone is read.

        Raises: UserError with the pip command when a distribution is missing or of another version.
        """
        assert isinstance(source, Section)
        listed = [file for pin in _installed(source.packages) for file in _listed(pin)]
        budget, chosen = source.bytes, []
        for file in sorted(listed):
            if budget is not None and budget < file.size:
                break
            budget = None if budget is None else budget - file.size
            chosen.append(file)
        if not chosen:
            raise UserError(f"ingest source '{source.name}': {source.bytes:,} bytes hold no file. Raise `bytes`.")
        return sorted((_raw_file(file) for file in chosen), key=lambda file: file.name.encode())

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | Bad]:
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
        for position, name, found in _documents(path, text):
            if position > after and (isinstance(found, Bad) or len(found) >= self.options["min_characters"]):
                yield found if isinstance(found, Bad) else _record(position, found, distribution, path, name)


def _installed(pins: list[str]) -> Iterator[metadata.Distribution]:
    """The distribution of every pin; all that is wrong is told at once."""
    found, wrong = [], []
    for pin in pins:
        name, _, version = pin.partition("==")
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        # a build tag ("+cpu") says how a wheel was built, not which sources it holds
        if distribution.version not in (version, version.partition("+")[0]) and not distribution.version.startswith(
            f"{version}+"
        ):
            wrong.append(f"{name} is {distribution.version}, not {version}")
        found.append(distribution)
    if wrong:
        raise UserError(f"python_docs: {'; '.join(wrong)}. Install the pins: pip install {' '.join(pins)}")
    return iter(found)


def _listed(distribution: metadata.Distribution) -> Iterator[_Listed]:
    name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
    record = distribution.read_text("RECORD")
    if record is None:
        raise UserError(f"python_docs: {name} was installed without a RECORD. Install it with pip.")
    for path, sha256, size in csv.reader(record.splitlines()):
        # without a hash: written at installation, not part of the distribution
        if sha256 and size and _wanted(path, int(size)):
            order = hashlib.sha256(f"{name}\0{path}".encode()).digest()
            yield _Listed(order, f"{name}/{path}", Path(str(distribution.locate_file(path))), int(size))


def _wanted(path: str, size: int) -> bool:
    if not 0 < size <= MAX_SOURCE_BYTES or SKIPPED.search(path):
        return False
    return path.endswith((".py", ".dist-info/METADATA")) or bool(LICENCE.search(path))


def _raw_file(file: _Listed) -> RawFile:
    try:
        status = file.path.stat()
    except OSError as error:
        distribution = file.name.partition("/")[0]
        raise UserError(
            f"python_docs: {file.name} is not there ({error.strerror}). Install it again: pip install"
            f" --force-reinstall {distribution}"
        ) from error
    return RawFile(str(file.path), file.name, status.st_size, status.st_mtime, version_of(status))


def _record(position: int, text: str, distribution: str, path: str, name: str) -> Record | Bad:
    data = checked_text(position, text)
    if isinstance(data, Bad):
        return data
    where = {"distribution": distribution, "path": path, **({"qualname": name} if name else {})}
    return Record(position, data, f"{path}:{name}" if name else path, metadata=where)


def _documents(path: str, text: str) -> Iterator[tuple[int, str, str | Bad]]:
    """(position, qualified name, text) of every document of a file, however short."""
    if path.endswith(".py"):
        return _docstrings(text)
    if path.endswith("/METADATA"):
        message = Parser().parsestr(text)
        return iter([(0, "", str(message.get_payload() or message.get("Description", "")).strip())])
    return iter([(0, "", text)])


def _docstrings(text: str) -> Iterator[tuple[int, str, str | Bad]]:
    """Docstrings in the order of the source, counted from 0; one bad record where the source does not parse."""
    if GENERATED.search("\n".join(text.split("\n", GENERATED_LINES)[:GENERATED_LINES])):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        yield 0, "", Bad(0, "unparsable_python", f"{type(error).__name__}: {error}", text[:2000].encode()[:2000])
        return
    position = 0
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, name = waiting.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = ast.get_docstring(node, clean=False)
            if found is not None:
                yield position, name, cleandoc(found).strip()
                position += 1
        waiting += [(child, _name_of(child, name)) for child in reversed(list(ast.iter_child_nodes(node)))
                    if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)]  # fmt: skip


def _name_of(node: ast.AST, above: str) -> str:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return above
    return f"{above}.{node.name}" if above else node.name

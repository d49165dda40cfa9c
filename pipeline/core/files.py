"""Files: raw ones are listed and opened through fsspec, our own are written beside and renamed.

A reader never sees half a file of ours: `replacing` gives a temporary sibling and renames it when the block succeeds.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline.core.errors import UserError

TEMPORARY = ".tmp"


@dataclass(frozen=True)
class RawFile:
    """A file of a source. `name` is its path relative to its glob's root: the only path that enters an identity."""

    path: str
    name: str
    size: int
    mtime: float


def match(patterns: Sequence[str]) -> list[RawFile]:
    """The files that match, sorted by the bytes of their names; a file matched twice counts once.

    Raises: UserError when a pattern matches no file.
    """
    found: dict[str, RawFile] = {}
    for pattern in patterns:
        files = _match_remote(pattern) if "://" in pattern else _match_local(pattern)
        if not files:
            raise UserError(f"{pattern}: no file matches. Check the path; it is relative to the current directory.")
        for file in files:
            found.setdefault(file.path, file)
    return sorted(found.values(), key=lambda file: (file.name.encode(), file.path.encode()))


def glob_root(pattern: str) -> str:
    """The folder above the first part that holds a wildcard; for a plain path, the folder it lies in."""
    parts = pattern.split("/")
    for index, part in enumerate(parts):
        if glob.has_magic(part):
            return "/".join(parts[:index])
    return "/".join(parts[:-1])


def _match_local(pattern: str) -> list[RawFile]:
    if Path(pattern).is_dir():
        pattern = f"{pattern.rstrip('/')}/**/*"
    root = glob_root(pattern) or "."
    files = []
    # Path.glob neither takes an absolute pattern nor sorts as this does
    for path in glob.iglob(pattern, recursive=True):  # noqa: PTH207
        if not Path(path).is_file():
            continue
        status = Path(path).stat()
        name = os.path.relpath(path, root).replace(os.sep, "/")
        files.append(RawFile(str(Path(path).absolute()), name, status.st_size, status.st_mtime))
    return files


def _match_remote(pattern: str) -> list[RawFile]:
    import fsspec

    system, path = fsspec.core.url_to_fs(pattern)
    root = glob_root(path)
    found = system.glob(path, detail=True) if glob.has_magic(path) else {path: system.info(path)}
    files = []
    for name, info in found.items():
        if info.get("type") != "file":
            continue
        relative = name[len(root) :].lstrip("/") if root and name.startswith(root) else name
        stamp = info.get("mtime") or info.get("LastModified") or info.get("created") or 0.0
        mtime = float(stamp.timestamp()) if hasattr(stamp, "timestamp") else float(stamp or 0.0)
        files.append(RawFile(system.unstrip_protocol(name), relative, int(info.get("size") or 0), mtime))
    return files


def open_bytes(path: str | Path) -> BinaryIO:
    """Open for reading, here or behind a URL that fsspec knows. Never decompresses: the reader decides how."""
    text = str(path)
    if "://" not in text:
        return cast(BinaryIO, Path(text).open("rb"))
    import fsspec

    return cast(BinaryIO, fsspec.open(text, "rb", compression=None).open())


def sha256_file(path: str | Path) -> str:
    """sha256 of a file's bytes, hex; about 1 GB a CPU-second where the processor has the instruction."""
    with open_bytes(path) as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, in UTF-8: the form that fingerprints are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path`, renamed onto it when the block ends well and removed when it does not."""
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{TEMPORARY}")
    try:
        yield beside
        _sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with sorted keys, whole or not at all."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON written by `write_json`."""
    return json.loads(path.read_text(encoding="utf-8"))


def _sync(path: Path) -> None:
    # a rename may reach the disk before the data it names; without this a power cut leaves an empty "finished" file
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

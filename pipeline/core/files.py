"""Files: raw ones are opened through fsspec (`listing.py` lists them), our own are written beside and renamed.

A reader never sees half a file of ours: `replacing` gives a temporary sibling and renames it when the block succeeds.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

TEMPORARY = ".tmp"
# two hosts that share a folder may have the same process id, and write the same file: the copy of a slow task
_PROCESS = secrets.token_hex(4)
_WRITTEN: ContextVar[list[Path] | None] = ContextVar("written", default=None)
JsonValue: TypeAlias = Any
"""What a JSON document may be; a recursive union would ask for a cast at every step into it."""
JsonObject: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True)
class RawFile:
    """A file of a source. `name` is its path relative to its glob's root: the only path that enters an identity.

    `version` differs once the content may have changed; it is empty where nothing tells.
    """

    path: str
    name: str
    size: int
    mtime: float
    version: str = ""


def version_of(status: os.stat_result) -> str:
    """What tells one content of a local file from the next: a replaced file has another inode, a written one another
    ctime, even if its size and mtime are set back."""
    return f"{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def expand_user(path: str) -> str:
    """The path with `~` at its beginning as the home folder; `./~` names what is really called so.

    Raises: ValueError when there is no such user.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        user = path.partition("/")[0]
        raise ValueError(f"'{path}': {user} has no home folder here; write ./{path} for a name with a tilde") from error


def open_bytes(path: str | Path) -> BinaryIO:
    """Open for reading, here or behind a URL that fsspec knows. Never decompresses: the reader decides how."""
    text = str(path)
    if "://" not in text:
        return cast(BinaryIO, Path(text).open("rb"))
    import fsspec

    from pipeline.core.hub import options_to_read

    return cast(BinaryIO, fsspec.open(text, "rb", compression=None, **options_to_read(text)).open())


def sha256_file(path: str | Path) -> str:
    """sha256 of a file's bytes, hex; about 1 GB a CPU-second where the processor has the instruction."""
    with open_bytes(path) as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of(file: RawFile) -> str:
    """sha256 of a file's bytes, hex; read once for each version of it, where it has one."""
    return _sha256_of_version(file) if file.version else sha256_file(file.path)


@lru_cache(1024)
def _sha256_of_version(file: RawFile) -> str:
    return sha256_file(file.path)


def sha256_bytes(data: bytes) -> str:
    """sha256 of bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: JsonValue) -> bytes:
    """JSON with sorted keys, no spaces, in UTF-8: the form that fingerprints are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path`; it is renamed to `path` when the block succeeds and removed when it fails.

    The file gets the mode that the umask gives: some libraries (safetensors) create files readable by the owner only.
    """
    beside = path.with_name(f".{path.name}.{_PROCESS}-{os.getpid()}-{threading.get_ident()}{TEMPORARY}")
    try:
        yield beside
        beside.chmod(0o666 & ~umask())
        _sync(beside)
        beside.replace(path)
        note_written(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def recording() -> Iterator[list[Path]]:
    """The files that appear by `replacing` in this thread while the block runs; an inner block takes its own."""
    written = list[Path]()
    token = _WRITTEN.set(written)
    try:
        yield written
    finally:
        _WRITTEN.reset(token)


def note_written(path: Path) -> None:
    """Record a file that appeared: every writer that renames for itself calls this."""
    written = _WRITTEN.get()
    if written is not None:
        written.append(path)


def write_json(path: Path, value: JsonValue) -> None:
    """Write indented JSON with sorted keys, by rename."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def read_json(path: Path) -> JsonValue:
    """Read JSON written by `write_json`."""
    return json.loads(path.read_text(encoding="utf-8"))


def umask() -> int:
    """The umask of this process; 20 us. The C library can only return it by changing it, for every thread."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


def _sync(path: Path) -> None:
    # a rename may reach the disk before the data; without this, a power cut could leave an empty "finished" file
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_texts(value: JsonValue, table: Mapping[str, str]) -> JsonValue:
    """A copy of plain data in which every text that is in the table is replaced by what stands there."""
    if isinstance(value, dict):
        return {key: replace_texts(item, table) for key, item in value.items()}
    if isinstance(value, list):
        return [replace_texts(item, table) for item in value]
    return table.get(value, value) if isinstance(value, str) else value

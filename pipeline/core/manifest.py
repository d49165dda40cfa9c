"""The manifest: what an artifact is, what it was made of, and the digests that prove it; other programs read it.

It holds no time, host or worker count: the same work gives the same `digest` anywhere. Those go to `journal.jsonl`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.counts import StageCounts
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, JsonValue, canonical_json
from pipeline.core.numerics import ModelNumerics, ScoreNumerics
from pipeline.core.shards import FileEntry

NAME = "manifest.json"
JOURNAL = "journal.jsonl"

StageHashes = dict[str, str | list[str]]
"""Stage → the fingerprint or digest of its artifact; a list where several parts were read."""


def as_list(value: str | list[str]) -> list[str]:
    """One value of StageHashes as a list of parts, in order."""
    return [value] if isinstance(value, str) else list(value)


def fingerprint(
    stage: str, version: int, params: Mapping[str, JsonValue], inputs: Mapping[str, str | list[str]]
) -> str:
    """The identity of an artifact: sha256 of the canonical JSON of stage, version, params and input fingerprints."""
    identity = {"stage": stage, "version": version, "params": dict(params), "inputs": dict(inputs)}
    return hashlib.sha256(canonical_json(identity)).hexdigest()


def digest_of(files: Iterable[FileEntry]) -> str:
    """sha256 over the lines `SHA256  PATH`, sorted by path bytes: what `sha256sum` prints of the recorded files."""
    lines = (f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda file: file.path.encode()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def content_digest_of(files: Iterable[FileEntry]) -> str:
    """Like `digest_of`, but of the values of the columns; the hash in a file name is left out."""
    contents = sorted((_stable_path(file.path), file.content) for file in files)
    return hashlib.sha256("".join(f"{content}  {path}\n" for path, content in contents).encode()).hexdigest()


def _stable_path(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if suffix != "parquet" or stem.count("-") != 2:
        return path
    return f"{folder}{slash}{stem.rpartition('-')[0]}{dot}{suffix}"


@dataclass(frozen=True)
class Manifest:
    """manifest.json as a value. `inputs`: stage → fingerprint, a list where the stage was read in several parts.

    `numerics`: the class of a model's last bits. `input_digests`: as `inputs`, the digest of each input; empty where an
    earlier release wrote the manifest. Neither is part of the fingerprint or the digest.
    """

    stage: str
    version: int
    fingerprint: str
    kind: str
    params: JsonObject
    inputs: StageHashes
    files: tuple[FileEntry, ...]
    counts: StageCounts
    digest: str
    content_digest: str
    numerics: ModelNumerics | ScoreNumerics | None = None
    input_digests: StageHashes = field(default_factory=dict)

    def to_dict(self) -> JsonObject:
        files = [
            {"path": file.path, "bytes": file.bytes, "rows": file.rows, "sha256": file.sha256} for file in self.files
        ]
        return {**self.__dict__, "files": files}

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read an artifact's manifest.

        Raises: StageFailed when it is not one of ours.
        """
        return cls.parse(path.read_bytes(), str(path))

    @classmethod
    def parse(cls, data: bytes, where: str) -> Manifest:
        """Parse the bytes of a manifest.json; `where` names the file in the error.

        Raises: StageFailed when it is not one of ours.
        """
        try:
            value = json.loads(data)
            # the values' hash is in content_digest; a file's own is not needed again
            files = tuple(FileEntry(content="", **file) for file in value.pop("files"))
            return cls(files=files, **value)
        except (ValueError, TypeError, KeyError) as error:
            raise StageFailed(f"{where}: not a manifest of ours ({error}). Delete its folder and run again.") from error

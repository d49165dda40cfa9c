"""A published artifact as other stages see it: its manifest, and its files as local paths, wherever it is stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from pipeline.core.cache import ARTIFACTS, Cache
from pipeline.core.errors import StageFailed
from pipeline.core.files import write_json
from pipeline.core.journal import JournalLine
from pipeline.core.manifest import JOURNAL, NAME, Manifest, digest_of
from pipeline.core.objects import DOWNLOADS, ObjectStore
from pipeline.core.parallel import in_parallel
from pipeline.core.shards import FileEntry

JOURNALS = "journal"  # a folder with one object per line: objects cannot be appended to


@dataclass(frozen=True)
class Remote:
    """An artifact behind a URL: its manifest is <store>/store/<stage>/<fingerprint>, its files are objects of a draft.

    `cache` holds downloaded files. They are named by digest, so they never become stale.
    """

    objects: ObjectStore
    stage: str
    fingerprint: str
    cache: Cache

    @property
    def key(self) -> str:
        return f"store/{self.stage}/{self.fingerprint}"

    @property
    def uri(self) -> str:
        return f"{self.objects.url}/{self.key}"

    @classmethod
    def at(cls, uri: str, cache: Cache) -> Remote:
        """From the URI of an artifact."""
        root, _, key = uri.rpartition("/store/")
        stage, _, fingerprint = key.partition("/")
        return cls(ObjectStore(root), stage, fingerprint, cache)

    def manifest(self) -> Manifest:
        """Raises: FileNotFoundError when there is none; StageFailed when it is not what was published."""
        for _ in range(DOWNLOADS):
            manifest = _parse_verified(self.objects.read(f"{self.key}/{NAME}"), f"{self.uri}/{NAME}")
            if manifest is not None and manifest.fingerprint == self.fingerprint:
                return manifest
        raise StageFailed(f"{self.uri}/{NAME}: is not what was published. Run the stage with --force.")

    def object_key(self, sha256: str) -> str:
        """The key of a file. It is the hash of its bytes, so two attempts cannot conflict."""
        return f"draft/{self.fingerprint}/files/{sha256}"


def _parse_verified(data: bytes, place: str) -> Manifest | None:
    """A manifest whose digest is that of its files; None when a part of it is missing or another."""
    try:
        manifest = Manifest.parse(data, place)
    except StageFailed:
        return None
    return manifest if manifest.digest == digest_of(manifest.files) else None


@dataclass(frozen=True)
class Artifact:
    """A published artifact, which never changes. `place`: its folder on a local disk, or its location behind a URL."""

    place: Path | Remote
    manifest: Manifest

    @classmethod
    def at(cls, place: Path | Remote) -> Artifact:
        """Open the artifact by reading its manifest.

        Raises: StageFailed when the manifest is not one of ours.
        """
        return cls(place, place.manifest() if isinstance(place, Remote) else Manifest.read(place / NAME))

    @classmethod
    def of(cls, uri: str, cache: Cache) -> Artifact:
        """Open the artifact with this `uri`."""
        return cls.at(Remote.at(uri, cache) if "://" in uri else Path(uri))

    @property
    def uri(self) -> str:
        """Its location: a path or a URL."""
        return self.place.uri if isinstance(self.place, Remote) else str(self.place)

    def published_at(self) -> float:
        """When it was published, in seconds since 1970."""
        if isinstance(self.place, Remote):
            return self.place.objects.modified(f"{self.place.key}/{NAME}")
        return (self.place / NAME).stat().st_mtime

    def sibling(self, stage: str, fingerprint: str) -> Artifact | None:
        """Another artifact of the same store, if it is still there."""
        if isinstance(self.place, Remote):
            remote = Remote(self.place.objects, stage, fingerprint, self.place.cache)
            try:
                return Artifact.at(remote)
            except FileNotFoundError:
                return None
        folder = self.place.parents[1] / stage / fingerprint
        return Artifact.at(folder) if (folder / NAME).exists() else None

    def has(self, name: str) -> bool:
        """Whether a file of this name is recorded."""
        return name in self._sha256

    def file(self, name: str) -> Path:
        """The local path of a recorded file; a file of a remote artifact is downloaded once."""
        if isinstance(self.place, Path):
            return self.place / name
        remote, sha256 = self.place, self._sha256[name]
        return remote.cache.get(
            f"{ARTIFACTS}/{self.manifest.digest}/{name}",
            lambda target: remote.objects.download(remote.object_key(sha256), target, sha256),
        )

    def files(self, prefix: str = "") -> list[Path]:
        """The recorded files whose path begins with `prefix`, in byte order of their paths (the order of rows)."""
        return list(in_parallel(self.file, self._names(prefix), threads=1 if isinstance(self.place, Path) else 8))

    def folder(self, prefix: str) -> Path:
        """A local folder with the recorded files under `prefix`."""
        if isinstance(self.place, Path):
            return self.place / prefix
        self.files(f"{prefix}/" if prefix else "")
        if not prefix:  # the whole artifact: with its manifest, as on a disk
            name = f"{ARTIFACTS}/{self.manifest.digest}/{NAME}"
            self.place.cache.get(name, lambda target: write_json(target, self.manifest.to_dict()))
        return self.place.cache.folder / ARTIFACTS / self.manifest.digest / prefix

    def journal(self) -> list[JournalLine]:
        """The lines of the journal: times, memory, versions."""
        if isinstance(self.place, Remote):
            objects = self.place.objects
            return [json.loads(objects.read(key)) for key in objects.list(f"{self.place.key}/{JOURNALS}")]
        path = self.place / JOURNAL
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [cast(JournalLine, json.loads(line)) for line in lines]

    def entries(self, prefix: str = "") -> list[FileEntry]:
        """The records of the files whose path begins with `prefix`, in byte order of their paths; nothing is read."""
        entries = (entry for entry in self.manifest.files if entry.path.startswith(prefix))
        return sorted(entries, key=lambda entry: entry.path.encode())

    def _names(self, prefix: str) -> list[str]:
        return [entry.path for entry in self.entries(prefix)]

    @cached_property
    def _sha256(self) -> dict[str, str]:
        return {file.path: file.sha256 for file in self.manifest.files}

"""A raw file's hash is remembered while nothing says that the file changed, and no longer."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.ledger import NAME, Ledger
from pipeline.core.errors import UserError
from pipeline.core.files import RawFile, sha256_file
from pipeline.core.listing import match

HOUR_AGO = 3600


def raw(path: Path) -> RawFile:
    return match([str(path)])[0]


def old_file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    then = path.stat().st_mtime - HOUR_AGO
    os.utime(path, (then, then))
    return path


def hashes(workdir: Path, path: Path) -> tuple[str, int]:
    """The hash that a ledger gives, read anew from the disk, and how many files it read for that."""
    read: list[RawFile] = []
    ledger = Ledger(workdir)
    digest = ledger.sha256(raw(path), read.append)
    ledger.save()
    return digest, len(read)


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    path = old_file(tmp_path / "铁.jsonl", "one")
    assert hashes(tmp_path, path) == (sha256_file(path), 1)
    assert hashes(tmp_path, path) == (sha256_file(path), 0)


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a.jsonl", "one")
    hashes(tmp_path, path)
    other = tmp_path / "b.jsonl"
    other.write_text("two")
    shutil.copystat(path, other)  # as touch -r does
    other.replace(path)
    assert hashes(tmp_path, path) == (sha256_file(path), 1)


def test_a_file_rewritten_in_place_under_its_old_time_is_noticed(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a.jsonl", "one")
    hashes(tmp_path, path)
    before = path.stat()
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_ino == before.st_ino
    assert hashes(tmp_path, path) == (sha256_file(path), 1)


def test_a_file_that_was_just_written_is_not_trusted_yet(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("one")
    assert hashes(tmp_path, path)[1] == hashes(tmp_path, path)[1] == 1


def test_a_ledger_of_the_earlier_format_is_read_and_its_hashes_are_made_anew(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a.jsonl", "one")
    entry = {"size": 3, "mtime": path.stat().st_mtime, "sha256": "0" * 64}
    (tmp_path / NAME).write_text(json.dumps({"files": {str(path): entry}, "parts": {"f": ["a.jsonl"]}}))
    assert Ledger(tmp_path).parts == []  # published artifacts say which files went into which part
    assert hashes(tmp_path, path) == (sha256_file(path), 1)


def test_a_remote_file_is_known_by_what_its_store_calls_its_version(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/ledger/a.jsonl", b"one")
    ledger, read = Ledger(tmp_path), list[RawFile]()
    file = replace(match(["memory://ledger/a.jsonl"])[0], mtime=0.0, version="etag-1")
    assert ledger.sha256(file, read.append) == ledger.sha256(file, read.append) and len(read) == 1
    memory.pipe("/ledger/a.jsonl", b"two")
    assert ledger.sha256(replace(file, version="etag-2"), read.append) == sha256_file(file.path) and len(read) == 2
    for _ in range(2):
        ledger.sha256(replace(file, version=""), read.append)
    assert len(read) == 4, "without a version nothing says that it is the same file"


def test_a_file_that_disappeared_is_told_in_a_sentence(tmp_path: Path) -> None:
    file = raw(old_file(tmp_path / "a.jsonl", "one"))
    Path(file.path).unlink()
    with pytest.raises(UserError, match=r"a.jsonl: cannot be read \(No such file or directory\)"):
        Ledger(tmp_path).sha256(file)


def test_a_local_file_whose_reader_gives_no_version_is_known_by_the_disk(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a.jsonl", "one")
    ledger, read = Ledger(tmp_path), list[RawFile]()
    for _ in range(2):
        ledger.sha256(replace(raw(path), version=""), read.append)
    assert len(read) == 1

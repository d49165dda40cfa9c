"""The cache stays within its limit, keeps what is in use, and is safe among processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.cache import Cache, scope
from pipeline.core.errors import StageFailed

KEEP = """
import sys, time
from pathlib import Path
from pipeline.core.cache import Cache
Cache(Path(sys.argv[1]), 100).get("files/other", lambda path: path.write_bytes(b"o" * 40))
print("ready", flush=True)
sys.stdin.read()
"""


def add(cache: Cache, name: str, *, size: int = 40, age: int = 0) -> Path:
    path = cache.get(f"files/{name}", lambda target: target.write_bytes(b"x" * size))
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def names(cache: Cache) -> set[str]:
    return {path.name for path in (cache.folder / "files").iterdir()}


def test_the_entry_that_was_not_used_for_longest_is_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100)
    with scope():
        add(cache, "a", age=9)
        add(cache, "b", age=10)
        add(cache, "a", age=1)
    add(cache, "c")
    assert names(cache) == {"a", "c"}


def test_what_is_in_use_is_never_removed_even_over_the_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100)
    for name in "abcd":
        add(cache, name)
    assert names(cache) == {"a", "b", "c", "d"}
    with scope():
        add(cache, "e")
    with scope():
        add(cache, "f")
    assert names(cache) == {"a", "b", "c", "d", "f"}


def test_a_scope_within_another_keeps_what_the_outer_one_uses(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100)
    with scope():
        add(cache, "a", age=10)
        with scope():
            add(cache, "a", age=10)
            add(cache, "b", age=5)
        add(cache, "c")
        assert names(cache) == {"a", "c"}


def test_what_another_process_uses_stays_until_it_ends(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100)
    command = [sys.executable, "-c", KEEP, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        os.utime(tmp_path / "files/other", (1, 1))
        for name in "ab":
            with scope():
                add(cache, name)
        with scope():
            add(cache, "c")
        assert "other" in names(cache)
        process.kill()
    os.utime(tmp_path / "files/other", (1, 1))
    with scope():
        add(cache, "d")
        add(cache, "e")
    assert "other" not in names(cache)


def test_a_file_is_moved_into_the_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100)
    assert cache.find("files/a") is None
    source = tmp_path / "source"
    source.write_bytes(b"a")
    cache.add("files/a", source)
    assert not source.exists() and cache.find("files/a") == tmp_path / "files/a"


def test_a_full_disk_gives_up_what_is_not_in_use(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000)

    def make(target: Path) -> None:
        if sum(path.stat().st_size for path in (tmp_path / "files").iterdir()) > 130:
            raise StageFailed("s3://bucket: cannot read x: [Errno 28] No space left on device.")
        target.write_bytes(b"n" * 40)

    with scope():
        for age, name in enumerate("abcd"):
            add(cache, name, age=age)
    with scope():
        cache.find("files/d")
        assert cache.get("files/new", make).read_bytes() == b"n" * 40
    assert names(cache) == {"a", "d", "new"}


def test_a_full_disk_of_others_is_an_error(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000)
    add(cache, "a")  # in use by this process

    def make(target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        cache.get("files/new", make)
    assert names(cache) == {"a"}

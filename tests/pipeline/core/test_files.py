"""Listings are sorted by bytes, names are relative to the glob's root, and our own files appear by rename."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.files import canonical_json, replacing, sha256_file, write_json
from pipeline.core.listing import match


def test_names_are_relative_to_the_root_of_the_glob_and_sorted_by_bytes(tmp_path: Path) -> None:
    for name in ("b/2.txt", "a/1.txt", "a/é.txt", "a/Z.txt", "c.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [file.name for file in match([f"{tmp_path}/**/*.txt"])] == ["a/1.txt", "a/Z.txt", "a/é.txt", "b/2.txt"]
    assert [file.name for file in match([f"{tmp_path}/a/1.txt", f"{tmp_path}/a/*.txt"])] == ["1.txt", "Z.txt", "é.txt"]
    assert len(match([str(tmp_path)])) == 5, "a folder means every file below it"


def test_a_pattern_without_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none-\\*.txt: no file matches"):
        match([f"{tmp_path}/none-*.txt"])


def test_remote_files_are_matched_too() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/crawl/x/b.txt", b"bb")
    memory.pipe("/crawl/x/a.txt", b"a")
    matches = match(["memory://crawl/x/*.txt"])
    assert [(file.name, file.size) for file in matches] == [("a.txt", 1), ("b.txt", 2)]
    assert sha256_file(matches[0].path) == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), replacing(path) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert path.read_text() == '{\n  "a": 1\n}\n' and [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_canonical_json_is_sorted_and_bare() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "中"}) == '{"a":"中","b":[1,2.5]}'.encode()


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_is_as_readable_as_the_umask_says_whoever_wrote_it(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "owner.bin") as beside:
            beside.touch(0o600)
        write_json(tmp_path / "ours.json", {})
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}

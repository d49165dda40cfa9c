"""What a path of a source means, and what of it is refused by name."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.registry import _registry

from pipeline.core.errors import UserError
from pipeline.core.listing import match, shown

MATCH = """
import os, sys
from pipeline.core.errors import UserError
from pipeline.core.listing import match
if os.geteuid() == 0:
    # root reads everything
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    print([file.name for file in match(sys.argv[1:])])
except UserError as error:
    print("refused:", error)
"""


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8", errors="surrogateescape")


def names(*patterns: str | Path) -> list[str]:
    return [file.name for file in match(list(map(str, patterns)))]


def refusal(*patterns: str | Path) -> str:
    with pytest.raises(UserError) as error:
        match(list(map(str, patterns)))
    return str(error.value)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_nobody(*patterns: str | Path) -> str:
    """What `match` says to a user who is not root."""
    command = [sys.executable, "-c", MATCH, *map(str, patterns)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    return done.stdout.strip()


@pytest.mark.parametrize(
    "name",
    ["part[1].jsonl", "what?.jsonl", "a*b.jsonl", "{a,b}.jsonl", "空 格.jsonl", "a#b.jsonl", "100%41.jsonl", "**",
     "[!x]", "~"],
)  # fmt: skip
def test_a_path_that_names_a_file_is_that_file(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "part1.jsonl", "whata.jsonl", "axb.jsonl", "a.jsonl", "y")
    assert names(tmp_path / name) == [name]


@pytest.mark.parametrize("folder", ["set [v1]", "*", "数据?", "{x}", "a#b", "100%", "[1]"])
def test_a_path_that_names_a_folder_is_that_folder(tmp_path: Path, folder: str) -> None:
    write(tmp_path, f"{folder}/a.jsonl", f"{folder}/b [2]/c.jsonl", "set v/no.jsonl", "1/no.jsonl", "数据x/no.jsonl")
    assert names(tmp_path / folder) == ["a.jsonl", "b [2]/c.jsonl"]
    assert names(f"{tmp_path}/{folder}/*.jsonl") == ["a.jsonl"]
    assert names(f"{tmp_path}/{folder}/**/*.jsonl") == ["a.jsonl", "b [2]/c.jsonl"]


def test_a_path_that_names_nothing_is_a_pattern(tmp_path: Path) -> None:
    write(tmp_path, "part1.jsonl", "part2.jsonl", "set v/a.jsonl", "set 1/a.jsonl")
    assert names(tmp_path / "part[1].jsonl") == ["part1.jsonl"]
    assert names(tmp_path / "part?.jsonl") == ["part1.jsonl", "part2.jsonl"]
    assert names(f"{tmp_path}/set [v1]/a.jsonl") == ["set 1/a.jsonl", "set v/a.jsonl"]


def test_a_pattern_behind_a_wildcard_takes_a_name_by_its_name_too(tmp_path: Path) -> None:
    write(tmp_path, "one/x[1].jsonl", "one/x1.jsonl", "two/x1.jsonl")
    assert names(f"{tmp_path}/*/x[1].jsonl") == ["one/x[1].jsonl", "two/x1.jsonl"]


def test_two_stars_stand_for_any_number_of_folders(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "x/a.txt", "x/y/a.txt", "x/y/b.txt", ".git/a.txt", "x/.a.txt", ".hidden")
    assert names(f"{tmp_path}/**/a.txt") == ["a.txt", "x/a.txt", "x/y/a.txt"]
    assert names(f"{tmp_path}/x/**") == ["a.txt", "y/a.txt", "y/b.txt"]
    assert names(f"{tmp_path}/**/y/*.txt") == ["x/y/a.txt", "x/y/b.txt"]
    assert names(tmp_path) == ["a.txt", "x/a.txt", "x/y/a.txt", "x/y/b.txt"]
    assert names(f"{tmp_path}/.*") == [".hidden"]


def test_a_relative_path_and_one_through_a_folder_above_are_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a/x.txt")
    monkeypatch.chdir(tmp_path)
    assert names("a/x.txt", "a/../a/x.txt", "./a/*.txt", tmp_path / "a") == ["x.txt"]
    assert match(["a/x.txt"])[0].path == f"{tmp_path}/a/x.txt"


def test_a_file_that_cannot_be_read_is_refused_by_name(open_folder: Path) -> None:
    write(open_folder, "a/英.jsonl", "b/zh.jsonl")
    (open_folder / "b/zh.jsonl").chmod(0)
    message = as_nobody(open_folder)
    assert message.startswith("refused:") and f"{open_folder}/b/zh.jsonl cannot be read (Permission denied)" in message
    assert as_nobody(open_folder / "b/*.jsonl").startswith("refused:")
    assert as_nobody(open_folder / "a") == "['英.jsonl']"


@pytest.mark.parametrize("mode", [0o000, 0o111, 0o444], ids=["nothing", "no list", "no entry"])
def test_a_folder_that_cannot_be_read_is_refused_by_name(open_folder: Path, mode: int) -> None:
    write(open_folder, "tree/a/en.jsonl", "tree/b/inner/zh.jsonl", "tree/b/zh.jsonl")
    (open_folder / "tree/b").chmod(mode)
    for pattern in ("tree", "tree/**/*.jsonl", "tree/*/*.jsonl", "tree/b", "tree/b/*", "tree/b/*/*.jsonl"):
        message = as_nobody(open_folder / pattern)
        assert message.startswith("refused:") and f"{open_folder}/tree/b" in message and "cannot be read" in message, (
            pattern
        )
    assert as_nobody(open_folder / "tree/a") == "['en.jsonl']"
    (open_folder / "tree/b").chmod(0o755)


def test_a_link_to_nothing_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "tree/a.jsonl")
    (tmp_path / "tree/gone.jsonl").symlink_to("不在.jsonl")
    for pattern in ("tree", "tree/*.jsonl", "tree/gone.jsonl", "tree/**/gone.*"):
        assert f"{tmp_path}/tree/gone.jsonl is a link to nothing (不在.jsonl)" in refusal(tmp_path / pattern)
    assert names(tmp_path / "tree/a*") == ["a.jsonl"], "what no pattern matches is nobody's concern"


def test_all_that_cannot_be_read_is_told_at_once_and_a_long_list_is_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl")
    for number in range(5):
        (tmp_path / f"{number}.jsonl").symlink_to("gone")
    message = refusal(tmp_path)
    assert [f"{number}.jsonl is" in message for number in range(5)] == [True] * 3 + [
        False
    ] * 2 and "; 2 more." in message


def test_links_in_a_circle_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "tree/a/x.jsonl")
    (tmp_path / "tree/a/up").symlink_to(tmp_path / "tree")
    message = refusal(tmp_path / "tree")
    assert f"{tmp_path}/tree/a/up is a link in a circle" in message and "more" not in message
    (tmp_path / "tree/a/up").unlink()
    (tmp_path / "tree/one").symlink_to("two")
    (tmp_path / "tree/two").symlink_to("one")
    assert f"{tmp_path}/tree/one is a link in a circle" in refusal(tmp_path / "tree")
    assert names(f"{tmp_path}/tree/*/*.jsonl") == ["a/x.jsonl"]


def test_a_file_under_two_names_is_two_files(tmp_path: Path) -> None:
    write(tmp_path, "a/x.jsonl")
    (tmp_path / "a/hard.jsonl").hardlink_to(tmp_path / "a/x.jsonl")
    (tmp_path / "a/soft.jsonl").symlink_to("x.jsonl")
    (tmp_path / "b").symlink_to("a")
    assert names(tmp_path) == [f"{folder}/{name}.jsonl" for folder in "ab" for name in ("hard", "soft", "x")]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.jsonl")
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    if kind == "pipe":
        os.mkfifo("odd.jsonl")
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("odd.jsonl")
    for pattern in (".", "*.jsonl", "odd.jsonl"):
        assert "odd.jsonl is no file but a pipe, a socket or a device" in refusal(pattern)
    assert "/dev/null is no file" in refusal("/dev/null")


def test_a_name_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.jsonl")
    write(tmp_path, odd, "a.jsonl")
    assert f"{tmp_path}/caf\\xe9.jsonl has a name that is not UTF-8; rename it" in refusal(tmp_path)
    refusal(tmp_path / odd).encode()
    assert names(tmp_path / "a*") == ["a.jsonl"]
    assert shown(odd) == "caf\\xe9.jsonl"


def test_a_folder_above_whose_name_is_not_utf8_is_refused_too(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode("中".encode("gb18030"))
    write(folder, "a.jsonl")
    assert "not UTF-8" in refusal(folder)


@pytest.mark.parametrize("pattern", ["a.jsonl/b", "x" * 300, "none/*.jsonl", "nul\0.jsonl", "none/../a"])
def test_a_path_without_a_file_is_told(tmp_path: Path, pattern: str) -> None:
    write(tmp_path, "a.jsonl")
    assert "no file matches" in refusal(tmp_path / pattern)


def test_remote_names_and_folders_are_taken_by_their_names_too() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in (
        "part[1].jsonl",
        "part1.jsonl",
        "set [v1]/a#b.jsonl",
        "set [v1]/子/c.jsonl",
        "set [v1]/.hidden",
        "set v/n",
    ):
        memory.pipe(f"/names/{name}", name.encode())
    assert names("memory://names/part[1].jsonl") == ["part[1].jsonl"]
    assert names("memory://names/part[12].jsonl") == ["part1.jsonl"]
    assert names("memory://names/set [v1]") == ["a#b.jsonl", "子/c.jsonl"]
    assert "no file matches" in refusal("memory://names/none.jsonl")
    assert "no file matches" in refusal("memory://names/none-*.jsonl")


def test_an_address_whose_library_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, module, None)
    for scheme in ("s3", "gs"):  # a class that another test has loaded
        monkeypatch.delitem(_registry, scheme, raising=False)
    assert refusal("s3://bucket/data/*.jsonl") == "s3:// needs the extra s3: pip install 'bloomery[s3]'"
    assert refusal("gs://bucket/a.jsonl") == "gs:// needs the extra gcs: pip install 'bloomery[gcs]'"


def test_an_unknown_scheme_is_refused_by_name() -> None:
    assert refusal("foo://bucket/a.jsonl").startswith("foo:// is no scheme that fsspec knows (foo://bucket/a.jsonl).")


def test_a_place_that_cannot_be_listed_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def info(*_: object, **__: object) -> None:
        raise RuntimeError("Unable to locate credentials.\nsecond line")

    monkeypatch.setattr(MemoryFileSystem, "info", info)
    assert refusal("memory://a/b") == (
        "memory://a/b: cannot be listed: Unable to locate credentials. Check the address and the access."
    )

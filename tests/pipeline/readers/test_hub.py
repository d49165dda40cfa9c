"""hf:// names through huggingface_hub's own client, against a small hub on the loopback: pinned, private, missing."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.core import hub as hub_names
from pipeline.core.errors import UserError
from pipeline.core.files import sha256_bytes
from tests.support.hub import FakeHub, serving

# the client reads its environment when it is imported, so each test asks in a process of its own
LIST = """
import json, sys
from pipeline.core.errors import UserError
from pipeline.core.files import open_bytes, sha256_of
from pipeline.core.listing import match
try:
    files = match([sys.argv[1]])
    print(json.dumps([[file.path, file.name, file.size, sha256_of(file)] for file in files]))
except UserError as error:
    print(json.dumps(str(error)))
"""
FILES = {
    "data/en.jsonl": b'{"text": "A quiet river."}\n',
    "data/deep/zh.jsonl.gz": gzip.compress('{"text": "河"}\n'.encode(), mtime=0),
    "README.md": b"# A set\n", "data/.hidden": b"no",
}  # fmt: skip
Ask = Callable[..., list[list[object]] | str]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serving() as running:
        yield running


@pytest.fixture
def ask(hub: FakeHub, tmp_path: Path) -> Ask:
    """ask("hf://…", HF_TOKEN="…") → the files, or the sentence that says why there are none."""

    def run(address: str, **environment: str) -> list[list[object]] | str:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), **environment}
        done = subprocess.run(
            [sys.executable, "-c", LIST, address], env=clean | settings, text=True, capture_output=True, check=True,
        )  # fmt: skip
        answer: list[list[object]] | str = json.loads(done.stdout)
        assert hub.token not in done.stderr + done.stdout
        return answer

    return run


def test_files_are_named_below_their_folder_and_pinned_to_the_commit(hub: FakeHub, ask: Ask) -> None:
    commit = hub.dataset("owner/set").commit(FILES)
    place = f"hf://datasets/owner/set@{commit}"
    expected = [
        [f"{place}/data/{name}", name, len(FILES[f"data/{name}"]), sha256_bytes(FILES[f"data/{name}"])]
        for name in ("deep/zh.jsonl.gz", "en.jsonl")
    ]
    assert ask("hf://datasets/owner/set/data") == expected
    assert ask("hf://datasets/owner/set/data/*.jsonl") == [expected[1]]
    assert ask("hf://datasets/owner/set/**/*.jsonl*") == [[*row[:1], f"data/{row[1]}", *row[2:]] for row in expected]
    assert ask("hf://datasets/owner/set/data/en.jsonl") == [expected[1]]
    assert ask(f"{place}/data/en.jsonl") == [expected[1]]


def test_a_branch_and_an_earlier_commit_are_what_they_name(hub: FakeHub, ask: Ask) -> None:
    dataset = hub.dataset("owner/set")
    first = dataset.commit(FILES)
    draft = dataset.commit({"a.txt": b"one"}, "refs/pr/1")
    dataset.commit({"a.txt": b"three"})
    assert ask("hf://datasets/owner/set@refs/pr/1/a.txt") == [
        [f"hf://datasets/owner/set@{draft}/a.txt", "a.txt", 3, sha256_bytes(b"one")]
    ]
    assert ask(f"hf://datasets/owner/set@{first}/README.md")[0][2] == 8


@pytest.mark.parametrize(
    ("address", "environment", "message"),
    [
        ("hf://datasets/owner/absent/a", {}, "is private or does not exist, and HF_TOKEN is not set"),
        ("hf://datasets/owner/secret/a", {}, "is private or does not exist, and HF_TOKEN is not set"),
        ("hf://datasets/owner/secret/a", {"HF_TOKEN": "hf_other"}, "HF_TOKEN does not open it"),
        ("hf://datasets/owner/absent/a", {"HF_TOKEN": "right"}, "there is no such dataset"),
        ("hf://datasets/owner/set@v2/a", {}, "has no revision 'v2'"),
        ("hf://datasets/owner/set/absent.jsonl", {}, "no file matches"),
        ("hf://datasets/owner/set/*.parquet", {}, "no file matches"),
        ("hf://datasets/owner", {}, "names no repository"),
        ("hf://buckets/owner/set/a", {}, "a bucket has no commits"),
        ("simplecache::hf://datasets/owner/set/a", {}, "cannot stand behind another"),
        ("hf://datasets/owner/set/a", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "nothing answers at 127.0.0.1"),
        ("hf://datasets/owner/set/a", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(
    hub: FakeHub, ask: Ask, address: str, environment: dict[str, str], message: str
) -> None:
    hub.dataset("owner/set").commit(FILES)
    hub.dataset("owner/secret", private=True).commit(FILES)
    if environment.get("HF_TOKEN") == "right":
        environment = {"HF_TOKEN": hub.token}
    answer = ask(address, **environment)
    assert isinstance(answer, str) and message in answer and answer.startswith(address.rpartition("/")[0][:20])
    assert "\n" not in answer and "Request ID" not in answer


def test_a_private_repository_opens_with_the_token_of_the_environment(hub: FakeHub, ask: Ask, tmp_path: Path) -> None:
    commit = hub.dataset("owner/secret", private=True).commit(FILES)
    answer = ask("hf://datasets/owner/secret/README.md", HF_TOKEN=hub.token)
    assert answer == [
        [f"hf://datasets/owner/secret@{commit}/README.md", "README.md", 8, sha256_bytes(FILES["README.md"])]
    ]
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "token").write_text(hub.token)
    assert "HF_TOKEN is not set" in ask("hf://datasets/owner/secret/README.md"), "a file of a login is not used"


def test_a_commit_is_read_from_a_pinned_address_alone() -> None:
    commit = "0123456789" * 4
    assert hub_names.commit_of(f"hf://datasets/o/n@{commit}/a") == ("hf://datasets/o/n", commit)
    assert hub_names.commit_of("hf://datasets/o/n@main/a") is None and hub_names.commit_of("/data/a@b") is None
    with pytest.raises(UserError, match="names no repository"):
        hub_names.pinned("hf://datasets//a")

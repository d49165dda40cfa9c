"""A store behind a URL: whole artifacts without rename, link or lock, whenever an attempt is killed."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.backends.remote import RemoteBackend
from pipeline.core.errors import StageFailed
from pipeline.core.files import sha256_bytes
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, StageOutput
from pipeline.core.objects import ObjectStore
from pipeline.core.places import JobPaths
from pipeline.core.shards import FileEntry, entry_of
from pipeline.core.store import Store

PRINT = "f" * 64
TEXTS = {"parts/0000-000000-one.txt": "one", "parts/0000-000001-两.txt": "两", "scores.json": "[]"}


DONE: list[str] = []  # the tasks that were done, of all attempts of a test


class Killed(BaseException):
    """As by SIGKILL: nothing of the attempt runs after it."""


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the store lies: fsspec's memory, and a second folder that is used through fsspec alone."""
    if request.param == "file":
        yield f"file://{tmp_path}/bucket"
        return
    yield f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def open_store(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Store]:
    """open_store("a") → the store as a machine called "a" sees it: local folders are not shared."""

    def open_on(machine: str) -> Store:
        monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / machine))
        return Store(url)

    return open_on


def begin(store: Store, tmp_path: Path, *, fresh: bool = False) -> Job:
    attempt, folder = store.begin("clean", PRINT, fresh=fresh)
    identity = Identity("clean", 1, "documents", "x:y", PRINT, {}, 1, attempt, {"ingest": "e" * 64})
    url = store._backend.objects.url if isinstance(store._backend, RemoteBackend) else ""
    return Job(identity, Inputs(), JobPaths(folder, tmp_path, tmp_path, tmp_path / "log", url))


def work(job: Job, texts: dict[str, str] | None = None) -> StageOutput:
    """A task for each file but the last, which the driver writes; finished tasks are not done again."""
    texts = TEXTS if texts is None else texts
    *of_tasks, of_driver = texts
    (job.folder / "parts").mkdir(exist_ok=True)
    for number, path in enumerate(of_tasks):
        if str(number) not in job.draft.results("write"):
            (job.folder / path).write_text(texts[path], encoding="utf-8")
            job.draft.keep("write", str(number), {"entry": entry_of(job.folder, path).to_dict()}, [path])
            DONE.append(path)
    entries = [FileEntry.from_dict(result["entry"]) for result in job.draft.results("write").values()]
    job.draft.finish("write")
    (job.folder / of_driver).write_text(texts[of_driver], encoding="utf-8")
    (job.folder / "parts/.half.1.tmp").write_text("ha")
    rows = {"in": 3, "out": 3, "dropped": {}}
    return StageOutput([*entries, entry_of(job.folder, of_driver)], rows, journal={"host": "a"})


def texts_of(artifact: Artifact) -> dict[str, str]:
    return {file.path: artifact.file(file.path).read_text(encoding="utf-8") for file in artifact.manifest.files}


def objects(url: str) -> list[str]:
    return [key for key in ObjectStore(url).list("") if "/files/" in key]


def test_an_artifact_exists_when_its_manifest_does_and_strays_are_swept(
    open_store: Callable[[str], Store], url: str, tmp_path: Path
) -> None:
    store = open_store("a")
    job = begin(store, tmp_path)
    outcome = work(job)
    assert store.find("clean", PRINT) is None and store.all("clean") == [] and store.has_draft("clean", PRINT)
    assert len(objects(url)) == 2
    assert texts_of(store.publish(job, outcome)) == TEXTS
    elsewhere = open_store("b")
    artifact = elsewhere.find("clean", PRINT)
    assert artifact is not None and texts_of(artifact) == TEXTS and elsewhere.all("clean") == [artifact]
    assert not elsewhere.has_draft("clean", PRINT)
    hashes = sorted(file.sha256 for file in artifact.manifest.files)
    assert sorted(key.rpartition("/")[2] for key in objects(url)) == hashes
    drafts = {key.split("/", 2)[2] for key in ObjectStore(url).list("draft")}
    assert drafts == {"attempts/000001.json", *(f"files/{sha256}" for sha256 in hashes)}


def test_the_digest_is_that_of_a_local_store(open_store: Callable[[str], Store], tmp_path: Path) -> None:
    digests = []
    for store in (open_store("a"), Store(tmp_path / "work")):
        job = begin(store, tmp_path)
        digests.append(store.publish(job, work(job)).manifest.digest)
    assert digests[0] == digests[1]


def calls(monkeypatch: pytest.MonkeyPatch, url: str, *, fatal: int, after: bool) -> list[str]:
    """Let the attempt die at its `fatal`-th write to the store, before it or right after it; returns the writes."""
    done: list[str] = []
    numbers = count(1)

    def dying(name: str) -> None:
        write: Callable[..., Any] = getattr(ObjectStore, name)

        def call(self: ObjectStore, *arguments: Any) -> Any:
            done.append(name)
            number = next(numbers)
            if number == fatal and not after:
                raise Killed
            value = write(self, *arguments)
            if number == fatal:
                raise Killed
            return value

        monkeypatch.setattr(ObjectStore, name, call)

    for name in ("put", "put_if_absent", "upload", "delete"):
        dying(name)
    return done


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fatal", range(1, 22))
def test_a_kill_at_any_write_leaves_the_artifact_whole_or_absent_and_the_next_attempt_makes_it(
    open_store: Callable[[str], Store], url: str, tmp_path: Path, fatal: int, after: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        done = calls(patch, url, fatal=fatal, after=after)
        try:
            job = begin(open_store("a"), tmp_path)
            outcome = work(job)
            open_store("a").publish(job, outcome)
        except Killed:
            assert len(done) >= fatal  # deletions that had started in other threads are done as well
        else:
            assert len(done) < fatal
    elsewhere = open_store("b")
    artifact = elsewhere.find("clean", PRINT)
    if artifact is not None:
        assert texts_of(artifact) == TEXTS
    again = begin(elsewhere, tmp_path)
    assert texts_of(elsewhere.publish(again, work(again))) == TEXTS
    assert {sha256_bytes(text.encode()) for text in TEXTS.values()} <= {key.rpartition("/")[2] for key in objects(url)}


def test_a_later_attempt_on_another_machine_takes_over_what_was_saved(
    open_store: Callable[[str], Store], tmp_path: Path
) -> None:
    first = begin(open_store("a"), tmp_path)
    work(first)
    DONE.clear()
    second = begin(open_store("b"), tmp_path)
    assert second.identity.attempt == 2 and not list(second.folder.iterdir())
    assert list(second.draft.results("write")) == ["0", "1"]
    path = "parts/0000-000001-两.txt"
    assert second.draft.size(path) == 3 and bytes(second.draft.read(path, 1, 2)) == "两".encode()[1:]
    assert second.draft.file(path).read_text(encoding="utf-8") == "两"
    third = begin(open_store("c"), tmp_path)
    assert texts_of(open_store("c").publish(third, work(third))) == TEXTS and DONE == []
    fresh = begin(open_store("d"), tmp_path, fresh=True)
    assert not fresh.draft.results("write")


def test_a_draft_says_what_is_gone_or_short(open_store: Callable[[str], Store], url: str, tmp_path: Path) -> None:
    job = begin(open_store("a"), tmp_path)
    work(job)
    other = begin(open_store("b"), tmp_path).draft
    with pytest.raises(StageFailed, match="parts/none: a finished file is gone"):
        other.file("parts/none")
    path = "parts/0000-000000-one.txt"
    with pytest.raises(StageFailed, match="shorter than it was"):
        other.read(path, 2, 2)
    key = next(key for key in objects(url) if key.endswith(sha256_bytes(b"one")))
    ObjectStore(url).put(key, b"on")
    with pytest.raises(StageFailed, match="shorter than it was"):
        other.read(path, 1, 2)
    ObjectStore(url).put(key, b"two")
    with pytest.raises(StageFailed, match="is not what was published"):
        other.file(path)


def test_a_forced_attempt_trusts_no_object_of_an_earlier_one(
    open_store: Callable[[str], Store], url: str, tmp_path: Path
) -> None:
    work(begin(open_store("a"), tmp_path))
    ObjectStore(url).put(next(key for key in objects(url) if key.endswith(sha256_bytes(b"one"))), b"two")
    job = begin(open_store("b"), tmp_path, fresh=True)
    open_store("b").publish(job, work(job))
    artifact = open_store("c").find("clean", PRINT)
    assert artifact is not None and texts_of(artifact) == TEXTS


def test_a_superseded_attempt_can_neither_publish_nor_change_what_the_current_one_has(
    open_store: Callable[[str], Store], tmp_path: Path
) -> None:
    first = begin(open_store("a"), tmp_path)
    outcome = work(first, {**TEXTS, "scores.json": "[1]"})
    second = begin(open_store("b"), tmp_path)
    with pytest.raises(StageFailed, match="superseded"):
        open_store("a").publish(first, outcome)
    assert texts_of(open_store("b").publish(second, work(second))) == TEXTS
    with pytest.raises(StageFailed, match="superseded"):
        open_store("a").publish(first, outcome)
    artifact = open_store("c").find("clean", PRINT)
    assert artifact is not None and texts_of(artifact) == TEXTS


def test_two_machines_never_claim_the_same_attempt(
    open_store: Callable[[str], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, numbers = ObjectStore.put_if_absent, []

    def raced(self: ObjectStore, key: str, data: bytes) -> bool:
        if not numbers:
            numbers.append(0)
            numbers.append(begin(open_store("b"), tmp_path).identity.attempt)
        return claim(self, key, data)

    monkeypatch.setattr(ObjectStore, "put_if_absent", raced)
    numbers.append(begin(open_store("a"), tmp_path).identity.attempt)
    assert numbers == [0, 1, 2]


def test_forced_work_that_comes_out_otherwise_replaces_the_artifact(
    open_store: Callable[[str], Store], tmp_path: Path
) -> None:
    store = open_store("a")
    for text in ("[]", "[]", "[2]"):
        job = begin(store, tmp_path, fresh=True)
        store.publish(job, work(job, {**TEXTS, "scores.json": text}))
        artifact = open_store("b").find("clean", PRINT)
        assert artifact is not None and texts_of(artifact)["scores.json"] == text


def test_journal_lines_are_kept_in_their_order(open_store: Callable[[str], Store], tmp_path: Path) -> None:
    store = open_store("a")
    job = begin(store, tmp_path)
    artifact = store.publish(job, work(job))
    store.note(artifact, {"event": "measured", "seconds": 3})
    lines = artifact.journal()
    assert [line["event"] for line in lines] == ["published", "measured"] and lines[0]["host"] == "a"


def test_files_are_local_paths_and_one_that_changed_in_the_store_is_refused(
    open_store: Callable[[str], Store], url: str, tmp_path: Path
) -> None:
    store = open_store("a")
    job = begin(store, tmp_path)
    store.publish(job, work(job))
    artifact = open_store("b").find("clean", PRINT)
    assert artifact is not None
    assert [path.name for path in artifact.files("parts/")] == ["0000-000000-one.txt", "0000-000001-两.txt"]
    assert sorted(path.name for path in artifact.folder("parts").iterdir()) == [
        p.name for p in artifact.files("parts/")
    ]
    changed = next(key for key in objects(url) if key.endswith(sha256_bytes(b"[]")))
    ObjectStore(url).put(changed, b"[9]")
    with pytest.raises(StageFailed, match=r"is not what was published. Run its stage with --force"):
        artifact.file("scores.json")
    ObjectStore(url).delete(changed)
    with pytest.raises(StageFailed, match="is gone from the store"):
        artifact.file("scores.json")


def test_a_job_carries_remote_inputs_to_another_process(open_store: Callable[[str], Store], tmp_path: Path) -> None:
    store = open_store("a")
    job = begin(store, tmp_path)
    artifact = store.publish(job, work(job))
    order = replace(job, inputs=Inputs.of({"documents": artifact})).to_dict()
    again = Job.from_dict(json.loads(json.dumps(order)))
    assert [path.read_text(encoding="utf-8") for path in again.inputs.files("documents", "parts/")] == ["one", "两"]


def test_an_artifact_finds_what_it_was_made_of_in_the_same_store(
    open_store: Callable[[str], Store], tmp_path: Path
) -> None:
    store = open_store("a")
    job = begin(store, tmp_path)
    artifact = store.publish(job, work(job))
    assert artifact.sibling("clean", PRINT) is not None and artifact.sibling("ingest", "e" * 64) is None


def test_downloaded_files_are_as_readable_as_the_umask_says(open_store: Callable[[str], Store], tmp_path: Path) -> None:
    store = open_store("a")
    job = begin(store, tmp_path)
    store.publish(job, work(job))
    artifact = open_store("b").find("clean", PRINT)
    assert artifact is not None
    plain = tmp_path / "plain"
    plain.touch()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (plain, *artifact.files())}
    assert len(modes) == 1

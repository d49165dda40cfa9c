"""Checkpoints: complete or not there, the last few kept, fenced by attempt and incarnation; here and behind a URL."""

from __future__ import annotations

import errno
import json
import random
import threading
import time
import uuid
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.core.errors import StageFailed
from pipeline.core.objects import ObjectStore
from training.trainer import checkpoint, checkpoint_places, random_state
from training.trainer.checkpoint import Checkpoint, Checkpoints
from training.trainer.checkpoint_places import CheckpointPlace, FolderPlace, ObjectPlace
from training.trainer.state_file import SavedState, StateFile, write_state


@pytest.fixture(params=["folder", "file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointPlace:
    if request.param == "folder":
        return FolderPlace(tmp_path / "checkpoints")
    url = f"file://{tmp_path}/store" if request.param == "file" else f"memory://{uuid.uuid4().hex}"
    return ObjectPlace(ObjectStore(url), "draft/ab/checkpoints", tmp_path / "scratch")


def start(
    place: CheckpointPlace, monkeypatch: pytest.MonkeyPatch, *, attempt: int = 1, incarnation: int = 1, keep: int = 2
) -> tuple[list[Checkpoints], Checkpoint | None]:
    """The two workers of a start of the gang, and the checkpoint from which they resume."""
    monkeypatch.setenv(checkpoint.INCARNATION, str(incarnation))
    workers = [Checkpoints(place, attempt=attempt, rank=rank, keep=keep) for rank in (0, 1)]
    return workers, workers[0].newest()


def save(workers: list[Checkpoints], step: int, **state: Any) -> None:
    """Both workers save, worker 1 first; their files are equally large, so each knows the sizes of all."""
    for worker in reversed(workers):
        worker.save(step, {"number": step * 10 + worker.rank, **state}, numerics={"workers": 2}, gather=both)
    for worker in reversed(workers):
        worker.wait(both)


def both(number: int) -> list[int]:
    return [number, number]


def resumed(found: Checkpoint | None) -> tuple[str, int] | None:
    return None if found is None else (found.start, found.step)


def test_a_state_comes_back_part_by_part_and_tensor_by_tensor(tmp_path: Path) -> None:
    big = torch.arange(100_000, dtype=torch.float32).view(100, 1000)
    state: SavedState = {
        "engine": {"held": [{"names": ["a"], "values": {"weights": big, "first": big.to(torch.bfloat16)}}]},
        "curve": {"loss": [1 / 3, None, 2e-17], "rows": ["é", "铁"]}, "random": {"torch": torch.get_rng_state()},
        "empty": torch.zeros(0),
    }  # fmt: skip
    write_state(tmp_path / "a", state)
    source = checkpoint_places.FileRanges(tmp_path / "a")
    read = StateFile(source)
    assert set(read) == set(state) and read["curve"] == state["curve"]
    assert source.bytes_read < checkpoint_places.FileRanges(tmp_path / "a").size / 4, "no tensor was read"
    values = read["engine"]["held"][0]["values"]
    assert torch.equal(values["weights"].load(), big) and torch.equal(values["first"].load(), big.to(torch.bfloat16))
    part = torch.empty(7)
    values["weights"].read_into(99_990, part)
    assert part.tolist() == list(range(99_990, 99_997))
    assert torch.equal(read["random"]["torch"].load(), torch.get_rng_state()) and read["empty"].load().shape == (0,)
    with (tmp_path / "a").open("r+b") as stream:
        stream.truncate(1000)
    with pytest.raises(StageFailed, match="shorter than it was"):
        values["weights"].load()


def test_any_library_can_open_the_file(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    write_state(tmp_path / "a.safetensors", {"tables": {"input": torch.eye(3)}, "step": 4})
    assert torch.equal(load_file(tmp_path / "a.safetensors")["000000"], torch.eye(3))


def test_the_newest_whole_checkpoint_is_found(place: CheckpointPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    workers, found = start(place, monkeypatch)
    assert found is None
    save(workers, 4)
    save(workers, 12)
    _, found = start(place, monkeypatch, attempt=2)
    assert resumed(found) == ("000001-000001", 12) and found is not None and found.numerics == {"workers": 2}
    saved = workers[0].saved(found)
    assert saved.world == 2 and [saved.load(rank)["number"] for rank in (0, 1)] == [120, 121]


def test_what_is_not_marked_or_not_complete_does_not_count(
    place: CheckpointPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, _ = start(place, monkeypatch)
    save(workers, 4)
    save(workers, 8)
    place.write("000001-000001/00000012/rank-00000.safetensors", {})[1].result()  # killed before the other had written
    place.delete("000001-000001/00000008/rank-00001.safetensors")  # half deleted, or half linked
    assert resumed(start(place, monkeypatch)[1]) == ("000001-000001", 4)
    place.write("000001-000001/00000004/rank-00001.safetensors", {})[1].result()  # of another size
    assert start(place, monkeypatch)[1] is None


def test_only_the_last_ones_are_kept_whoever_wrote_them(
    place: CheckpointPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, _ = start(place, monkeypatch)
    for step in (1, 2, 3):
        save(workers, step)
    workers, found = start(place, monkeypatch, incarnation=2)
    assert resumed(found) == ("000001-000001", 3)
    save(workers, 4)
    markers = [name for name in place.names() if name.endswith(".json")]
    assert markers == ["000001-000001/00000003.json", "000001-000002/00000004.json"]
    files = {name.rpartition("/")[0] for name in place.names() if name.endswith(".safetensors")}
    assert files == {"000001-000001/00000003", "000001-000002/00000004"}


def test_a_gang_that_was_cut_off_and_goes_on_is_never_chosen(
    place: CheckpointPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off, _ = start(place, monkeypatch)
    save(cut_off, 4)
    second, found = start(place, monkeypatch, incarnation=2)
    assert resumed(found) == ("000001-000001", 4)
    with pytest.raises(StageFailed, match=r"replaced by a later start \(000001-000002\)"):
        save(cut_off, 8)
    # worst of all: it looked before the second began, and its marker arrives now
    marker = json.loads(place.read("000001-000001/00000004.json"))
    place.put("000001-000001/00000008.json", json.dumps({**marker, "step": 8}).encode())
    assert start(place, monkeypatch, incarnation=3)[1] == found, "the second saved nothing: what it resumed from counts"
    save(start(place, monkeypatch, incarnation=3)[0], 6)
    assert resumed(start(place, monkeypatch, attempt=2)[1]) == ("000001-000003", 6)
    assert second[0].start == "000001-000002"


def test_a_start_from_nothing_is_not_undone_by_one_before_it(
    place: CheckpointPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(place, monkeypatch)
    start(place, monkeypatch, incarnation=2)
    for rank in (0, 1):
        place.write(f"000001-000001/00000004/rank-0000{rank}.safetensors", {"a": 1})[1].result()
    size = place.source("000001-000001/00000004/rank-00000.safetensors").size
    files = {f"rank-0000{rank}.safetensors": size for rank in (0, 1)}
    late = {"start": "000001-000001", "step": 4, "numerics": {}, "files": files}
    place.put("000001-000001/00000004.json", json.dumps(late).encode())
    assert start(place, monkeypatch, incarnation=3)[1] is None


def test_checkpoints_of_an_earlier_release_are_told_and_left_alone(
    place: CheckpointPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("00000600.json", "00000600/rank-00000.pt"):
        place.put(name, b"{}")
    workers, found = start(place, monkeypatch)
    assert found is None and workers[0].has_earlier_release
    save(workers, 4)
    assert resumed(start(place, monkeypatch, attempt=2)[1]) == ("000001-000001", 4)


class Slow(ObjectPlace):
    """Uploads wait until they are let go, or fail."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.go = threading.Event()
        self.error: Exception | None = None

    def _upload(self, path: Path, key: str) -> None:
        self.go.wait()
        if self.error is not None:
            raise self.error
        super()._upload(path, key)


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(ObjectStore(f"file://{tmp_path}/store"), "draft/ab/checkpoints", tmp_path / "scratch")


def alone(number: int) -> list[int]:
    return [number]


def test_uploads_run_beside_the_steps_and_the_marker_comes_last(slow: Slow) -> None:
    worker = Checkpoints(slow, attempt=1, rank=0, keep=2)
    worker.newest()
    worker.save(4, {"a": torch.zeros(9)}, numerics={}, gather=alone)
    assert not worker.has_arrived and not [name for name in slow.names() if name.endswith(".json")]
    waiting = threading.Thread(target=lambda: worker.save(8, {}, numerics={}, gather=alone))
    waiting.start()
    time.sleep(0.05)
    assert waiting.is_alive(), "the next checkpoint waits for the one before"
    slow.go.set()
    waiting.join()
    assert "000001-000001/00000004.json" in slow.names()
    worker.wait(alone)
    assert "000001-000001/00000008.json" in slow.names() and worker.has_arrived
    assert not list((slow.scratch / "uploads").rglob("*.safetensors")), "nothing is left on the host"


def test_an_upload_that_fails_is_an_error_and_what_was_saved_is_kept(slow: Slow) -> None:
    worker = Checkpoints(slow, attempt=1, rank=0, keep=2)
    slow.go.set()
    worker.newest()
    worker.save(4, {}, numerics={}, gather=alone)
    worker.wait(alone)
    slow.error = OSError(errno.ENOSPC, "No space left on device")
    worker.save(8, {}, numerics={}, gather=alone)
    with pytest.raises(StageFailed, match=r"step 8 could not be saved in file://.*no space left.*Earlier checkpoints"):
        worker.wait(alone)
    assert resumed(Checkpoints(slow, attempt=2, rank=0, keep=2).newest()) == ("000001-000001", 4)


def test_a_full_disk_while_saving_is_one_sentence_and_earlier_checkpoints_stay(
    place: CheckpointPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, _ = start(place, monkeypatch)
    save(workers, 4)

    def full(path: Path, state: SavedState) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(checkpoint_places, "write_state", full)
        with pytest.raises(StageFailed, match=r"the checkpoint of step 8 could not be saved in .*no space left"):
            save(workers, 8)
    assert not [name for name in place.names() if "00000008" in name]
    assert resumed(start(place, monkeypatch, attempt=2)[1]) == ("000001-000001", 4)


def test_a_marker_that_cannot_be_written_is_no_checkpoint(
    place: CheckpointPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, _ = start(place, monkeypatch)
    save(workers, 4)

    def refuse(name: str, data: bytes) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with monkeypatch.context() as context:
        context.setattr(type(place), "put", lambda self, name, data: refuse(name, data))
        with pytest.raises(StageFailed, match="step 8 could not be saved"):
            save(workers, 8)
    assert resumed(start(place, monkeypatch, attempt=2)[1]) == ("000001-000001", 4)


def test_random_numbers_go_on_where_they_stopped(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.gauss(0, 1), float(np.random.normal()), torch.randn(()).item()]

    random_state.seed(17, 1)
    first = draw()
    worker = Checkpoints(FolderPlace(tmp_path), attempt=1, rank=0, keep=1)
    worker.save(1, {}, numerics={}, gather=alone)
    expected = draw()
    random_state.seed(99, 0)
    found = worker.newest()
    assert found is not None
    state = worker.saved(found).load(0)["random"]
    random_state.set_random_state({**state, "torch": state["torch"].load()})
    assert draw() == expected
    random_state.seed(17, 1)
    assert draw() == first
    random_state.seed(17, 2)
    assert draw() != first, "workers draw differently"


def test_a_future_of_a_folder_is_done_at_once(tmp_path: Path) -> None:
    size, arrived = FolderPlace(tmp_path).write("a/b.safetensors", {"x": 1})
    assert isinstance(arrived, Future) and arrived.done() and size == (tmp_path / "a" / "b.safetensors").stat().st_size

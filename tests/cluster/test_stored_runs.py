"""Run directories of a work directory behind a URL: what one machine writes, another reads."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from cluster.ledger import Ledger
from cluster.run import Run, all_runs, find
from cluster.stored_runs import uploading
from pipeline.core.errors import UserError
from pipeline.core.objects import ObjectStore
from pipeline.core.places import local_workdir, url_of


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket/w"


def on_machine(name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / name))
    return local_workdir(url)


def make_run(workdir: Path, name: str = "20261129-000000-x") -> Run:
    run = Run(workdir / "runs" / name)
    run.metrics.mkdir(parents=True)
    (run.path / "config.yaml").write_text("name: x\n")
    run.event("started", pid=1, born=5, host="elsewhere", stages=["ingest"])
    (run.metrics / "curve.jsonl").write_text("{}\n")
    return run


def test_a_run_is_read_on_another_machine_while_it_goes_on_and_when_it_has_ended(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.stored_runs.INTERVAL_S", 0.05)
    first = on_machine("1", url, tmp_path, monkeypatch)
    run, store = make_run(first), ObjectStore(url)
    second = on_machine("2", url, tmp_path, monkeypatch)
    with uploading(run.path, first):
        while not all(store.exists(f"runs/{run.path.name}/{name}") for name in ("events.jsonl", "config.yaml")):
            time.sleep(0.01)
        assert [other.state() for other in all_runs(second)] == ["running"]
        run.event("finished", seconds=3.0)
    fetched = find(second, run.path.name)
    assert fetched.state() == "finished" and fetched.path.is_relative_to(tmp_path / "2")
    assert (fetched.metrics / "curve.jsonl").read_text() == "{}\n"
    assert not any(".here" in key for key in store.list("runs"))


def test_a_run_of_another_machine_that_has_been_silent_for_long_was_killed(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = on_machine("1", url, tmp_path, monkeypatch)
    run = make_run(first)
    with uploading(run.path, first):
        pass
    second = on_machine("2", url, tmp_path, monkeypatch)
    now = time.time()
    monkeypatch.setattr("cluster.run.time.time", lambda: now + 300)
    assert find(second, None).state() == "killed"


def test_a_ledger_written_on_one_machine_is_read_on_another(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(on_machine("1", url, tmp_path, monkeypatch))
    ledger.record_part({"a": "0" * 64})
    ledger.save()
    assert Ledger(on_machine("2", url, tmp_path, monkeypatch)).parts == [{"a": "0" * 64}]
    assert json.loads(ObjectStore(url).read("ledger.json"))["parts"] == [{"a": "0" * 64}]


def test_the_folder_of_a_url_says_which_store_it_stands_for(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = on_machine("1", url, tmp_path, monkeypatch)
    assert url_of(folder) == url and local_workdir(f"{url}/") == folder
    assert url_of(tmp_path) is None and local_workdir(tmp_path) == tmp_path
    with pytest.raises(UserError, match="the URL holds a user and a password") as raised:
        local_workdir("s3://key:hunter2@bucket/w")
    assert "hunter2" not in str(raised.value)

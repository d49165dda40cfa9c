"""A work directory on an S3 server: the bytes of a local one, whatever fails, and machines that share nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.lease import WorkdirLocked, lease
from pipeline.core.objects import ObjectStore
from pipeline.core.store import Store
from tests.support.faulty_proxy import Fault, FaultyProxy, Plan
from tests.support.s3 import S3Server, digests_of, finished_tasks, use_environment

pytestmark = pytest.mark.long
STAGES = ["ingest", "signals", "clean", "dedupe", "tokenizer", "pack", "pretrain", "evaluate", "export"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """machine("b"): commands from here on run on a machine that shares no folder of work with the others."""

    def move(name: str) -> None:
        monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / f"machine-{name}"))

    return move


def test_the_whole_path_on_a_store_that_fails_has_the_bytes_of_a_local_one(
    tmp_path: Path, config: Callable[..., Path], bloomery: Callable[..., str], machine: Callable[[str], None],
    s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path, url = config("a", beam=2), f"s3://{s3_bucket}/runs of 中文/w"
    bloomery("run", path)
    machine("1")
    with FaultyProxy(s3_server.url, Plan(seed=7, rate=0.08, hold_s=1.0)) as proxy:
        use_environment(proxy.environment(s3_server.environment), monkeypatch)
        printed = bloomery("run", path, f"workdir={url}")
        assert sum(proxy.injected.values()) > 15, proxy.injected
    print(f"{proxy.requests} requests, faults: {dict(proxy.injected)}")
    use_environment(s3_server.environment, monkeypatch)
    assert f"export      {url}/store/export/" in printed
    assert digests_of(url, STAGES) == digests_of(tmp_path / "a", STAGES) and list(digests_of(url, STAGES)) == STAGES
    check_no_secrets(url, s3_server, tmp_path)
    machine("2")
    assert "9 stages, all cached" in bloomery("run", path, f"workdir={url}")
    listed = bloomery("runs", "--workdir", url)
    assert listed.count("finished") == 2 and "9 of 9" in listed
    run = next(line.split()[0] for line in listed.splitlines() if "-tiny" in line)
    assert Path(bloomery("report", run, "--workdir", url).strip()).exists()
    traced = json.loads(bloomery("trace", run, "--step", "3", "--json", "--workdir", url))
    assert traced["step"] == 3 and traced["rows"]
    check_init(path, url, tmp_path / "a", bloomery)


def check_init(path: Path, url: str, folder: Path, bloomery: Callable[..., str]) -> None:
    """Another model starts from that of a store, in a folder; and from that of a folder, in a store."""
    first = Store(folder).all("pretrain")[0]
    bloomery("run", path, f"pretrain.init={url}", "--to", "pretrain")
    bloomery("run", path, f"pretrain.init={first.uri}", f"workdir={url}", "--to", "pretrain")
    models = [Store(place).all("pretrain")[0].manifest for place in (folder, url)]
    assert models[0].fingerprint == models[1].fingerprint != first.manifest.fingerprint
    assert models[0].digest == models[1].digest != first.manifest.digest


def check_no_secrets(url: str, server: S3Server, folder: Path) -> None:
    """No object and no local file holds a credential."""
    store = ObjectStore(url)
    texts = [store.read(key) for key in store.list("") if "/files/" not in key]
    texts += [path.read_bytes() for path in folder.rglob("*") if path.suffix in (".json", ".jsonl", ".txt", ".yaml")]
    assert len(texts) > 40
    for text in texts:
        assert server.secret_key.encode() not in text and server.access_key.encode() not in text


def test_after_a_kill_another_machine_goes_on_from_the_finished_tasks(
    tmp_path: Path, bloomery: Callable[..., str], begin: Callable[..., subprocess.Popen[str]],
    machine: Callable[[str], None], s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path, url = sources_of_falling_size(tmp_path), f"s3://{s3_bucket}/w"
    store = ObjectStore(url)
    machine("1")
    # the third task is never finished: its record does not arrive
    stuck = Plan([Fault("timeout", ["PUT"], "*/tasks/read/002-000000.json", times=1000)], hold_s=20)
    with FaultyProxy(s3_server.url, stuck) as proxy:
        use_environment(proxy.environment(s3_server.environment), monkeypatch)
        process = begin("run", path, f"workdir={url}")
        use_environment(s3_server.environment, monkeypatch)
        try:
            while not proxy.injected["timeout"]:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.2)
            named = f"{url}: process {process.pid} on .*is using this work directory"
            with pytest.raises(WorkdirLocked, match=named), lease(url, "another"):
                pass
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert finished_tasks(store, "read") == {1: ["000-000000", "001-000000"]}
    machine("2")
    assert "resuming, attempt 2" in bloomery("run", path, f"workdir={url}")
    (events,) = (tmp_path / "machine-2").glob("*/runs/*/events.jsonl")
    assert "2 of 4 tasks were finished before" in events.read_text(encoding="utf-8")
    bloomery("run", path, f"workdir={tmp_path}/local")
    assert digests_of(url, STAGES) == digests_of(tmp_path / "local", STAGES) != {}


def sources_of_falling_size(folder: Path) -> Path:
    """A configuration with four sources, which are four tasks; the largest is read first."""
    sources = []
    for number in range(4):
        lines = [json.dumps({"text": f"文 {number} {at}"}, ensure_ascii=False) for at in range(40 - 10 * number)]
        (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        sources.append({"name": f"s{number}", "reader": "jsonl", "paths": str(folder / f"{number}.jsonl")})
    path = folder / "sources.yaml"
    path.write_text(json.dumps({"ingest": {"sources": sources}, "cluster": {"beam": {"workers": 1}}}))
    return path

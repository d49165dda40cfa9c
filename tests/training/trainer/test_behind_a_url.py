"""Training with a store behind a URL: hosts that share nothing read artifacts from it and keep what they make in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject
from pipeline.core.job import Inputs, Job, JobPaths, StageOutput
from pipeline.core.named_artifact import artifact_named
from pipeline.core.places import local_folder
from pipeline.core.store import Store
from training.spec import worker_spec_of
from training.stages.pretrain import results_of, run
from training.trainer import loop
from training.trainer.worker import work

SMALL: JsonObject = {"steps": 12, "save_every": 4, "model": {"family": "gpt", "layers": 1, "heads": 2, "width": 16}}
FINGERPRINT = "ab" * 32


@dataclass
class Hosts:
    """Hosts that share a store alone. `on("b")`: what this process does from now on, it does on host b."""

    root: Path
    url: str
    monkeypatch: pytest.MonkeyPatch

    def on(self, host: str) -> None:
        self.monkeypatch.setenv("BLOOMERY_SCRATCH", str(self.root / host))

    def holds(self, host: str, pattern: str) -> list[Path]:
        return sorted((self.root / host).rglob(pattern))


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    return Hosts(tmp_path / "hosts", f"file://{tmp_path}/bucket", monkeypatch)


@pytest.fixture
def publish(hosts: Hosts, job_in: Callable[..., Job], tmp_path: Path) -> Callable[[Artifact], Artifact]:
    """Publish a local artifact in the store behind the URL."""

    def copy(artifact: Artifact) -> Artifact:
        manifest, store = artifact.manifest, Store(hosts.url)
        number, folder = store.begin(manifest.stage, manifest.fingerprint)
        for file in manifest.files:
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.file(file.path), folder / file.path)
        job = job_in(
            tmp_path / manifest.stage, {}, stage=manifest.stage, kind=manifest.kind, fingerprint=manifest.fingerprint,
            params=manifest.params, attempt=number,
        )  # fmt: skip
        job = replace(job, place=JobPaths(folder, folder, folder, folder / "log", hosts.url))
        return store.publish(job, StageOutput(list(manifest.files), {}))

    return copy


@pytest.fixture
def begin(
    hosts: Hosts, make_job: Callable[..., Job], inputs: dict[str, Artifact], publish: Callable[[Artifact], Artifact]
) -> Callable[[], Job]:
    """The next attempt of the same training, on the host that this process is on now."""
    hosts.on("publisher")
    published = {kind: publish(artifact).uri for kind, artifact in inputs.items()}
    plain = make_job("remote", **SMALL)

    def attempt() -> Job:
        number, folder = Store(hosts.url).begin("pretrain", FINGERPRINT)
        root = local_folder(hosts.url)
        place = JobPaths(folder, root / "scratch", root / "metrics", root / "log.txt", hosts.url)
        for path in (place.scratch, place.metrics):
            path.mkdir(parents=True, exist_ok=True)
        cache = place.cache(1)
        remote = Inputs.of({kind: Artifact.of(uri, cache) for kind, uri in published.items()})
        identity = replace(plain.identity, fingerprint=FINGERPRINT, attempt=number)
        return replace(plain, identity=identity, place=place, inputs=remote)

    return attempt


def test_a_worker_on_another_host_trains_and_the_driver_publishes_what_it_left(
    hosts: Hosts, begin: Callable[[], Job], make_job: Callable[..., Job]
) -> None:
    local = make_job("local", **SMALL)
    work(worker_spec_of(local), lambda figures: None)
    hosts.on("driver")
    job = begin()
    spec = worker_spec_of(job)
    assert not hosts.holds("driver", "*.parquet"), "the driver need not have the rows"
    hosts.on("worker")
    work(spec, lambda figures: None)
    assert hosts.holds("worker", "*.parquet"), "it read the rows through its own cache"
    hosts.on("driver")
    assert not hosts.holds("driver", "model.safetensors")
    output = run(job)
    assert {file.path: file.sha256 for file in output.files} == {file.path: file.sha256 for file in run(local).files}
    artifact = Store(hosts.url).publish(job, output)
    assert (
        artifact.file("model/model.safetensors").read_bytes()
        == (local.folder / "model" / "model.safetensors").read_bytes()
    )
    left = [
        path for path in (hosts.root.parent / "bucket").rglob("*") if "checkpoints" in path.parts and path.is_file()
    ]
    assert not left, "a published model needs no checkpoint"


def test_another_host_starts_from_a_model_of_another_run_behind_a_url(
    hosts: Hosts, begin: Callable[[], Job], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    hosts.on("driver")
    job = begin()
    work(worker_spec_of(job), lambda figures: None)
    model = Store(hosts.url).publish(job, run(job))
    named = artifact_named(model.uri, "pretrain.init")
    assert named.uri == artifact_named(hosts.url, "pretrain.init").uri == model.uri
    shutil.copytree(model.folder(""), tmp_path / "model-of-a-disk")
    on_disk = artifact_named(str(tmp_path / "model-of-a-disk"), "pretrain.init")
    results = {}
    for name, artifact in (("url", named), ("disk", on_disk)):
        hosts.on(name)
        local = make_job(name, **{**SMALL, "steps": 2}, init=artifact.uri)
        local = replace(local, inputs=Inputs.of({**local.inputs.by_kind, "init": artifact}))
        work(worker_spec_of(local), lambda figures: None)
        results[name] = (local.folder / "model" / "model.safetensors").read_bytes()
    assert results["url"] == results["disk"]
    local = make_job("none", **{**SMALL, "steps": 2})
    work(worker_spec_of(local), lambda figures: None)
    assert (local.folder / "model" / "model.safetensors").read_bytes() != results["url"]


class HostLost(Exception):
    """The host of the worker is gone."""


def test_another_host_goes_on_from_the_checkpoints_in_the_store(
    hosts: Hosts, begin: Callable[[], Job], make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    local = make_job("local", **SMALL)
    work(worker_spec_of(local), lambda figures: None)
    one_step = loop.one_step

    def step(training: loop.TrainingRun) -> None:
        if training.done == 10:
            training.checkpoints.wait(loop.gather)  # so that the test knows which checkpoint is there
            raise HostLost
        one_step(training)

    hosts.on("first")
    job = begin()
    with monkeypatch.context() as context:
        context.setattr(loop, "one_step", step)
        with pytest.raises(HostLost):
            work(worker_spec_of(job), lambda figures: None)
    shutil.rmtree(hosts.root / "first")
    assert results_of(job) is None
    hosts.on("second")
    job = begin()
    assert job.identity.attempt == 2
    work(worker_spec_of(job), lambda figures: None)
    output = run(job)
    assert output.journal["from_step"] == 8
    assert {file.path: file.sha256 for file in output.files} == {file.path: file.sha256 for file in run(local).files}

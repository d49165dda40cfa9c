"""What the process of a step is given: the job, with its inputs and resources, and the process to end with."""

from __future__ import annotations

import os
from pathlib import Path

import cluster
from cluster.child import StageRequest
from cluster.plan import PlannedStep
from cluster.supervisor import Supervisor
from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, Resources
from pipeline.core.manifest import StageHashes
from pipeline.core.places import JobPaths, url_of
from pipeline.core.store import Store

LAUNCHER = "cluster.launchers:launcher"
REMOTE = "cluster.launchers:remote_processes"


def request(supervisor: Supervisor, step: PlannedStep, attempt: int, folder: Path, began: float) -> StageRequest:
    """What the child process needs: the job, its parent's process id, and where to publish."""
    job = _job(supervisor, step, attempt, folder).to_dict()
    return {
        "job": job | {"progress": supervisor.listener.address, "began": began},
        "parent": os.getpid(), "home": str(Path(cluster.__file__).parent), "plugins": str(Path.cwd()),
        "workdir": str(supervisor.loaded.workdir),
    }  # fmt: skip


def _job(supervisor: Supervisor, step: PlannedStep, attempt: int, folder: Path) -> Job:
    config, run, workdir = supervisor.loaded.config, supervisor.run, supervisor.loaded.workdir
    inputs: dict[str, tuple[Artifact, ...]] = {}
    for kind, sources in step.reads.items():
        inputs[kind] = tuple(
            _input(supervisor.store, step, source.step, source.stage, source.fingerprint) for source in sources
        )
    identity = Identity(
        stage=step.stage, version=step.spec.version, kind=step.spec.makes, run=step.spec.run, fingerprint=step.exact,
        params=step.params, seed=config.seed, attempt=attempt, input_fingerprints=dict(step.inputs),
        input_digests=_digests(step, inputs),
    )  # fmt: skip
    # steps of the same stage must not mix their curves
    metrics = run.metrics_of(step.name and step.id)
    metrics.mkdir(exist_ok=True)
    place = JobPaths(
        folder=folder, scratch=workdir / "scratch", metrics=metrics, log=run.log, store=url_of(workdir) or ""
    )
    place.scratch.mkdir(exist_ok=True)
    cluster_options = config.cluster.options(head=_head(supervisor, step))
    resources = Resources(
        workers=config.cluster.beam.workers or os.cpu_count() or 1, cluster=cluster_options, launcher=LAUNCHER,
        remote=REMOTE,
    )  # fmt: skip
    secrets = {text: value for value, text in supervisor.loaded.secrets.items()}
    return Job(
        identity, Inputs.of({**inputs, **step.externals}), place, resources, step.sources, step.section, secrets=secrets
    )


def _head(supervisor: Supervisor, step: PlannedStep) -> str | None:
    """The address of the Ray that the steps of this run share; it starts when the first step that uses it runs."""
    uses_ray = step.spec.is_data_stage or supervisor.loaded.config.cluster.launcher == "ray"
    return supervisor.ray.address() if supervisor.ray and uses_ray else supervisor.options.head


def _input(store: Store, step: PlannedStep, source: str, stage: str, fingerprint: str) -> Artifact:
    artifact = store.find(stage, fingerprint)
    if artifact is None:
        raise StageFailed(f"{step.id}: its input {source} is no longer in the store. Run again with --from {source}.")
    return artifact


def _digests(step: PlannedStep, inputs: dict[str, tuple[Artifact, ...]]) -> StageHashes:
    """As `step.inputs`, with content digests; raw files and artifacts of other runs have digests there already."""
    digests: StageHashes = dict(step.inputs)
    for artifacts in inputs.values():
        of_kind = [artifact.manifest.digest for artifact in artifacts]
        digests[artifacts[0].manifest.stage] = of_kind[0] if len(of_kind) == 1 else of_kind
    return digests

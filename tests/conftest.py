"""What tests of every package need: a job whose folders exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.inputs import Inputs
from pipeline.core.job import ClusterOptions, Identity, Job, Resources, SourceFiles
from pipeline.core.places import JobPaths

# fixtures `s3_server` and `s3_bucket`
pytest_plugins = ["tests.support.s3"]

# a busy machine is no mistake: no property has a deadline, and none fails because its examples came slowly
hypothesis.settings.register_profile("bloomery", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("bloomery")


@pytest.fixture(scope="session")
def job_in() -> Callable[..., Job]:
    """job_in(tmp_path, {"documents": artifact}, stage="pack", workers=2) → a Job; further names are of its Identity."""

    def make(
        root: Path,
        inputs: Inputs | Mapping[str, Artifact | Sequence[Artifact]],
        *,
        workers: int = 1,
        cluster: ClusterOptions | None = None,
        sources: Sequence[SourceFiles] = (),
        section: dict[str, Any] | None = None,
        **identity: Any,
    ) -> Job:
        for folder in ("folder", "scratch", "metrics"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        named = {"stage": "test", "version": 1, "kind": "documents", "run": "", "fingerprint": "0" * 64, "seed": 17}
        return Job(
            Identity(**{"params": {}, **named, **identity}),
            inputs if isinstance(inputs, Inputs) else Inputs.of(inputs),
            JobPaths(root / "folder", root / "scratch", root / "metrics", root / "log.txt"),
            Resources(workers, cluster or ClusterOptions(), "cluster.launchers:launcher"),
            sources,
            section or {},
        )

    return make

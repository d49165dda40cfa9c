"""What cannot work on a cluster is refused with its line, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.config import load
from cluster.submission.refusals import is_reachable, remarks, submission_checks
from pipeline.core.errors import ConfigError, UserError

CONFIG = """
workdir: {workdir}
ingest: {{sources: [{{reader: jsonl, paths: ["{paths}", "s3://bucket/*.jsonl"]}}]}}
pretrain: null
cluster: {{launcher: {launcher}, address: "{address}"}}
"""


def write(folder: Path, **values: str) -> Path:
    path = folder / "run.yaml"
    options = {"workdir": "s3://bucket/work", "paths": "hdfs://x/y", "launcher": "ray", "address": "auto", **values}
    path.write_text(CONFIG.format(**options), encoding="utf-8")
    return path


def problems(path: Path, *shared: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, checks=submission_checks(shared))
    return [line.partition("run.yaml:")[2] for line in str(caught.value).splitlines()]


def test_paths_of_the_client_and_the_local_launcher_are_refused_together(tmp_path: Path) -> None:
    path = write(tmp_path, workdir="work", paths="data/*.jsonl", launcher="local")
    workdir, raw, launcher = problems(path)
    assert workdir.startswith(
        "2: workdir: the work directory is a path of this machine (work). The cluster needs a URL"
    )
    assert raw.startswith("3: ingest.sources[0].paths[0]: data/*.jsonl is a path of this machine.")
    assert "--shared /the/folder" in raw
    assert launcher == (
        "5: cluster.launcher: is local: training would run on the head of the cluster alone. "
        "Write cluster.launcher=ray."
    )


def test_urls_and_shared_folders_are_accepted(tmp_path: Path) -> None:
    load(write(tmp_path), checks=submission_checks(()))
    path = write(tmp_path, workdir="/mnt/data/work", paths="/mnt/data/raw/*.jsonl")
    load(path, checks=submission_checks(("/mnt/data",)))
    assert len(problems(path, "/mnt/dat")) == 2


@pytest.mark.parametrize(
    ("value", "reachable"),
    [
        ("s3://b/x", True), ("simplecache::s3://b/x", True), ("gs://b", True), ("/mnt/data/x", True),
        ("file:///mnt/data/x", True), ("file:///home/x", False), ("local://x", False), ("/mnt/data/../home", False),
        ("/mnt/database", False), ("x", False), ("~/x", False),
    ],
)  # fmt: skip
def test_a_path_is_reachable_by_a_url_or_in_a_shared_folder(value: str, reachable: bool) -> None:
    assert is_reachable(value, ["/mnt/data"]) is reachable


def test_a_shared_folder_is_absolute() -> None:
    with pytest.raises(UserError, match="--shared data: write the absolute path"):
        submission_checks(("data",))


def test_an_address_that_is_not_used_and_data_stages_on_the_head_are_mentioned(tmp_path: Path) -> None:
    flow = load(write(tmp_path, address="10.0.0.1:6379"), checks=submission_checks(())).flow
    address, runner = remarks(flow)
    assert address.startswith("cluster.address: 10.0.0.1:6379 is not used")
    assert runner.startswith("cluster.beam.runner: embedded: the data stages run on the head")

"""Training on three hosts, on each of which the host's name resolves to 127.0.1.1 as on Debian and Ubuntu."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.hosts import HostsUnavailable, booted, install_kernels
from tests.support.ray_hosts import ray_on

pytestmark = pytest.mark.long

CONFIG = """\
workdir: /mnt/shared/work
ingest: {{sources: [{{reader: jsonl, paths: "/mnt/shared/*.jsonl"}}]}}
tokenizer: {{vocabulary: 300}}
pack: {{length: 16, validation: 0.2}}
pretrain:
  model: {{gpt: {{layers: 1, heads: 2, width: 16}}}}
  steps: 3
  batch_tokens: 96
cluster: {{launcher: ray, address: "{address}", workers: 3, beam: {{workers: 1}}}}
"""


def test_three_hosts_train_though_their_name_resolves_to_loopback(tmp_path: Path) -> None:
    sentences = [
        "the quiet river carries a letter",
        "安静的河流带着一封信",
        "nobody has opened it yet",
        "还没有人打开它",
    ]
    lines = (f'{{"text": "{sentences[number % 4]} {number}"}}\n' for number in range(200))
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
    try:
        with booted(["one", "two", "three"], shared=shared) as hosts, ray_on(hosts, tmp_path) as ray:
            install_kernels(hosts[0])
            (shared / "run.yaml").write_text(CONFIG.format(address=ray.address), encoding="utf-8")
            command = [sys.executable, "-m", "cluster.cli", "run", "/mnt/shared/run.yaml"]
            log = tmp_path / "run.txt"
            assert hosts[0].start(command, log).wait(600) == 0, log.read_text(encoding="utf-8")
    except HostsUnavailable as error:
        pytest.skip(f"no hosts: {error}")
    [curve] = (shared / "work" / "store" / "pretrain").glob("*/curve.parquet")
    assert pq.read_table(curve)["step"].to_pylist() == [1, 2, 3]

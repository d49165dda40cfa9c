"""What doctor says of DeepSpeed's compiled operations."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cluster.commands.operations import PROBE, describe


def test_missing_operations_are_grouped_by_what_they_are_for() -> None:
    text = describe(["fused_adam", "async_io", "cpu_adam", "transformer", "deepspeed_not_implemented"])
    assert text.startswith(
        "not compiled (optimizers: cpu_adam, fused_adam; offload to memory or disk: async_io; "
        "inference and other models: transformer). This costs nothing:"
    )
    assert describe([]) == "all of its operations are compiled; Bloomery calls none of them"


@pytest.mark.long
def test_the_probe_finds_the_operations_of_this_installation() -> None:
    ended = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    line = ended.stdout.strip().splitlines()[-1]
    assert line.startswith("0.19.8; ") and "fused_adam" in line and "deepspeed_not_implemented" not in line

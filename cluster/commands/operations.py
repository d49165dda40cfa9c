"""DeepSpeed's compiled operations: which of them are missing here, and what that costs Bloomery."""

from __future__ import annotations

from collections.abc import Iterable

# prints the version of DeepSpeed and `describe`; runs in a process of its own
PROBE = """
import os, torch
os.environ["DS_ACCELERATOR"] = "cuda" if torch.cuda.is_available() else "cpu"
import deepspeed
from deepspeed.git_version_info import installed_ops
from deepspeed.ops.op_builder.all_ops import ALL_OPS
from cluster.commands.operations import describe
print(deepspeed.__version__ + "; " + describe(name for name in ALL_OPS if not installed_ops.get(name)))
"""
# of DeepSpeed 0.19.8 on CPUs and CUDA: what for → operations
PURPOSES = {
    "optimizers": (
        "cpu_adam", "cpu_adagrad", "cpu_lion", "fused_adam", "fused_lamb", "fused_lion", "cpu_muon", "fused_muon",
    ),
    "offload to memory or disk": ("async_io", "gds", "pin_memory"),
    "communication between processes of one CPU": ("deepspeed_ccl_comm", "deepspeed_shm_comm"),
    "quantised communication": ("quantizer", "fp_quantizer"),
}  # fmt: skip
NO_OPERATION = "deepspeed_not_implemented"


def describe(missing: Iterable[str]) -> str:
    """The missing operations by what they are for, and what their absence costs, in a sentence."""
    names = sorted(set(missing) - {NO_OPERATION})
    if not names:
        return "all of its operations are compiled; Bloomery calls none of them"
    groups = {purpose: [name for name in names if name in listed] for purpose, listed in PURPOSES.items()}
    groups["inference and other models"] = [name for name in names if not any(name in g for g in PURPOSES.values())]
    listed = "; ".join(f"{purpose}: {', '.join(group)}" for purpose, group in groups.items() if group)
    return (
        f"not compiled ({listed}). This costs nothing: Bloomery calls none of them, its optimizers update ZeRO's "
        "shares with torch, and nothing is offloaded"
    )

"""The device and precision of this process: the part of a run's numerics that depends on the machine."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from pipeline.core.errors import UserError
from training.section import Precision

# fastest first: the level of a processor is the first one that it has
LEVELS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "asimd")


# set by the launchers where cluster.gpus_per_worker asks for GPUs
GPUS = "BLOOMERY_GPUS"


def device() -> torch.device:
    """The GPU of this worker's local rank, or the CPU.

    Raises: UserError when the config asks for GPUs and torch sees none; it could otherwise train on a CPU for days.
    """
    if torch.cuda.is_available() and torch.cuda.device_count():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    if int(os.environ.get(GPUS, "0")):
        build = f"torch {torch.__version__}" + ("" if torch.version.cuda else ", built without CUDA,")
        raise UserError(
            f"cluster.gpus_per_worker: {build} sees no GPU on {platform.node()}. Write gpus_per_worker: 0 to train on "
            "the CPU, or install a torch and a driver that fit."
        )
    return torch.device("cpu")


def backend(where: torch.device) -> Literal["nccl", "gloo"]:
    """The communication library of the workers."""
    return "nccl" if where.type == "cuda" else "gloo"


@cache
def cpu_level() -> str:
    """The widest arithmetic of this processor: it decides the last bits, and whether bf16 is worth it."""
    path = Path("/proc/cpuinfo")
    words = set(path.read_text(encoding="utf-8", errors="replace").split()) if path.exists() else set()
    return next((level for level in LEVELS if level in words), platform.machine())


def precision(setting: Literal["auto", "bf16", "fp32"], where: torch.device) -> Precision:
    """bf16 where the hardware supports it (AMX, AVX-512, a GPU that has it), else fp32.

    Raises: UserError for bf16 on a device that would only emulate it.
    """
    fast = torch.cuda.is_bf16_supported() if where.type == "cuda" else cpu_level() in LEVELS[:2]
    if setting == "auto":
        return "bf16" if fast else "fp32"
    if setting == "bf16" and not fast:
        raise UserError(f"pretrain.precision: {describe(where)} does not compute in bf16. Write fp32 or auto.")
    return setting


def describe(where: torch.device) -> str:
    """The name of a device in a run's numerics: the GPU's name, or the CPU's level."""
    return torch.cuda.get_device_name(where) if where.type == "cuda" else f"cpu {cpu_level()}"


def micro_batch_tokens(where: torch.device) -> int:
    """The default number of tokens that a worker computes at once: what fits the caches of a core, or fills a GPU."""
    return 32768 if where.type == "cuda" else 8192

"""GPUs by name: bf16 tensor TFLOP/s without sparsity, and GB of memory, as their makers state them.

A training reaches a share of the TFLOP/s, its MFU. 0.35 is assumed: dense models of 0.1 to 13 B parameters were
reported with 0.35 to 0.47 on H100 in bf16 (LLM-Foundry's benchmarks, torchtitan's tables of 2024). It was not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

MFU = 0.35


@dataclass(frozen=True)
class Gpu:
    """`flops`: a second. `size_bytes`: of its memory."""

    name: str
    flops: float
    size_bytes: float


GPUS = {
    key: Gpu(name, teraflops * 1e12, gigabytes * 1e9)
    for key, name, teraflops, gigabytes in (
        ("a100-40", "A100 40 GB", 312, 40), ("a100", "A100 80 GB", 312, 80), ("h100", "H100 SXM", 989, 80),
        ("h200", "H200 SXM", 989, 141), ("b200", "B200", 2250, 180), ("l40s", "L40S", 362, 48), ("l4", "L4", 121, 24),
        ("a10", "A10", 125, 24), ("rtx4090", "RTX 4090", 165, 24),
    )
}  # fmt: skip

"""SwiGLU, forward and backward, on the products of gate and up side by side. N rows, H hidden; all bf16.

gate_up: N, 2 H (gate first); active: N, H.
"""

from __future__ import annotations

import numpy as np

from training.models.cpu.bf16 import Bits, Floats, exp, narrow, wide
from training.models.cpu.compiler import loop

ONE = np.float32(1.0)


@loop
def swiglu(first: int, last: int, part: int, gate_up: Bits, active: Bits) -> None:
    """active = silu(gate) × up."""
    hidden = active.shape[1]
    for n in range(first, last):
        gate, up, out = gate_up[n, :hidden], gate_up[n, hidden:], active[n]
        for h in range(hidden):
            out[h] = narrow(wide(gate[h]) / (ONE + exp(-wide(gate[h]))) * wide(up[h]))


@loop
def swiglu_backward(
    first: int, last: int, part: int, gate_up: Bits, for_active: Bits, for_gate_up: Bits, scratch: Floats
) -> None:
    """The gradients of gate and up, side by side as they are. scratch: parts, H fp32."""
    hidden = for_active.shape[1]
    share = scratch[part]
    for n in range(first, last):
        gate, up, gradient = gate_up[n, :hidden], gate_up[n, hidden:], for_active[n]
        for_gate, for_up = for_gate_up[n, :hidden], for_gate_up[n, hidden:]
        # one array written a loop: only then is it vectorised
        for h in range(hidden):
            share[h] = ONE / (ONE + exp(-wide(gate[h])))
        for h in range(hidden):
            slope = share[h] * (ONE + wide(gate[h]) * (ONE - share[h]))
            for_gate[h] = narrow(wide(gradient[h]) * wide(up[h]) * slope)
        for h in range(hidden):
            for_up[h] = narrow(wide(gradient[h]) * wide(gate[h]) * share[h])

"""Compiles the kernels of this folder: like pipeline/kernels, into a cache named by a hash of these sources.

No kernel here uses fast-math: simd.py writes out each vector operation, so the bits are the same on every
processor that has a fused multiply-add, whatever the width of its registers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pipeline.kernels import compiler
from pipeline.kernels.compiler import inlined

__all__ = ["inlined", "kernel"]

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a loop that is called from Python."""
    return compiler.compiled_in(Path(__file__).parent, compiler.kernel, function)

"""Compiles the loops of this folder: like pipeline/kernels, into a cache named by a hash of these sources.

The compiler may reorder the sums of a loop and fuse products with sums (never assume that a number is finite): so the
last bits depend on the processor, as those of PyTorch's bf16 products do, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pipeline.kernels import compiler
from pipeline.kernels.compiler import bare_inlined

__all__ = ["bare_inlined", "loop"]

F = TypeVar("F", bound=Callable[..., object])


def loop(function: F) -> F:
    """Compile a loop that is called from Python and allocates nothing."""
    return compiler.compiled_in(Path(__file__).parent, compiler.reordered_kernel, function)

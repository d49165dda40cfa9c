"""The types of numba intrinsics: functions that write the LLVM code of a call themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core.base import BaseContext
from numba.core.typing import Signature

Values: TypeAlias = Sequence[ir.Value]
CodeGenerator: TypeAlias = Callable[[BaseContext, ir.IRBuilder, Signature, Values], ir.Value]
Intrinsic: TypeAlias = tuple[Signature, CodeGenerator]
"""What numba asks of an intrinsic: the types of a call, and the function that writes its LLVM code."""

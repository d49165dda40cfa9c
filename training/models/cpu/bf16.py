"""bf16 numbers in loops: an unsigned 16-bit integer that holds the upper half of a float32; and exp, sixteen at a time.

The intrinsics are plain integer operations, so that the compiler can vectorise the loops that use them.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.core.base import BaseContext
from numba.core.typing import Context, Signature
from numba.extending import intrinsic
from numpy.typing import NDArray

from pipeline.kernels.intrinsics import Intrinsic, Values
from training.models.cpu.compiler import bare_inlined

Bits: TypeAlias = NDArray[np.uint16]
Floats: TypeAlias = NDArray[np.float32]
_SHORT, _INT, _FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()
QUIET_NAN = 0x7FC0

LOG2E, LN2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
LOWEST = np.float32(-87.0)  # below it, e^x is no normal float32
HIGHEST = np.float32(88.0)
ONE = np.float32(1.0)
# 1/2! to 1/6!: within |x| ≤ ln 2 / 2 the rest of the series is below 2e-7 of the value
C2, C3, C4, C5, C6 = (np.float32(1 / n) for n in (2, 6, 24, 120, 720))


@intrinsic  # type: ignore[untyped-decorator]
def wide(_: Context, number: types.Integer) -> Intrinsic:
    """The float32 of a bf16 number."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        bits = builder.shl(builder.zext(arguments[0], _INT), _INT(16))
        return builder.bitcast(bits, _FLOAT)

    return types.float32(types.uint16), generate


@intrinsic  # type: ignore[untyped-decorator]
def narrow(_: Context, number: types.Float) -> Intrinsic:
    """The nearest bf16 number, ties to even; NaN stays NaN."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        bits = builder.bitcast(arguments[0], _INT)
        odd = builder.and_(builder.lshr(bits, _INT(16)), _INT(1))
        rounded = builder.lshr(builder.add(bits, builder.add(odd, _INT(0x7FFF))), _INT(16))
        # an integer comparison: the compiler may assume nothing about it
        is_nan = builder.icmp_unsigned(">", builder.and_(bits, _INT(0x7FFFFFFF)), _INT(0x7F800000))
        return builder.trunc(builder.select(is_nan, _INT(QUIET_NAN), rounded), _SHORT)

    return types.uint16(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def rank(_: Context, number: types.Integer) -> Intrinsic:
    """An int32 that orders bf16 numbers as their values do, NaN above all: its own inverse is `unranked`."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        signed = builder.sext(arguments[0], _INT)
        return builder.xor(signed, builder.and_(builder.ashr(signed, _INT(15)), _INT(0x7FFF)))

    return types.int32(types.uint16), generate


@intrinsic  # type: ignore[untyped-decorator]
def unranked(_: Context, number: types.Integer) -> Intrinsic:
    """The float32 of the bf16 number with this rank."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        signed = builder.xor(arguments[0], builder.and_(builder.ashr(arguments[0], _INT(15)), _INT(0x7FFF)))
        return builder.bitcast(builder.shl(signed, _INT(16)), _FLOAT)

    return types.float32(types.int32), generate


@intrinsic  # type: ignore[untyped-decorator]
def _nearest(_: Context, number: types.Float) -> Intrinsic:
    """The nearest whole number, as a float32."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        name, module = "llvm.rint.f32", builder.module
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(_FLOAT, [_FLOAT]), name)
        return builder.call(function, arguments)

    return types.float32(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def _power_of_two(_: Context, exponent: types.Float) -> Intrinsic:
    """2 to a whole number between -126 and 127."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        exponent = builder.add(builder.fptosi(arguments[0], _INT), _INT(127))
        return builder.bitcast(builder.shl(exponent, _INT(23)), _FLOAT)

    return types.float32(types.float32), generate


@bare_inlined
def exp(x: np.float32) -> np.float32:
    """e^x to about 3e-7 of its value; x is cut to -87 … 88; NaN stays NaN."""
    low = LOWEST if x < LOWEST else x
    cut = HIGHEST if low > HIGHEST else low
    power = _nearest(cut * LOG2E)
    r = cut - power * LN2
    value: np.float32 = _power_of_two(power) * (ONE + r * (ONE + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * C6))))))
    return value

"""Sixteen float32 numbers as one value of a kernel: what a register of AVX-512 holds, two of AVX2, four of NEON.

numba's own vectoriser leaves this loop at a tenth of what the processor can do: it cannot keep a tile of sums in
registers. Here every load, product and sum is written out, so the order of the additions, and with it every bit, is
the same on any processor; where there is no fused multiply-add the C library computes it, slowly and alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

LANES = 16
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INT = ir.IntType(32)


class Lanes(types.Type):
    """The type that numba infers for such a value."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


_LANES = Lanes()


@intrinsic  # type: ignore[untyped-decorator]
def load(_: Any, array: Any, index: Any) -> Any:
    """array[index : index + 16], of a flat float32 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = builder.load(_place(context, builder, signature, arguments))
        found.align = 4
        return found

    return _LANES(array, index), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(_: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a value to array[index : index + 16]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature, arguments)).align = 4
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic  # type: ignore[untyped-decorator]
def splat(_: Any, number: Any) -> Any:
    """The same number sixteen times."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        single = context.cast(builder, arguments[0], signature.args[0], types.float32)
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(nothing, single, ir.Constant(_INT, 0))
        return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES))

    return _LANES(number), generate


@intrinsic  # type: ignore[untyped-decorator]
def fma(_: Any, left: Any, right: Any, added: Any) -> Any:
    """left × right + added, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name, module = f"llvm.fma.v{LANES}f32", builder.module
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), name)
        return builder.call(function, arguments)

    return _LANES(left, right, added), generate


@intrinsic  # type: ignore[untyped-decorator]
def total(_: Any, value: Any) -> Any:
    """The sum of the sixteen numbers: halves are added until one is left."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found, lanes = arguments[0], LANES
        while lanes > 1:
            lanes //= 2
            low, high = (
                builder.shuffle_vector(
                    found, found, ir.Constant(ir.VectorType(_INT, lanes), list(range(at, at + lanes)))
                )
                for at in (0, lanes)
            )
            found = builder.fadd(low, high)
        return builder.extract_element(found, ir.Constant(_INT, 0))

    return types.float32(value), generate


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], signature.args[1], types.intp)
    return builder.bitcast(builder.gep(array.data, [index], inbounds=True), _VECTOR.as_pointer())


def _two(generate: Callable[[Any, Any, Any], Any]) -> Any:
    """An operation on two values, lane by lane."""

    def typed(_: Any, left: Any, right: Any) -> Any:
        return _LANES(left, right), lambda context, builder, signature, arguments: generate(builder, *arguments)

    return intrinsic(typed)


add = _two(lambda builder, left, right: builder.fadd(left, right))
multiply = _two(lambda builder, left, right: builder.fmul(left, right))
divide = _two(lambda builder, left, right: builder.fdiv(left, right))
smaller = _two(lambda builder, left, right: builder.select(builder.fcmp_ordered("<", left, right), left, right))
larger = _two(lambda builder, left, right: builder.select(builder.fcmp_ordered(">", left, right), left, right))

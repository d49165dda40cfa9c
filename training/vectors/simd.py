"""SIMD operations for numba kernels: sixteen float32 numbers as one value.

Sixteen numbers fill one register of AVX-512, two of AVX2, four of NEON. numba's own vectoriser reaches a tenth of the
speed of these loops, because it cannot keep a tile of sums in registers. Here every load, product and sum is written
out, so the order of the additions, and with it every bit, is the same on every processor. Where there is no fused
multiply-add, the C library computes it: slowly, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.core.base import BaseContext
from numba.core.datamodel import DataModelManager, models
from numba.core.typing import Context, Signature
from numba.extending import intrinsic, register_model

from pipeline.kernels.intrinsics import Intrinsic, Values

SIMD_WIDTH = 16
_VECTOR = ir.VectorType(ir.FloatType(), SIMD_WIDTH)
_INT = ir.IntType(32)
_BYTES = ir.IntType(8).as_pointer()


class SimdVector(types.Type):
    """The type that numba infers for such a value."""

    def __init__(self) -> None:
        super().__init__(name="SimdVector")


@register_model(SimdVector)
class _SimdVectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: DataModelManager, numba_type: SimdVector) -> None:
        super().__init__(manager, numba_type, _VECTOR)


_SIMD_VECTOR = SimdVector()


@intrinsic  # type: ignore[untyped-decorator]
def load(_: Context, array: types.Array, index: types.Integer) -> Intrinsic:
    """array[index : index + 16], of a flat float32 array."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        vector = builder.load(_vector_address(context, builder, signature, arguments))
        vector.align = 4
        return vector

    return _SIMD_VECTOR(array, index), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(_: Context, array: types.Array, index: types.Integer, value: SimdVector) -> Intrinsic:
    """Write a value to array[index : index + 16]."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        builder.store(arguments[2], _vector_address(context, builder, signature, arguments)).align = 4
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic  # type: ignore[untyped-decorator]
def splat(_: Context, number: types.Number) -> Intrinsic:
    """The same number sixteen times."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        single = context.cast(builder, arguments[0], signature.args[0], types.float32)
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, single, ir.Constant(_INT, 0))
        return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT, SIMD_WIDTH), [0] * SIMD_WIDTH))

    return _SIMD_VECTOR(number), generate


@intrinsic  # type: ignore[untyped-decorator]
def fma(_: Context, left: SimdVector, right: SimdVector, added: SimdVector) -> Intrinsic:
    """left × right + added, rounded once."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        return builder.call(_llvm_function(builder, f"llvm.fma.v{SIMD_WIDTH}f32", arguments=3), arguments)

    return _SIMD_VECTOR(left, right, added), generate


@intrinsic  # type: ignore[untyped-decorator]
def square_root(_: Context, value: SimdVector) -> Intrinsic:
    """The square roots, rounded as IEEE 754 requires: the same bits on every processor."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        return builder.call(_llvm_function(builder, f"llvm.sqrt.v{SIMD_WIDTH}f32", arguments=1), arguments)

    return value(value), generate


@intrinsic  # type: ignore[untyped-decorator]
def total(_: Context, value: SimdVector) -> Intrinsic:
    """The sum of the sixteen numbers: halves are added until one number is left."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        vector, width = arguments[0], SIMD_WIDTH
        while width > 1:
            width //= 2
            low, high = (
                builder.shuffle_vector(
                    vector, vector, ir.Constant(ir.VectorType(_INT, width), list(range(first, first + width)))
                )
                for first in (0, width)
            )
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, ir.Constant(_INT, 0))

    return types.float32(value), generate


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_: Context, array: types.Array, index: types.Integer) -> Intrinsic:
    """Fetch the cache line of array[index], which will be written soon; does not wait for it."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
        name, module = "llvm.prefetch.p0i8", builder.module
        function_type = ir.FunctionType(ir.VoidType(), [_BYTES, _INT, _INT, _INT])
        function = module.globals.get(name) or ir.Function(module, function_type, name)
        address = builder.bitcast(_address(context, builder, signature, arguments), _BYTES)
        # to be written, kept in every cache, data
        builder.call(function, [address, _INT(1), _INT(3), _INT(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate


def _address(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
    """Where array[index] is, for an operation whose first two arguments are the array and the index."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], signature.args[1], types.intp)
    return builder.gep(array.data, [index], inbounds=True)


def _vector_address(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
    return builder.bitcast(_address(context, builder, signature, arguments), _VECTOR.as_pointer())


def _llvm_function(builder: ir.IRBuilder, name: str, *, arguments: int) -> ir.Function:
    """An intrinsic of LLVM from vectors to a vector, declared once a module."""
    module = builder.module
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(_VECTOR, [_VECTOR] * arguments), name)


def _binary(operation: Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]) -> Callable[..., SimdVector]:
    """An operation on each pair of numbers of two values."""

    def typed(_: Context, left: SimdVector, right: SimdVector) -> Intrinsic:
        def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Values) -> ir.Value:
            return operation(builder, *arguments)

        return _SIMD_VECTOR(left, right), generate

    binary: Callable[..., SimdVector] = intrinsic(typed)
    return binary


add = _binary(lambda builder, left, right: builder.fadd(left, right))
multiply = _binary(lambda builder, left, right: builder.fmul(left, right))
divide = _binary(lambda builder, left, right: builder.fdiv(left, right))
smaller = _binary(lambda builder, left, right: builder.select(builder.fcmp_ordered("<", left, right), left, right))
larger = _binary(lambda builder, left, right: builder.select(builder.fcmp_ordered(">", left, right), left, right))

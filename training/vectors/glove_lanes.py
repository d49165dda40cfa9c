"""Two operations that GloVe's loop needs besides those of `lanes`: square roots, and asking for memory in time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from training.vectors.lanes import LANES

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_BYTES = ir.IntType(8).as_pointer()
_INT = ir.IntType(32)


@intrinsic  # type: ignore[untyped-decorator]
def root(_: Any, value: Any) -> Any:
    """The square roots, rounded as IEEE 754 asks: the same bits on every processor."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name, module = f"llvm.sqrt.v{LANES}f32", builder.module
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(_VECTOR, [_VECTOR]), name)
        return builder.call(function, arguments)

    return value(value), generate


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of array[index], to be written soon; nothing waits for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        flat = context.make_array(signature.args[0])(context, builder, arguments[0])
        at = context.cast(builder, arguments[1], signature.args[1], types.intp)
        name, module = "llvm.prefetch.p0i8", builder.module
        kind = ir.FunctionType(ir.VoidType(), [_BYTES, _INT, _INT, _INT])
        function = module.globals.get(name) or ir.Function(module, kind, name)
        place = builder.bitcast(builder.gep(flat.data, [at], inbounds=True), _BYTES)
        # to be written, kept in every cache, data
        builder.call(function, [place, _INT(1), _INT(3), _INT(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate

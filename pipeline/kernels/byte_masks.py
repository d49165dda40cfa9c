"""64 bytes at a time: a bit for each byte that lies in a range, from one vector comparison.

A kernel that searches for a byte or counts bytes then looks at bits, whatever the length of what it searches, and does
not branch for each byte. `data` must hold PADDING bytes after the text (`padded`). A block costs a load and a
comparison.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import Untyped, bare_inlined
from pipeline.text.unicode import Bytes

BLOCK = 64  # bytes, and bits of a mask
PADDING = 80  # bytes after the text: a block, and the longest distance at which a kernel looks ahead of it
NONE, ALL = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)


def padded(data: Bytes, end: int) -> Bytes:
    """The data, or a copy of data[:end], with what the masks read after `end`. Copying costs 0.1 ms for a MB. Both are
    read-only: numba compiles a kernel once for arrays that may be written and once for those that may not."""
    enough = len(data) >= end + PADDING
    result = data[:] if enough else np.concatenate([data[:end], np.zeros(PADDING, np.uint8)])
    result.flags.writeable = False
    return result


@intrinsic  # type: ignore[untyped-decorator]
def _range_mask(context: Untyped, data: Untyped, at: Untyped, bits: Untyped, low: Untyped, size: Untyped) -> Untyped:
    """A bit for each of data[at:at + 64] that, with `bits` set, is in range(low, low + size)."""

    def generate(context: Untyped, builder: Untyped, signature: Untyped, arguments: Untyped) -> Untyped:
        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
        vector = ir.VectorType(ir.IntType(8), BLOCK)
        place = builder.bitcast(builder.gep(array.data, [arguments[1]]), vector.as_pointer())
        loaded = builder.load(place, align=1)
        with_bits = builder.or_(loaded, _splat(builder, vector, arguments[2]))
        offset = builder.sub(with_bits, _splat(builder, vector, arguments[3]))
        inside = builder.icmp_unsigned("<", offset, _splat(builder, vector, arguments[4]))
        return builder.bitcast(inside, ir.IntType(BLOCK))

    return types.uint64(data, types.int64, types.uint8, types.uint8, types.uint8), generate


def _splat(builder: Untyped, vector: Untyped, value: Untyped) -> Untyped:
    """A vector of equal bytes."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


@intrinsic  # type: ignore[untyped-decorator]
def count_bits(context: Untyped, mask: Untyped) -> Untyped:
    """The number of bits that are set."""

    def generate(context: Untyped, builder: Untyped, signature: Untyped, arguments: Untyped) -> Untyped:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(context: Untyped, mask: Untyped) -> Untyped:
    """The index of the lowest bit that is set; the mask must not be 0."""

    def generate(context: Untyped, builder: Untyped, signature: Untyped, arguments: Untyped) -> Untyped:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def eight_bytes(context: Untyped, data: Untyped, at: Untyped) -> Untyped:
    """data[at:at + 8] as a number, the first byte lowest."""

    def generate(context: Untyped, builder: Untyped, signature: Untyped, arguments: Untyped) -> Untyped:
        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
        place = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return types.uint64(data, types.int64), generate


@bare_inlined
def range_mask(data: Bytes, at: Integer, low: Integer, size: Integer) -> Integer:
    """A bit for each of the 64 bytes from `at` on that is in range(low, low + size)."""
    return _range_mask(data, at, np.uint8(0), np.uint8(low), np.uint8(size))


@bare_inlined
def byte_mask(data: Bytes, at: Integer, byte: Integer) -> Integer:
    """A bit for each of the 64 bytes from `at` on that is this one."""
    return _range_mask(data, at, np.uint8(0), np.uint8(byte), np.uint8(1))


@bare_inlined
def letter_mask(data: Bytes, at: Integer, letter: Integer) -> Integer:
    """A bit for each of the 64 bytes from `at` on that is this lower-case letter of ASCII in either case."""
    return _range_mask(data, at, np.uint8(32), np.uint8(letter), np.uint8(1))


@bare_inlined
def any_letter_mask(data: Bytes, at: Integer) -> Integer:
    """A bit for each of the 64 bytes from `at` on that is a letter of ASCII."""
    return _range_mask(data, at, np.uint8(32), np.uint8(97), np.uint8(26))


@bare_inlined
def first_bits(number: Integer) -> np.uint64:
    """A mask of the first `number` bytes, at least one; all 64 for a larger number."""
    return ALL if number >= BLOCK else ALL >> np.uint64(BLOCK - number)


@bare_inlined
def find_byte(data: Bytes, at: Integer, end: Integer, byte: Integer) -> Integer:
    """The first place of the byte in data[at:end], or `end`."""
    while at < end:
        mask = byte_mask(data, at, byte) & first_bits(end - at)
        if mask:
            return at + lowest_bit(mask)
        at += BLOCK
    return end

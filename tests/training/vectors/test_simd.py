"""SIMD operations against numpy, and a fused multiply-add that is rounded once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.vectors.compiler import kernel
from training.vectors.simd import add, divide, fma, larger, load, multiply, smaller, splat, store, total

Floats = NDArray[np.float32]


@kernel
def all_operations(left: Floats, right: Floats, third: Floats, results: Floats) -> float:
    a, b = load(left, 16), load(right, 16)
    store(results, 0, add(a, b))
    store(results, 16, multiply(a, b))
    store(results, 32, divide(a, b))
    store(results, 48, smaller(a, b))
    store(results, 64, larger(a, b))
    store(results, 80, fma(a, b, load(third, 16)))
    store(results, 96, splat(left[3]))
    return total(a)


def test_every_operation_is_numpys() -> None:
    draw = np.random.default_rng(1)
    left, right, third = (draw.normal(size=32).astype(np.float32) for _ in range(3))
    third[16:] = -(left * right)[16:]  # what rounding twice would leave is zero
    results = np.zeros(112, np.float32)
    summed = all_operations(left, right, third, results)
    a, b = left[16:], right[16:]
    once = (a.astype(np.float64) * b + third[16:].astype(np.float64)).astype(np.float32)
    assert once.any()
    expected = [a + b, a * b, a / b, np.minimum(a, b), np.maximum(a, b), once, np.full(16, left[3])]
    for place, values in enumerate(expected):
        assert np.array_equal(results[16 * place : 16 * place + 16], values), place
    halves = a
    while len(halves) > 1:
        halves = halves[: len(halves) // 2] + halves[len(halves) // 2 :]
    assert np.float32(summed) == halves[0]

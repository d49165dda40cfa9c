"""The ends of the elements of a JSON array, against a plain Python reference, in blocks of any size."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.kernels.json_elements import element_ends

ARRAYS = [
    json.dumps([{"a": "字, ]} \\ \"", "b": [1, {"c": "]"}]}, {}, [], 3, "x,y", None], ensure_ascii=False),
    "[]", "[ ]", "[1]", "[,,]", '["\\\\"]', '["\\"", "\\\\\\""] after', "[[[[]]]], 5", '["open', "[1, 2", "[{]}]",
]  # fmt: skip


def reference(text: bytes) -> list[int]:
    """Where elements end, up to the end of the array."""
    ends, depth, quoted, escaped = [], 0, False, False
    for position, char in enumerate(text):
        if quoted:
            quoted = escaped or char != ord('"')
            escaped = not escaped and char == ord("\\")
        elif char == ord('"'):
            quoted = True
        elif char in b"[{":
            depth += 1
        elif char in b"]}":
            depth -= 1
            if depth == 0:
                return [*ends, position]
        elif char == ord(",") and depth == 1:
            ends.append(position)
    return ends


@pytest.mark.parametrize("text", ARRAYS)
@pytest.mark.parametrize("block_size", [1, 2, 5, 1000])
@pytest.mark.parametrize("room", [1, 100])
def test_elements_end_where_the_reference_says(text: str, block_size: int, room: int) -> None:
    data = text.encode()
    state, ends = np.zeros(3, np.int64), np.empty(room, np.int64)
    positions: list[int] = []
    for start in range(0, len(data), block_size):
        block = np.frombuffer(data[start : start + block_size], np.uint8)
        at = 0
        while at < len(block):
            count, at = element_ends(block, at, state, ends)
            positions += [start + int(end) for end in ends[:count]]
            if positions and state[0] == 0:
                break
        if positions and state[0] == 0:
            break
    assert positions == reference(data)

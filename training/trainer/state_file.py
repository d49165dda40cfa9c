"""A worker's file of a checkpoint, of which any range can be read: safetensors, with the plain values as JSON.

In: named parts, each of JSON values and tensors, nested. Out: the parts that are asked for; a tensor is read when and
as far as it is needed, on a disk or behind a URL. Nothing in it is a program: no pickle. Cost: one copy of a tensor at
a time while writing, none of a CPU tensor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

import torch
from torch import Tensor

from pipeline.core.files import JsonObject, JsonValue

SavedState: TypeAlias = Mapping[str, Any]
"""What a worker's file holds: JSON values and tensors by name, nested. Each trainer knows its own names."""

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}
TENSOR = "tensor of the file"  # the key of a JSON object that stands for a tensor
HEAD_BYTES = 1 << 16  # read at once: the header of a file is seldom longer
READ_BYTES = 1 << 25


class ByteSource(Protocol):
    """A file of which ranges are read."""

    size: int

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill the target from byte `offset` on.

        Raises: StageFailed when the file is shorter.
        """


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a state file: nothing of it is read before it is asked for."""

    source: ByteSource
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int  # in the file, in bytes

    def load(self) -> Tensor:
        """The complete tensor, in memory."""
        tensor = torch.empty(self.shape, dtype=self.dtype)
        self.read_into(0, tensor.view(-1))
        return tensor

    def read_into(self, first: int, target: Tensor) -> None:
        """Fill a flat, contiguous tensor of the same dtype with the numbers from number `first` on."""
        assert target.dtype == self.dtype
        step = READ_BYTES // self.dtype.itemsize
        for start in range(0, target.numel(), step):
            part = target[start : start + step]
            on_host = part if part.device.type == "cpu" else torch.empty(part.shape, dtype=part.dtype)
            at = self.offset + (first + start) * self.dtype.itemsize
            self.source.read_into(at, on_host.view(torch.uint8).numpy().data)
            if on_host is not part:
                part.copy_(on_host)


class StateFile(Mapping[str, Any]):
    """The parts of a state file by their names. Their tensors are StoredTensors."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source

    @cached_property
    def _header(self) -> tuple[JsonObject, int]:
        head = self._read(0, min(HEAD_BYTES, self.source.size))
        start = 8 + int.from_bytes(head[:8], "little")
        if start > len(head):
            head = self._read(0, start)
        return json.loads(head[8:start]), start

    def __getitem__(self, part: str) -> Any:
        entries, start = self._header
        first, last = entries[f"{part}.json"]["data_offsets"]
        return self._with_tensors(json.loads(self._read(start + first, last - first)))

    def __iter__(self) -> Any:
        return (name.removesuffix(".json") for name in self._header[0] if name.endswith(".json"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _read(self, offset: int, length: int) -> bytes:
        data = bytearray(length)
        self.source.read_into(offset, memoryview(data))
        return bytes(data)

    def _with_tensors(self, value: JsonValue) -> Any:
        if isinstance(value, list):
            return [self._with_tensors(item) for item in value]
        if not isinstance(value, dict):
            return value
        if TENSOR not in value:
            return {key: self._with_tensors(item) for key, item in value.items()}
        entries, start = self._header
        entry = entries[value[TENSOR]]
        shape, offset = tuple(entry["shape"]), start + entry["data_offsets"][0]
        return StoredTensor(self.source, DTYPES[entry["dtype"]], shape, offset)


def write_state(path: Path, state: SavedState) -> None:
    """Write the parts of a state. Keys of nested mappings become text, tuples become lists."""
    tensors: dict[str, Tensor] = {}
    texts = {f"{part}.json": json.dumps(_without_tensors(value, tensors)).encode() for part, value in state.items()}
    sizes = [(name, NAMES[t.dtype], list(t.shape), prod(t.shape) * t.dtype.itemsize) for name, t in tensors.items()]
    # tensors first, the widest numbers first: each then begins where its numbers may lie in memory
    sizes.sort(key=lambda entry: -DTYPES[entry[1]].itemsize)
    sizes += [(name, "U8", [len(text)], len(text)) for name, text in texts.items()]
    header: JsonObject = {}
    place = 0
    for name, dtype, shape, size in sizes:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + size]}
        place += size
    described = json.dumps(header, separators=(",", ":")).encode()
    described += b" " * (-len(described) % 8)
    with path.open("wb") as stream:
        stream.write(len(described).to_bytes(8, "little") + described)
        for name, *_ in sizes:
            if name in texts:
                stream.write(texts[name])
            else:
                _write_tensor(stream, tensors[name])


def _write_tensor(stream: BinaryIO, tensor: Tensor) -> None:
    flat = tensor.detach().to("cpu").contiguous().view(-1)
    if flat.numel():
        stream.write(flat.view(torch.uint8).numpy().data)


def _without_tensors(value: Any, tensors: dict[str, Tensor]) -> JsonValue:
    if isinstance(value, Tensor):
        name = f"{len(tensors):06d}"
        tensors[name] = value
        return {TENSOR: name}
    if isinstance(value, Mapping):
        return {str(key): _without_tensors(item, tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(item, tensors) for item in value]
    return value

"""What others load. One file a format; its options load no torch. Which family has which: training/families.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from training.export.base import Format

_OPTIONS, _CODE = "training.export.section", "training.export"

FORMATS: Registry[Format] = Registry(
    "export format",
    (
        Entry("huggingface", f"{_OPTIONS}:Huggingface", f"{_CODE}.huggingface:Huggingface"),
        Entry("safetensors", f"{_OPTIONS}:Safetensors", f"{_CODE}.safetensors:Safetensors"),
        Entry("onnx", f"{_OPTIONS}:Onnx", f"{_CODE}.onnx_graph:Onnx"),
        Entry("vectors", f"{_OPTIONS}:Vectors", f"{_CODE}.vectors:Vectors"),
    ),
    base="training.export.base:Format",
)

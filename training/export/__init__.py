"""Export formats: one file each; their options load no torch. `training/families.py` says which family has which."""

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
        Entry("vectors", f"{_OPTIONS}:VectorFiles", f"{_CODE}.vectors:VectorFiles"),
    ),
    base="training.export.base:Format",
)

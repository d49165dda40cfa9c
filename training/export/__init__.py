"""What others load. One file a format; its options are in `section.py`, without torch."""

from __future__ import annotations

from pipeline.core.registry import Registry

_OPTIONS = "training.export.section"

# the options of a format, loadable without torch; and its code. Which family has which: training/families.py
SECTIONS = Registry(
    "export format",
    {
        "huggingface": f"{_OPTIONS}:Huggingface",
        "safetensors": f"{_OPTIONS}:Safetensors",
        "onnx": f"{_OPTIONS}:Onnx",
        "vectors": f"{_OPTIONS}:Vectors",
    },
)
FORMATS = Registry(
    "export format",
    {
        "huggingface": "training.export.huggingface:Huggingface",
        "safetensors": "training.export.safetensors:Safetensors",
        "onnx": "training.export.onnx_graph:Onnx",
        "vectors": "training.export.vectors:Vectors",
    },
)

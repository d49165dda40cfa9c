"""What others load. One file a format; its options are in `section.py`, without torch."""

from __future__ import annotations

from pipeline.core.registry import Registry

# the options of a format, loadable without torch; and its code
SECTIONS = Registry("export format", {"huggingface": "training.export.section:Huggingface"})
FORMATS = Registry("export format", {"huggingface": "training.export.huggingface:Huggingface"})

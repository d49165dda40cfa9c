"""Model families: what turns tokens into a loss. One file a family; its options are in `section.py`, without torch."""

from __future__ import annotations

from pipeline.core.registry import Registry

# the options of a family, loadable without torch; and its code
SECTIONS = Registry("model family", {"gpt": "training.models.section:Gpt"})
FAMILIES = Registry("model family", {"gpt": "training.models.gpt:Gpt"})

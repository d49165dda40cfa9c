"""Who opens each format, and how to get it: names of modules alone, so that `check` can ask before any work.

A format whose consumer is not here could only be written blind, and the export stage publishes nothing unopened.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from training.export.section import Export

# format → the modules that its `check` imports, beyond what every installation has
CONSUMERS: Mapping[str, tuple[str, ...]] = {"vectors": ("gensim",), "onnx": ("onnx", "onnxruntime")}
INSTALL = "pip install 'bloomery[export]'"


def missing(section: Export) -> str | None:
    """Which module a chosen format lacks here, and the command that installs it; None where all are there."""
    for chosen in section.formats:
        absent = [name for name in CONSUMERS.get(chosen.name, ()) if find_spec(name) is None]
        if absent:
            return (
                f"the format {chosen.name} is opened by {' and '.join(absent)} before it is published, which "
                f"{'is' if len(absent) == 1 else 'are'} not installed. Install with: {INSTALL}"
            )
    return None

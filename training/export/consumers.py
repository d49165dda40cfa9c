"""The libraries that load each format, by module name alone, so that `check` can report missing ones before any work.

A format whose library is missing could not be checked, and the export stage publishes nothing that was not loaded back.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from training.export.section import Export

# format → the modules that its `check` imports and that are not part of every installation
CONSUMERS: Mapping[str, tuple[str, ...]] = {"vectors": ("gensim",), "onnx": ("onnx", "onnxruntime")}
INSTALL = "pip install 'bloomery[export]'"


def missing(section: Export) -> str | None:
    """The modules that a configured format lacks, and the command that installs them; None where none is missing."""
    for component in section.formats:
        absent = [name for name in CONSUMERS.get(component.name, ()) if find_spec(name) is None]
        if absent:
            return (
                f"the format {component.name} is loaded with {' and '.join(absent)} before it is published, which "
                f"{'is' if len(absent) == 1 else 'are'} not installed. Install with: {INSTALL}"
            )
    return None

"""Imports a library without the optional libraries that it would load beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """In the block, importing one of these modules fails as if it were not installed. Loaded ones stay as they are.

    A library that takes the failure for an answer does without the module as long as the process lives; anyone else can
    import it after the block.
    """
    finder = _AbsentModules(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@dataclass(eq=False)
class _AbsentModules:
    """An import hook. None in `sys.modules` would do for Python, but Cython takes it for the module."""

    names: tuple[str, ...]

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} (left out by {__name__})", name=name)

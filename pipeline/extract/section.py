"""The options of the extractors. Imports only pydantic."""

from __future__ import annotations

from typing import ClassVar, Literal

from pipeline.core.config import Section


class Extract(Section):
    """What the sections of extractors have: the modules that must be installed."""

    LIBRARIES: ClassVar[tuple[str, ...]] = ("resiliparse",)


class Trafilatura(Extract):
    """`favor`: whether doubtful parts of a page are left out (precision) or kept (recall).

    `fast` skips the comparison with two other methods. It takes half the time, and lets navigation of Chinese pages
    through that the comparison removes.
    """

    LIBRARIES = ("trafilatura",)
    favor: Literal["balanced", "precision", "recall"] = "balanced"
    fast: bool = False
    tables: bool = True


class Resiliparse(Extract):
    """`lists`: whether items of lists keep their bullets."""

    lists: bool = True


class Whole(Extract):
    """The whole text of a page, navigation included."""

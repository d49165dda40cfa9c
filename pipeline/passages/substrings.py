"""Text of any extent that stood in the corpus before, exact substrings (Lee et al. 2021, 2107.06499).

The steps that find them are `pipeline.stages.passages_substrings`.
"""

from __future__ import annotations

from typing import cast

from pipeline.kernels.substrings import WindowSizes
from pipeline.passages.base import PassageFinder
from pipeline.passages.section import Substrings
from pipeline.passages.windows import sizes_of


class RepeatedSubstrings(PassageFinder):
    """Windows of written units, wherever they begin; no keys, because a passage ends where its copy ends."""

    @property
    def sizes(self) -> WindowSizes:
        """The weights of windows and of their grams."""
        return sizes_of(cast(Substrings, self.options).min_tokens)

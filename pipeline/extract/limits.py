"""Limits on a page before a parser sees it. Beyond them parsers take quadratic time, or silently return nothing.

Measured: lexbor takes 0.4 s for a depth of 4,000 and hangs at 100,000; lxml returns nothing
beyond a depth of 255; both hang on 200,000 attributes in a tag. So the limits do the work, and the limit of CPU time of
the process is for what they do not see.
"""

from __future__ import annotations

import numpy as np

from pipeline.kernels.markup import ATTRIBUTES, DEPTH, ELEMENTS, RAW, SINGLE, TAG_BYTES, measure_markup

MAX_TAG_BYTES = 64 << 10
MAX_ATTRIBUTES = 1_000
MAX_DEPTH = 2_000
MAX_ELEMENTS = 100_000
LIMITS = (
    (TAG_BYTES, MAX_TAG_BYTES, "tag_too_long", "a tag of {:,} bytes; the limit is {:,}"),
    (ATTRIBUTES, MAX_ATTRIBUTES, "too_many_attributes", "a tag with {:,} attributes; the limit is {:,}"),
    (DEPTH, MAX_DEPTH, "nested_too_deep", "elements nested {:,} deep; the limit is {:,}"),
    (ELEMENTS, MAX_ELEMENTS, "too_many_elements", "{:,} elements; the limit is {:,}"),
)


def exceeded_limit(html: bytes) -> tuple[str, str] | None:
    """The reason and a sentence if the markup of a page exceeds a limit."""
    measures = np.zeros(4, np.int64)
    measure_markup(np.frombuffer(html, np.uint8), SINGLE, RAW, measures)
    for index, limit, reason, sentence in LIMITS:
        if measures[index] > limit:
            return reason, sentence.format(int(measures[index]), limit)
    return None

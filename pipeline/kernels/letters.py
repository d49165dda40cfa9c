"""What language identification asks of a column of text: letters by class, and the shape of code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kernels.code_shape import BYTE_CLASSES, count_code_shape
from pipeline.kernels.column import buffers
from pipeline.kernels.scripts import count_scripts
from pipeline.text.code import WIDTH, code_scores
from pipeline.text.han_variants import CLASSES, letter_classes

Ints = npt.NDArray[np.int64]


def letter_counts(text: pa.Array) -> Ints:
    """The numbers of letters by class of `han_variants`, [documents, CLASSES]. About 800 MB per CPU-second."""
    data, offsets = buffers(text)
    counts = np.zeros((len(offsets) - 1, CLASSES), np.int64)
    count_scripts(data, offsets, letter_classes(), counts)
    return counts


def scores_of_code(text: pa.Array, rows: Ints) -> npt.NDArray[np.float64]:
    """How much each of these documents looks like source code: above 0 for code."""
    data, offsets = buffers(text)
    counts = np.zeros((len(rows), WIDTH), np.int64)
    count_code_shape(data, offsets, rows, BYTE_CLASSES, counts)
    return code_scores(counts)

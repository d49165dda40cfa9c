"""Tells source code from prose: models of languages have no label for it, and call it English.

The rule is linear in three shares. Its weights are those of a logistic regression, rounded, on 76 Python files of
raw-mixed and 1,100 files of 14 languages of code from installed packages, against 7,000 texts of raw-mixed and the
corpora. `tests/benchmarks/bench_language.py` prints what it finds on languages that it was not derived from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# indexes of the counts of `pipeline.kernels.code_shape`
LINES = 0  # that are not blank
CODE_ENDS = 1  # lines that end in ; { } ( ) [ ] , : \ or =
INDENTED = 2  # lines that begin with a space or a tab
JOINS = 3  # names joined to others or to brackets, without a space: a_b, a.b, a(b, a=b, a->b
WORDS = 4
WIDTH = 5

CODE = "code"  # the label; no language tag has four letters, so it cannot be mistaken for one
_WEIGHTS = (4.0, 2.0, 30.0)
_LEAST = 6.0
_LEAST_JOINS = 4  # a shorter text says too little


def code_scores(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Above 0 for code, at most 0 for anything else; `counts` are [documents, WIDTH]."""
    lines = np.maximum(counts[:, LINES], 1)
    ends, indented, joins = _WEIGHTS
    score = ends * (counts[:, CODE_ENDS] / lines) + indented * (counts[:, INDENTED] / lines)
    score += joins * (counts[:, JOINS] / np.maximum(counts[:, WORDS], 1)) - _LEAST
    return np.asarray(np.where(counts[:, JOINS] >= _LEAST_JOINS, score, np.minimum(score, 0.0)), np.float64)

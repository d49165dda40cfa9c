"""Words of Chinese, which does not write them apart: those of jieba, exactly. This is the library's one door.

`words_of_run` is jieba as it is (its default dictionary, accurate mode, the hidden Markov model for names and words
that the dictionary lacks), about 1 MB a CPU-second: the reference. `lexicon` and `chain` are its data as arrays, by
which `pipeline.kernels.segment` finds the same words natively. `identity` is what an artifact made with it declares.
rjieba is no substitute: it takes characters beyond U+9FD5 for Chinese, and cuts 1 run in 10,000 of old poems otherwise.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import math
import warnings
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import UserError

INSTALL = "Install it with: pip install jieba==0.42.1"
# what jieba takes for Chinese; any other character is a word alone
FIRST, LAST = 0x4E00, 0x9FD5
STATES = "BEMS"  # begin, end, middle of a word, single: in the order by which jieba settles ties
IMPOSSIBLE = -3.14e100  # jieba's log of nought

Floats = npt.NDArray[np.float64]


class Lexicon(NamedTuple):
    """Word i is points[ends[i]:ends[i + 1]]; `weights[i]` its log probability (0: not to be used); `missing` of any
    single character that is no word."""

    points: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int64]
    weights: Floats
    missing: float


class Chain(NamedTuple):
    """The hidden Markov model: log probabilities of STATES at the start, from state to state, of characters from FIRST
    to LAST in each state."""

    start: Floats
    step: Floats
    emit: Floats


def words_of_run(run: str) -> list[str]:
    """The words of a run of Han characters, end to end the run."""
    return list(_tokenizer().cut(run, HMM=True))


@cache
def identity() -> str:
    """Name, version and dictionary of the segmenter, for fingerprints; cheap: the library is found, not imported.

    Raises: UserError when it is not installed.
    """
    dictionary = hashlib.sha256((_folder() / "dict.txt").read_bytes()).hexdigest()
    return f"jieba {importlib.metadata.version('jieba')}, dictionary {dictionary[:16]}"


@cache
def lexicon() -> Lexicon:
    """The dictionary, 349,046 words; 0.3 s."""
    words, counts = [], []
    for line in (_folder() / "dict.txt").read_text(encoding="utf-8").splitlines():
        fields = line.strip().split(" ")
        words.append(fields[0])
        counts.append(int(fields[1]))
    total = math.log(sum(counts))
    # math.log, not numpy's: the last digit decides between ways to cut a sentence that are equally likely
    weights = np.array([math.log(count) - total if count else 0.0 for count in counts])
    ends = np.zeros(len(words) + 1, np.int64)
    np.cumsum([len(word) for word in words], out=ends[1:])
    points = np.frombuffer("".join(words).encode("utf-32-le"), np.int32)
    return Lexicon(points, ends, weights, math.log(1) - total)


@cache
def chain() -> Chain:
    """The hidden Markov model; 0.1 s."""
    _imported()
    model: Any = importlib.import_module("jieba.finalseg")
    start = np.array([model.start_P[state] for state in STATES])
    step = np.array([[model.trans_P[one].get(two, IMPOSSIBLE) for two in STATES] for one in STATES])
    emit = np.full((LAST - FIRST + 1, len(STATES)), IMPOSSIBLE)
    for column, state in enumerate(STATES):
        for character, value in model.emit_P[state].items():
            if FIRST <= ord(character) <= LAST:
                emit[ord(character) - FIRST, column] = value
    return Chain(start, step, emit)


@cache
def _tokenizer() -> Any:
    made = _imported().Tokenizer()
    # not by its `initialize`, which keeps a file that everybody on a machine shares and can write
    made.FREQ, made.total = made.gen_pfdict(made.get_dict_file())
    made.initialized = True
    return made


def _imported() -> Any:
    _folder()
    with warnings.catch_warnings():  # of its own old syntax
        warnings.simplefilter("ignore")
        return importlib.import_module("jieba")


@cache
def _folder() -> Path:
    spec = importlib.util.find_spec("jieba")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"Chinese words need jieba, which is not installed. {INSTALL}")
    return Path(spec.submodule_search_locations[0])

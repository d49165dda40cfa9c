"""Chinese words, which are written without spaces, as jieba segments them. No other module imports jieba.

`words_of_run` is the reference: jieba with its default dictionary, in accurate mode, with the hidden Markov model for
names and words that the dictionary lacks; about 1 MB per CPU-second. `lexicon` and `markov_model` are its data as
arrays, from which `pipeline.kernels.segment` computes the same words. `identity` is recorded in artifacts.
rjieba cannot replace it: it takes characters beyond U+9FD5 for Chinese, and differs in 1 of 10,000 runs of old poems.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import math
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import UserError

INSTALL = "Install it with: pip install jieba==0.42.1"
# the characters that jieba treats as Chinese; any other character is a word by itself
FIRST, LAST = 0x4E00, 0x9FD5
STATES = "BEMS"  # begin, end, middle of a word, single: in the order in which jieba breaks ties
IMPOSSIBLE = -3.14e100  # jieba's logarithm of zero

Floats = npt.NDArray[np.float64]


class Lexicon(NamedTuple):
    """Word i is points[ends[i]:ends[i + 1]] and has the log probability `weights[i]` (0: not to be used); `missing` is
    that of any single character that is not a word."""

    points: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int64]
    weights: Floats
    missing: float


class MarkovModel(NamedTuple):
    """The hidden Markov model: log probabilities of STATES at the start, of transitions between states, and of the
    characters from FIRST to LAST in each state."""

    start: Floats
    step: Floats
    emit: Floats


class _Tokenizer(Protocol):
    """What this module uses of jieba.Tokenizer."""

    FREQ: dict[str, int]
    total: int
    initialized: bool

    def cut(self, sentence: str, *, HMM: bool) -> Iterator[str]: ...
    def get_dict_file(self) -> BinaryIO: ...
    def gen_pfdict(self, file: BinaryIO) -> tuple[dict[str, int], int]: ...


def words_of_run(run: str) -> list[str]:
    """The words of a run of Han characters; together they are the run."""
    return list(_tokenizer().cut(run, HMM=True))


@cache
def identity() -> str:
    """Name, version and dictionary of the segmenter, for fingerprints. The library is not imported for it.

    Raises: UserError when it is not installed.
    """
    dictionary = hashlib.sha256((_folder() / "dict.txt").read_bytes()).hexdigest()
    return f"jieba {importlib.metadata.version('jieba')}, dictionary {dictionary[:16]}"


@cache
def lexicon() -> Lexicon:
    """The dictionary of 349,046 words; loading takes 0.3 s."""
    words: list[str] = []
    counts: list[int] = []
    for line in (_folder() / "dict.txt").read_text(encoding="utf-8").splitlines():
        fields = line.strip().split(" ")
        words.append(fields[0])
        counts.append(int(fields[1]))
    total = math.log(sum(counts))
    # math.log and not numpy's: the last digit decides between equally probable segmentations
    weights = np.array([math.log(count) - total if count else 0.0 for count in counts])
    ends = np.zeros(len(words) + 1, np.int64)
    np.cumsum([len(word) for word in words], out=ends[1:])
    points = np.frombuffer("".join(words).encode("utf-32-le"), np.int32)
    return Lexicon(points, ends, weights, math.log(1) - total)


@cache
def markov_model() -> MarkovModel:
    """The hidden Markov model; loading takes 0.1 s."""
    _import_jieba()
    model = importlib.import_module("jieba.finalseg")
    start = np.array([model.start_P[state] for state in STATES])
    step = np.array([[model.trans_P[before].get(after, IMPOSSIBLE) for after in STATES] for before in STATES])
    emit = np.full((LAST - FIRST + 1, len(STATES)), IMPOSSIBLE)
    for column, state in enumerate(STATES):
        for character, value in model.emit_P[state].items():
            if FIRST <= ord(character) <= LAST:
                emit[ord(character) - FIRST, column] = value
    return MarkovModel(start, step, emit)


@cache
def _tokenizer() -> _Tokenizer:
    tokenizer: _Tokenizer = _import_jieba().Tokenizer()
    # jieba's own `initialize` would use a cache file that all users of a machine share and can write
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


def _import_jieba() -> ModuleType:
    _folder()
    with warnings.catch_warnings():  # about old syntax in jieba itself
        warnings.simplefilter("ignore")
        return importlib.import_module("jieba")


@cache
def _folder() -> Path:
    spec = importlib.util.find_spec("jieba")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"Chinese words need jieba, which is not installed. {INSTALL}")
    return Path(spec.submodule_search_locations[0])

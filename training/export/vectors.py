"""Word vectors in the formats of word2vec, text and binary, and the words' counts: the only file that imports gensim.

Words are sorted by falling count; words that training never saw are left out. The text has the digits that every number
needs to be read back exactly. Files are written a block at a time (BLOCK numbers as text: some 40 MB), at 140 MB of
text or 650 MB of binary a CPU-second. Each file is loaded with `gensim` as its user would, and must have the same
words, numbers and counts: for 200,000 × 300 that takes ten times as long as writing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing
from training.evaluation.word_vectors import trained_vectors
from training.export import section
from training.export.base import ExportSource, Format
from training.models.saved import load, read_config

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

TEXT, BINARY, COUNTS = "vectors.txt", "vectors.bin", "vocabulary.tsv"
BLOCK = 1 << 20
Matrix = NDArray[np.float32]
EncodeRows = Callable[[IO[bytes], tuple[str, ...], Matrix], None]


class VectorFiles(Format):
    """See the module."""

    name = "vectors"
    options: section.VectorFiles

    def write(self, source: ExportSource, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        words, vectors, counts = read(source)
        names = ["README.md"]
        if self.options.text:
            _write(folder / TEXT, words, vectors, _as_text)
            names.append(TEXT)
        if self.options.binary:
            _write(folder / BINARY, words, vectors, _as_bytes)
            names.append(BINARY)
        if counts is not None:
            lines = "".join(f"{word}\t{count}\n" for word, count in zip(words, counts, strict=True))
            _replace_text(folder / COUNTS, lines)
            names.append(COUNTS)
        _replace_text(folder / "README.md", _card(source, vectors, names))
        return names

    def check(self, source: ExportSource, folder: Path) -> None:
        words, vectors, counts = read(source)
        for name in (TEXT, BINARY):
            if (folder / name).exists():
                _compare(_load(folder, name, with_counts=counts is not None), words, vectors, counts, name=name)


def read(source: ExportSource) -> tuple[tuple[str, ...], Matrix, tuple[int, ...] | None]:
    """The words by falling count, their vectors, and their counts.

    Raises: StageFailed when the model has no word vectors, a number is not finite, or a word could not be read back.
    """
    vectors, vocabulary, counts = trained_vectors(load(source.model), source.tokenizer)
    matrix: Matrix = vectors.cpu().numpy()
    if not np.isfinite(matrix).all():
        raise StageFailed("export: vectors: some numbers are not finite: training diverged. Train with a lower lr.")
    # a space separates a word from its numbers, a line break two words, and the format has no escapes
    if unwritable := [word for word in vocabulary.words if not word or word.split() != [word]]:
        raise StageFailed(
            f"export: vectors: the word {unwritable[0]!r} contains white space, which the format cannot represent."
        )
    return vocabulary.words, matrix, counts


def _write(path: Path, words: tuple[str, ...], vectors: Matrix, encode: EncodeRows) -> None:
    """Header and rows, completely or not at all."""
    rows = max(1, BLOCK // max(1, vectors.shape[1]))
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for start in range(0, len(words), rows):
            encode(stream, words[start : start + rows], vectors[start : start + rows])


def _as_text(stream: IO[bytes], words: tuple[str, ...], vectors: Matrix) -> None:
    """`word number number …` a line."""
    flat = pl.Series(vectors.ravel())
    printed = flat.cast(pl.String)
    # these are the fewest digits that identify a float; readers that parse a double first may round to its neighbour
    inexact = (printed.cast(pl.Float64).cast(pl.Float32) != flat).arg_true()
    if len(inexact):
        printed = printed.scatter(inexact, [f"{value:.9g}" for value in flat[inexact].to_list()])
    numbers = printed.reshape(vectors.shape).arr.join(" ")
    lines = pl.select(pl.concat_str([pl.Series(words), numbers], separator=" ")).to_series()
    stream.write(lines.str.join("\n").item().encode())
    stream.write(b"\n")


def _as_bytes(stream: IO[bytes], words: tuple[str, ...], vectors: Matrix) -> None:
    """`word `, then the numbers as little-endian float32, then a line break, as word2vec.c writes it."""
    rows = vectors.astype("<f4")
    for word, row in zip(words, rows, strict=True):
        stream.write(word.encode() + b" " + row.tobytes() + b"\n")


def _replace_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _load(folder: Path, name: str, *, with_counts: bool) -> KeyedVectors:
    """Load the file with gensim."""
    from gensim.models import KeyedVectors

    try:
        return KeyedVectors.load_word2vec_format(
            str(folder / name), binary=name == BINARY, fvocab=str(folder / COUNTS) if with_counts else None
        )
    except Exception as error:  # whatever error a user would see, reported in one sentence
        raise StageFailed(f"export: vectors: gensim does not load {name} ({error}).") from error


def _compare(
    loaded: KeyedVectors, words: tuple[str, ...], vectors: Matrix, counts: tuple[int, ...] | None, *, name: str
) -> None:
    same_counts = counts is None or [loaded.get_vecattr(word, "count") for word in words] == list(counts)
    if tuple(loaded.index_to_key) != words or not same_counts:
        raise StageFailed(f"export: vectors: gensim reads other words from {name}. Please report this.")
    if not np.array_equal(loaded.vectors.view(np.uint32), vectors.view(np.uint32)):
        raise StageFailed(f"export: vectors: gensim reads other numbers from {name}. Please report this.")


def _card(source: ExportSource, vectors: Matrix, names: list[str]) -> str:
    family = read_config(source.model)["family"]
    objective = source.card.params.get("objective", "")
    figures = {
        "family": family,
        # a component is its name, or its name over its options
        "objective": objective if isinstance(objective, str) else next(iter(objective)),
        "words": f"{len(vectors):,}",
        "width": str(vectors.shape[1]),
    }
    binary = BINARY in names
    use = USE.format(name=BINARY if binary else TEXT, binary=binary)
    title = f"{family}: {len(vectors):,} words, {vectors.shape[1]} numbers each"
    return source.card.text(title=title, figures=figures, use=use, library="gensim", task=None)


USE = """\
Word vectors trained from scratch by Bloomery, in the formats of word2vec; words by falling frequency in the training
text, words it did not hold left out. `vocabulary.tsv` has how often each was seen.

```python
from gensim.models import KeyedVectors

vectors = KeyedVectors.load_word2vec_format("{name}", binary={binary})
print(vectors.most_similar(vectors.index_to_key[len(vectors) // 4]))
```
"""

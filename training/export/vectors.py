"""Word vectors in the formats of word2vec, text and binary, and the words' counts: the one file that imports gensim.

The words stand by falling count; those that training never saw are left out. The text has as many digits as give back
every number exactly. Written a block at a time (BLOCK numbers as text: some 40 MB), at 140 MB of text or 650 MB of
binary a CPU-second. Each file is loaded by `gensim` as its user would, and must hold the same words, numbers and
counts: for 200,000 × 300 that takes ten times as long as writing.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, replacing
from training.evaluation.words import learned
from training.export import section
from training.export.base import Format, Source
from training.models.saved import CONFIG, load

TEXT, BINARY, COUNTS = "vectors.txt", "vectors.bin", "vocabulary.tsv"
BLOCK = 1 << 20
Matrix = NDArray[np.float32]


class Vectors(Format):
    """See the module."""

    name = "vectors"
    options: section.Vectors

    def write(self, source: Source, folder: Path) -> list[str]:
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
            _write_text(folder / COUNTS, lines)
            names.append(COUNTS)
        _write_text(folder / "README.md", _card(source, vectors, names))
        return names

    def check(self, source: Source, folder: Path) -> None:
        words, vectors, counts = read(source)
        for name in (TEXT, BINARY):
            if (folder / name).exists():
                _compare(_opened(folder, name, counted=counts is not None), words, vectors, counts, name=name)


def read(source: Source) -> tuple[tuple[str, ...], Matrix, tuple[int, ...] | None]:
    """The words by falling count, their vectors, and their counts.

    Raises: StageFailed when the model has no word vectors, none is finite, or a word could not be read back.
    """
    vectors, vocabulary, counts = learned(load(source.model), source.tokenizer)
    matrix: Matrix = vectors.cpu().numpy()
    if not np.isfinite(matrix).all():
        raise StageFailed("export: vectors: some numbers are not finite: training diverged. Train with a lower lr.")
    # a space parts a word from its numbers, a line break one word from the next, and nothing escapes them
    if wrong := [word for word in vocabulary.words if not word or word.split() != [word]]:
        raise StageFailed(f"export: vectors: the word {wrong[0]!r} holds white space, which the format cannot.")
    return vocabulary.words, matrix, counts


def _write(path: Path, words: tuple[str, ...], vectors: Matrix, encode: Any) -> None:
    """Header and rows, whole or not at all."""
    rows = max(1, BLOCK // max(1, vectors.shape[1]))
    with replacing(path) as beside, beside.open("wb") as stream:
        stream.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for at in range(0, len(words), rows):
            encode(stream, words[at : at + rows], vectors[at : at + rows])


def _as_text(stream: IO[bytes], words: tuple[str, ...], vectors: Matrix) -> None:
    """`word number number …` a line."""
    flat = pl.Series(vectors.ravel())
    printed = flat.cast(pl.String)
    # the fewest digits that name a float; readers go by way of a double, which may round to its neighbour
    astray = (printed.cast(pl.Float64).cast(pl.Float32) != flat).arg_true()
    if len(astray):
        printed = printed.scatter(astray, [f"{value:.9g}" for value in flat[astray].to_list()])
    numbers = printed.reshape(vectors.shape).arr.join(" ")
    lines = pl.select(pl.concat_str([pl.Series(words), numbers], separator=" ")).to_series()
    stream.write(lines.str.join("\n").item().encode())
    stream.write(b"\n")


def _as_bytes(stream: IO[bytes], words: tuple[str, ...], vectors: Matrix) -> None:
    """`word `, then the numbers as little-endian float32, then a line break, as word2vec.c writes it."""
    rows = vectors.astype("<f4")
    for word, row in zip(words, rows, strict=True):
        stream.write(word.encode() + b" " + row.tobytes() + b"\n")


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _opened(folder: Path, name: str, *, counted: bool) -> Any:
    """The file as gensim has it."""
    from gensim.models import KeyedVectors

    try:
        return KeyedVectors.load_word2vec_format(
            str(folder / name), binary=name == BINARY, fvocab=str(folder / COUNTS) if counted else None
        )
    except Exception as error:  # whatever stops a user stops us, in one sentence
        raise StageFailed(f"export: vectors: gensim does not load {name} ({error}).") from error


def _compare(found: Any, words: tuple[str, ...], vectors: Matrix, counts: tuple[int, ...] | None, *, name: str) -> None:
    same_counts = counts is None or [found.get_vecattr(word, "count") for word in words] == list(counts)
    if tuple(found.index_to_key) != words or not same_counts:
        raise StageFailed(f"export: vectors: gensim reads other words from {name}. Please report this.")
    if not np.array_equal(found.vectors.view(np.uint32), vectors.view(np.uint32)):
        raise StageFailed(f"export: vectors: gensim reads other numbers from {name}. Please report this.")


def _card(source: Source, vectors: Matrix, names: list[str]) -> str:
    family, objective = read_json(source.model / CONFIG)["family"], source.card.params.get("objective", "")
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

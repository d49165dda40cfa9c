"""Shingles and signatures: exact sets, short documents, and an estimate close to the true Jaccard index."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.kernels.column import shingle_hashes, signatures


def column(*texts: str) -> pa.Array:
    return pa.array(texts, pa.large_string())


def sets(*texts: str, shingle: int = 5) -> list[set[int]]:
    ends, hashes = shingle_hashes(column(*texts), shingle)
    return [set(hashes[start:end].tolist()) for start, end in zip(ends[:-1], ends[1:], strict=True)]


def test_a_set_holds_every_distinct_shingle_once_in_order() -> None:
    ends, hashes = shingle_hashes(column("a b c d e f a b c d e", "天地玄黄宇宙洪荒"), 5)
    assert ends.tolist() == [0, 6, 10]
    assert all((np.diff(hashes[start:end].astype(object)) > 0).all() for start, end in ((0, 6), (6, 10)))


def test_shingles_ignore_case_width_punctuation_and_spaces() -> None:
    first, second = sets("The Quick, brown fox jumps!  Over", "the quick brown ｆｏｘ jumps over")
    assert first == second
    first, second = sets("天地玄黄，宇宙洪荒。", "天地玄黄宇宙 洪荒")
    assert first == second


def test_a_short_document_is_one_shingle_its_whole_text() -> None:
    shingle_sets = sets("one two", "one  TWO", "two one", "你好", "你好吗", "😀😀", "😀", "", " ")
    assert [len(shingle_set) for shingle_set in shingle_sets] == [1] * 9
    assert shingle_sets[0] == shingle_sets[1] and shingle_sets[7] == shingle_sets[8]
    assert len({next(iter(shingle_set)) for shingle_set in shingle_sets}) == 7


def test_signatures_agree_as_often_as_the_sets_overlap() -> None:
    permutations = 2048
    random = np.random.default_rng(5)
    for overlap in (0.3, 0.5, 0.7, 0.8, 0.9):
        shared = int(400 * 2 * overlap / (1 + overlap))
        names = [f"w{number}" for number in random.permutation(10_000)[: 800 - shared]]
        first_names, second_names = names[:400], names[400 - shared :]
        texts = column(" ".join(first_names), " ".join(second_names))
        a, b = sets(*texts.to_pylist(), shingle=1)
        true = len(a & b) / len(a | b)
        signature_pair = signatures(texts, permutations, 1)
        estimate = float((signature_pair[0] == signature_pair[1]).mean())
        assert estimate == pytest.approx(true, abs=3 * (true * (1 - true) / permutations) ** 0.5)


def test_bands_match_as_often_as_the_theory_predicts() -> None:
    bands, rows, pairs, true = 14, 8, 400, 107 / 130
    random = np.random.default_rng(7)
    texts = []
    for _ in range(pairs):
        names = [f"w{number}" for number in random.integers(0, 1 << 40, 130)]
        texts += [" ".join(names[:118]), " ".join(names[:107] + names[118:])]
    bands_of_pairs = signatures(column(*texts), bands * rows, 1).reshape(pairs, 2, bands, rows)
    share_of_matches = (bands_of_pairs[:, 0] == bands_of_pairs[:, 1]).all(axis=2).any(axis=1).mean()
    expected = 1 - (1 - true**rows) ** bands
    assert share_of_matches == pytest.approx(expected, abs=3 * (expected * (1 - expected) / pairs) ** 0.5 + 0.01)


def test_a_signature_does_not_depend_on_other_documents() -> None:
    texts = ["a b c d e f g", "今天天气很好啊", ""]
    together = signatures(column(*texts), 112, 5)
    alone = np.concatenate([signatures(column(text), 112, 5) for text in texts])
    assert together.shape == (3, 112) and (together == alone).all()


def test_signatures_never_change_between_versions() -> None:
    """Signatures of different versions must be comparable."""
    stored = signatures(column("the quick brown fox jumps over", "天地玄黄宇宙洪荒"), 4, 5)
    assert stored.tolist() == PINNED


PINNED = [
    [813860495, 1978212084, 2442311177, 1477569216],
    [1452204534, 2279460440, 2738581015, 651849918],
]

"""A text and its positive from a row, by chance alone and of one document; the loss in groups, in both directions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.config import Component
from pipeline.core.errors import UserError
from training import keyed_rng, objectives
from training.models.base import Model, build
from training.objectives.base import LossModule, Objective, Tensors
from training.objectives.contrastive import MIN_TEXT_TOKENS, info_nce
from training.objectives.sentences import TextTemplate, embed
from training.objectives.sentences import rows_of as written

END = 0
BARE = TextTemplate(None, END)
Make = Callable[..., Objective]


@pytest.fixture(scope="module")
def make_objective(corpus: Any) -> Make:
    """make_objective(positives="spans", group=4) with the tokenizer of the usual corpus."""
    tokenizer = corpus.inputs.single("tokenizer").file("tokenizer.json")

    def create_objective(**options: Any) -> Objective:
        component = Component(name="contrastive", options={"group": 4, **options})
        return objectives.OBJECTIVES.create(component, tokenizer)

    return create_objective


def rows_of(count: int, *, width: int = 64, ends: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose token says where it stands: row × 100 + place + 1, with end-of-text at `ends`."""
    rows = np.arange(1, width + 1)[None, :] + 100 * np.arange(count)[:, None]
    rows[:, list(ends)] = END
    return rows.astype(np.int64), np.full(count, width)


def spans(batch: Tensors, name: str) -> list[list[int]]:
    lengths = batch[f"{name}_lengths"].tolist()
    return [row[:length] for row, length in zip(batch[name].tolist(), lengths, strict=True)]


def model_of(family: str, *, dropout: float = 0.0, vocabulary: int = 420, context: int = 64, **more: Any) -> Model:
    torch.manual_seed(4)
    shapes: dict[str, dict[str, Any]] = {"lstm": {"layers": 1, "width": 16}}
    options = shapes.get(family, {"layers": 1, "heads": 2, "width": 16})
    return build(family, {**options, "dropout": dropout, **more}, vocabulary=vocabulary, context=context)


def test_a_positive_is_the_next_span_of_the_same_document(make_objective: Make) -> None:
    tokens, lengths = rows_of(8, ends=(20, 40))
    batch, counted = make_objective().batch(tokens, lengths, keyed_rng.keys(1, 2, np.arange(8)))
    assert counted.tolist() == [1] * 8
    for anchor, positive in zip(spans(batch, "tokens"), spans(batch, "positives"), strict=True):
        assert min(len(anchor), len(positive)) >= MIN_TEXT_TOKENS
        together = [*anchor, *positive]
        assert together == list(range(together[0], together[0] + len(together)))
        assert END not in together


def test_by_dropout_a_text_is_its_own_positive(make_objective: Make) -> None:
    tokens, lengths = rows_of(4, ends=(30,))
    batch, counted = make_objective(positives="dropout").batch(tokens, lengths, keyed_rng.keys(1, 2, np.arange(4)))
    assert "positives" not in batch and counted.tolist() == [1] * 4
    assert all(len(span) >= MIN_TEXT_TOKENS and END not in span for span in spans(batch, "tokens"))


def test_a_row_without_two_spans_of_one_document_counts_nothing(make_objective: Make) -> None:
    tokens, lengths = rows_of(8, ends=(15, 31, 47, 63))  # documents of 15 tokens: one too few for two spans
    tokens[:3] = rows_of(3)[0]
    lengths[0] = 0
    batch, counted = make_objective().batch(tokens, lengths, keyed_rng.keys(1, 2, np.arange(8)))
    assert counted.tolist() == [0, 1, 1, 0, 0, 0, 0, 0]
    assert batch["tokens_lengths"].tolist()[3:] == [0] * 5


def test_a_lone_anchor_of_a_group_counts_nothing(make_objective: Make) -> None:
    tokens, lengths = rows_of(4)
    lengths[1:] = 3
    _, counted = make_objective().batch(tokens, lengths, keyed_rng.keys(1, 2, np.arange(4)))
    assert counted.tolist() == [0] * 4


def test_the_selection_depends_on_the_keys_alone(make_objective: Make) -> None:
    tokens, lengths = rows_of(8)
    keys = keyed_rng.keys(5, 9, np.arange(8))
    batch, _ = make_objective().batch(tokens, lengths, keys)
    for rows in (slice(0, 4), slice(4, 8)):
        part, _ = make_objective().batch(tokens[rows], lengths[rows], keys[rows])
        assert all(torch.equal(part[name], batch[name][rows]) for name in batch)
    other_batch, _ = make_objective().batch(tokens, lengths, keyed_rng.keys(5, 10, np.arange(8)))
    assert not torch.equal(other_batch["tokens"], batch["tokens"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 2**32))
def test_any_row_of_documents_gives_texts_that_fit(make_objective: Make, documents: list[int], seed: int) -> None:
    row = np.concatenate([*([*range(1, size + 1), END] for size in documents), [END] * 2])[None].repeat(4, 0)
    for positives in ("spans", "dropout"):
        batch, counted = make_objective(positives=positives).batch(
            row, np.full(4, row.shape[1]), keyed_rng.keys(seed, 0, np.arange(4))
        )
        parts = 2 if positives == "spans" else 1
        assert counted.tolist() == [int(max(documents) >= parts * MIN_TEXT_TOKENS)] * 4
        assert batch["tokens"].shape[1] <= row.shape[1] // parts


def test_chinese_and_english_rows_are_taken_alike(make_objective: Make, corpus: Any) -> None:
    from pipeline.tokenizers.reference_encoder import load

    reference = load(corpus.inputs.single("tokenizer").file("tokenizer.json"))
    texts = [
        "安静的河流带着一封信经过古老的车站。" * 4,
        "The quiet river carries a letter past the old station. " * 4,
    ] * 2
    ids = [reference.encode_text(text)[:40] for text in texts]
    lengths = np.array([len(row) for row in ids])
    tokens = np.zeros((4, 40), np.int64)
    for at, row in enumerate(ids):
        tokens[at, : len(row)] = row
    _, counted = make_objective().batch(tokens, lengths, keyed_rng.keys(1, 1, np.arange(4)))
    assert counted.tolist() == [1] * 4


def test_the_loss_is_the_formula_of_the_paper() -> None:
    torch.manual_seed(1)
    u, v = torch.randn(6, 5), torch.randn(6, 5)
    counted = torch.tensor([True, True, True, True, False, True])
    loss = info_nce(u, v, counted, group=3, temperature=0.1)
    expected = 0.0
    for group in ([0, 1, 2], [3, 5]):
        cosines = [[float(F.cosine_similarity(u[i], v[j], dim=0)) / 0.1 for j in group] for i in group]
        for i in range(len(group)):
            denominator = math.log(sum(math.exp(x) for x in cosines[i]))
            back = math.log(sum(math.exp(row[i]) for row in cosines))
            expected += (denominator + back) / 2 - cosines[i][i]
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_nothing_of_a_row_that_does_not_count_reaches_the_loss_or_a_gradient() -> None:
    torch.manual_seed(1)
    u, v = torch.randn(4, 5, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    counted = torch.tensor([True, False, True, True])
    info_nce(u, v, counted, group=4, temperature=0.05).backward()  # type: ignore[no-untyped-call]
    assert u.grad is not None and v.grad is not None
    assert not u.grad[1].any() and not v.grad[1].any() and u.grad[0].any()
    none = torch.zeros(4, 5, requires_grad=True)
    loss = info_nce(none, none, torch.zeros(4, dtype=torch.bool), group=4, temperature=0.05)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0 and none.grad is not None and torch.isfinite(none.grad).all()


def test_gradients_are_those_of_differences() -> None:
    torch.manual_seed(2)
    vectors = [torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    counted = torch.tensor([True, True, False, True, True, True])
    assert torch.autograd.gradcheck(lambda u, v: info_nce(u, v, counted, group=3, temperature=0.3), vectors)


@pytest.mark.parametrize("family", ["gpt", "bert", "lstm"])
def test_what_fills_a_row_up_changes_no_vector(family: str) -> None:
    model = model_of(family).eval()
    tokens, lengths = torch.randint(0, 420, (3, 20)), torch.tensor([20, 7, 1])
    padded = torch.where(torch.arange(20) < lengths.unsqueeze(1), tokens, 5)
    torch.testing.assert_close(
        embed(model, BARE, tokens, lengths), embed(model, BARE, padded, lengths), rtol=1e-5, atol=1e-6
    )
    alone = embed(model, BARE, tokens[1:2, :7], lengths[1:2])
    torch.testing.assert_close(embed(model, BARE, tokens, lengths)[1:2], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt", "bert", "lstm"])
def test_a_batch_cut_between_groups_adds_up(make_objective: Make, family: str) -> None:
    objective = make_objective()
    tokens, lengths = rows_of(8)
    batch, _ = objective.batch(tokens % 400, lengths, keyed_rng.keys(1, 2, np.arange(8)))
    task = LossModule(model_of(family).eval(), objective)
    parts = [task(**{name: tensor[rows] for name, tensor in batch.items()}) for rows in (slice(0, 4), slice(4, 8))]
    assert (parts[0] + parts[1]).item() == pytest.approx(task(**batch).item(), rel=1e-5)


def test_two_masks_of_one_text_part_its_vectors(make_objective: Make) -> None:
    objective = make_objective(positives="dropout")
    tokens, lengths = rows_of(4)
    batch, _ = objective.batch(tokens % 400, lengths, keyed_rng.keys(1, 2, np.arange(4)))
    torch.manual_seed(3)
    model = model_of("gpt", dropout=0.3).train()
    assert objective.loss(model, batch).item() > objective.loss(model.eval(), batch).item()


def test_dropout_without_dropout_is_refused(make_objective: Make) -> None:
    objective = make_objective(positives="dropout")
    tokens, lengths = rows_of(4)
    batch, _ = objective.batch(tokens % 400, lengths, keyed_rng.keys(1, 2, np.arange(4)))
    with pytest.raises(UserError, match="no dropout"):
        objective.loss(model_of("gpt").train(), batch)


def test_rows_that_split_a_group_are_refused(make_objective: Make) -> None:
    tokens, lengths = rows_of(6)
    with pytest.raises(UserError, match="no multiple of 4"):
        make_objective().batch(tokens, lengths, keyed_rng.keys(1, 2, np.arange(6)))


def test_a_frame_is_drawn_for_a_family_that_knows_it() -> None:
    template = TextTemplate(around_ids=(2, 3), end_of_text=0)
    bare = written([np.array([7, 8, 9]), np.array([], np.int64), np.array([9])], 3, 0)
    rows, lengths = template.apply(model_of("bert"), *bare)
    assert [row[:length] for row, length in zip(rows.tolist(), lengths.tolist(), strict=True)] == [
        [2, 7, 8, 9, 3], [], [2, 9, 3],
    ]  # fmt: skip
    for family in ("gpt", "lstm"):
        assert torch.equal(template.apply(model_of(family), *bare)[0], bare[0]), "it never saw marks in training"


def test_the_mean_includes_the_special_tokens_around_a_text() -> None:
    model, text = model_of("bert").eval(), torch.tensor([[7, 8, 9]])
    vector = embed(model, TextTemplate((2, 3), 0), text, torch.tensor([3]))
    torch.testing.assert_close(vector, model.hidden(torch.tensor([[2, 7, 8, 9, 3]])).mean(1))


def test_a_tokenizer_without_special_tokens_gives_bare_texts(corpus: Any) -> None:
    tokenizer: Path = corpus.inputs.single("tokenizer").file("tokenizer.json")
    assert TextTemplate.read(tokenizer) == BARE


def test_a_corpus_of_snippets_is_refused_before_the_first_step(make_objective: Make) -> None:
    short, _ = rows_of(3, ends=(11, 23, 35, 47, 59))
    make_objective(positives="dropout").examine(short)
    with pytest.raises(UserError, match="no row holds a document of 16 tokens"):
        make_objective().examine(short)
    make_objective().examine([*short, *rows_of(1)[0]])


def test_what_does_not_make_the_last_layer_stays_as_it_is(make_objective: Make) -> None:
    for family, heads in (("gpt", ["head"]), ("bert", ["transform", "bias", "pool", "pair"]), ("lstm", ["head"])):
        model = model_of(family, **({} if family == "bert" else {"tied": False})).train()
        idle = make_objective().idle(model)
        assert {name.split(".")[0].removesuffix("_norm") for name in idle} == set(heads)
        assert model.training
        batch, _ = make_objective().batch(*rows_of(4, width=60), keyed_rng.keys(1, 2, np.arange(4)))
        task = LossModule(model, make_objective())
        task(**{**batch, "tokens": batch["tokens"] % 400, "positives": batch["positives"] % 400}).backward()
        assert all((p.grad is None) == (name in idle) for name, p in model.named_parameters())

"""What is hidden, as what, and that it hangs on a row's key alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.core.config import Component
from pipeline.core.errors import UserError
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from training.identity import pretrain_params
from training.keyed_rng import keys
from training.models.base import build
from training.models.layers import IGNORE
from training.objectives import special_tokens
from training.objectives.base import LossModule
from training.objectives.masked import Masked
from training.objectives.section import Masked as Options
from training.section import Pretrain

Rows = NDArray[np.int64]
UNITS = ["token", "word", "span"]
PAIRS = ["none", "next_sentence", "sentence_order"]


def create_objective(tokenizer: Path, **options: Any) -> Masked:
    return Masked(Options.model_validate(options), tokenizer)


def full(rows: Rows) -> Rows:
    return np.full(len(rows), rows.shape[1])


def keys_of(rows: Rows, step: int = 0) -> NDArray[np.uint64]:
    return keys(17, step, np.arange(len(rows)))


@pytest.mark.parametrize("unit", UNITS)
def test_a_row_is_between_special_tokens_and_unchanged_except_where_hidden(
    tokenizer: Path, rows: Rows, unit: str
) -> None:
    batch, counts = create_objective(tokenizer, unit=unit).batch(rows, full(rows), keys_of(rows))
    tokens, targets = batch["tokens"].numpy(), batch["targets"].numpy()
    special, hidden = special_tokens.read(tokenizer), targets != IGNORE
    assert tokens.shape == (len(rows), rows.shape[1] + 2) and set(batch) == {"tokens", "targets"}
    assert (tokens[:, 0] == special.start).all() and (tokens[:, -1] == special.end).all()
    before = np.where(hidden, targets, tokens)[:, 1:-1]
    assert np.array_equal(before, rows)
    assert counts.tolist() == hidden.sum(1).tolist()


@pytest.mark.parametrize("unit", UNITS)
def test_the_number_of_hidden_tokens_is_fixed_by_rule(tokenizer: Path, rows: Rows, unit: str) -> None:
    lengths = np.array([64, 63, 40, 20, 10, 5, 3, 1, 0, 64, 64, 64])
    _, counts = create_objective(tokenizer, unit=unit, share=0.15).batch(rows, lengths, keys_of(rows))
    special = rows == special_tokens.read(tokenizer).end_of_text
    for row, length, count in zip(special, lengths.tolist(), counts.tolist(), strict=True):
        text = length - int(row[:length].sum())
        expected = max(1, int(0.15 * text + 0.5)) if text else 0
        # words stay whole: where none is left that fits, fewer; where none ever fitted, one of them
        assert count == expected if unit == "token" else count <= max(expected, 5) and (count > 0) == (text > 0)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_special_tokens_are_never_hidden_nor_put_in(tokenizer: Path, rows: Rows, unit: str, pairs: str) -> None:
    objective, special = (
        create_objective(tokenizer, unit=unit, pairs=pairs, share=0.6),
        special_tokens.read(tokenizer).special,
    )
    for step in range(8):
        batch, _ = objective.batch(rows, full(rows), keys_of(rows, step))
        hidden = batch["targets"] != IGNORE
        assert not np.isin(batch["targets"][hidden], special).any()
        put = batch["tokens"][hidden]
        assert not np.isin(put[put != special_tokens.read(tokenizer).mask], special).any()


def test_of_the_hidden_eight_in_ten_are_masks_and_one_in_ten_is_as_it_was(tokenizer: Path, rows: Rows) -> None:
    many = np.tile(rows, (60, 1))
    batch, counts = create_objective(tokenizer, unit="token").batch(many, full(many), keys_of(many))
    tokens, targets = batch["tokens"].numpy(), batch["targets"].numpy()
    total = int(counts.sum())
    masks = ((tokens == special_tokens.read(tokenizer).mask) & (targets != IGNORE)).sum() / total
    same = (tokens == targets).sum() / total
    assert masks == pytest.approx(0.8, abs=0.02) and same == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_the_selection_depends_on_the_keys_alone(tokenizer: Path, rows: Rows, unit: str, pairs: str) -> None:
    """Shared between two workers, or cut in halves, a batch is the same batch; at another step it is another."""
    objective, own = create_objective(tokenizer, unit=unit, pairs=pairs), keys_of(rows)
    batch, counts = objective.batch(rows, full(rows), own)
    parts = [objective.batch(rows[half], full(rows[half]), own[half]) for half in (slice(0, 6), slice(6, 12))]
    for name in ("tokens", "targets"):
        assert torch.equal(torch.cat([part[name] for part, _ in parts]), batch[name])
    assert torch.equal(torch.cat([part for _, part in parts]), counts)
    other_batch, _ = objective.batch(rows, full(rows), keys_of(rows, 1))
    assert not torch.equal(other_batch["targets"], batch["targets"])


def test_a_word_is_hidden_whole_in_english_and_chinese(tokenizer: Path, reference: ReferenceEncoder) -> None:
    """With one word of many tokens among short ones: all of its tokens are targets, or none."""
    objective = create_objective(tokenizer, unit="word", share=0.7)
    for text, word in (("the remembers a letter and it", " remembers"), ("他们在 naïveté 里", " naïveté")):
        ids, own = reference.encode_text(text), reference.encode_text(word)
        assert len(own) > 1
        at = next(i for i in range(len(ids)) if ids[i : i + len(own)] == own)
        row, hidden_words = np.array([ids]), set()
        for step in range(30):
            batch, _ = objective.batch(row, full(row), keys_of(row, step))
            hidden = (batch["targets"][0, 1:-1] != IGNORE)[at : at + len(own)]
            assert hidden.all() or not hidden.any()
            hidden_words.add(bool(hidden.all()))
        assert hidden_words == {True, False}


def test_short_rows_say_their_length_and_empty_ones_have_nothing(tokenizer: Path, rows: Rows) -> None:
    lengths = np.array([64, 9, 0])
    batch, counts = create_objective(tokenizer).batch(rows[:3], lengths, keys_of(rows[:3]))
    assert batch["lengths"].tolist() == [66, 11, 0] and counts[2] == 0
    assert batch["tokens"][1, 10] == special_tokens.read(tokenizer).end
    assert (batch["targets"][1, 11:] == IGNORE).all() and (batch["targets"][2] == IGNORE).all()


@pytest.mark.parametrize("pairs", PAIRS)
def test_a_model_learns_on_it_and_has_no_parameter_without_a_gradient(
    tokenizer: Path, rows: Rows, reference: ReferenceEncoder, pairs: str
) -> None:
    torch.manual_seed(0)
    objective = create_objective(tokenizer, pairs=pairs, label_smoothing=0.1)
    options = {"layers": 1, "heads": 2, "width": 16, "dropout": 0.0}
    model = build("bert", options, vocabulary=reference.vocabulary, context=64 + objective.extra_tokens)
    task = LossModule(model, objective)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for step in range(30):
        batch, counts = objective.batch(rows, full(rows), keys_of(rows, step))
        loss = task(**batch) / counts.sum()
        optimizer.zero_grad()
        loss.backward()
        assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == objective.idle(model)


def test_smoothing_is_of_training_alone(tokenizer: Path, rows: Rows, reference: ReferenceEncoder) -> None:
    objective = create_objective(tokenizer, label_smoothing=0.3)
    options = {"layers": 1, "heads": 2, "width": 16, "dropout": 0.0}
    model = build("bert", options, vocabulary=reference.vocabulary, context=66)
    batch, _ = objective.batch(rows, full(rows), keys_of(rows))
    assert objective.loss(model.train(), batch).item() != objective.loss(model.eval(), batch).item()
    assert objective.loss(model, batch).item() == pytest.approx(create_objective(tokenizer).loss(model, batch).item())


def test_a_tokenizer_without_a_mask_is_refused_before_training(tmp_path: Path, tokenizer: Path) -> None:
    bare = tmp_path / "tokenizer.json"
    bare.write_text(BytePair().train(["a b c"], 260), encoding="utf-8")
    with pytest.raises(UserError, match=r"tokenizer.specials"):
        create_objective(bare)
    masked, causal = Component(name="masked"), Component(name="causal")
    ask = special_tokens.tokenizer_problem
    assert "[MASK]" in (ask(masked, kind="bpe", specials=["[PAD]"], path=None) or "")
    assert "[MASK]" in (ask(masked, kind="file", specials=[], path=str(bare)) or "")
    assert ask(masked, kind="bpe", specials=["[CLS]", "[SEP]", "[MASK]"], path=None) is None
    assert ask(masked, kind="wordpiece", specials=[], path=None) is None
    assert ask(masked, kind="file", specials=[], path=str(tokenizer)) is None
    assert ask(causal, kind="bpe", specials=[], path=None) is None


def test_special_tokens_are_read_as_roberta_spells_them(tmp_path: Path) -> None:
    made_json = json.loads(BytePair().train(["a b c"], 260))
    size = len(made_json["model"]["vocab"])
    for at, name in enumerate(("<s>", "</s>", "<mask>"), size):
        made_json["added_tokens"].append({"id": at, "content": name, "special": True})
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(made_json), encoding="utf-8")
    special = special_tokens.read(path)
    assert (special.start, special.end, special.mask, special.vocabulary) == (size, size + 1, size + 2, size + 3)
    assert len(special.ordinary) == size - 1  # less the end of text


def test_what_words_are_is_declared_where_it_decides() -> None:
    section = Pretrain.model_validate({"model": "bert", "steps": 9})
    declared = pretrain_params(section, 1)["words"]
    assert declared["segmenter"].startswith("jieba") and declared["unicode"]
    tokens = Pretrain.model_validate({"model": "bert", "objective": {"masked": {"unit": "token"}}})
    assert "words" not in pretrain_params(tokens, 1)
    assert "words" not in pretrain_params(Pretrain.model_validate({}), 1)

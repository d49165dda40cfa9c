"""The `pretrain` section: what may be written, what it means, and that reading it costs no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.config import validate
from pipeline.core.errors import ConfigError
from pipeline.core.files import JsonObject
from pipeline.core.yaml_tree import read_tree
from training.batch_size import batch_problem, uneven_batch
from training.compatibility import family_problems, whole_documents_problem
from training.identity import pretrain_params
from training.section import Pretrain

WRITTEN = """\
model: {family: gpt, layers: 3, heads: 2, width: 64}
objective: causal
steps: {bf16: 400, fp32: 100}
batch_tokens: 4096
optimizer: {name: muon, lr: 0.01}
schedule: {cosine: {floor: 0.2}}
engine: {zero: {stage: 3}}
"""


def section(tmp_path: Path, text: str) -> Pretrain:
    path = tmp_path / "pretrain.yaml"
    path.write_text(text, encoding="utf-8")
    return validate(read_tree(path), Pretrain)


def test_every_spelling_of_a_component_is_read(tmp_path: Path) -> None:
    found = section(tmp_path, WRITTEN)
    assert (found.model.name, found.model.options["layers"]) == ("gpt", 3)
    assert (found.optimizer.name, found.optimizer.options["lr"]) == ("muon", 0.01)
    assert (found.schedule.name, found.engine.options["stage"]) == ("cosine", 3)
    assert [found.steps_at("bf16", rows=10, batch_rows=2), found.steps_at("fp32", rows=10, batch_rows=2)] == [400, 100]


def test_what_enters_the_fingerprint_is_complete_and_reads_as_the_same(tmp_path: Path) -> None:
    found = section(tmp_path, WRITTEN)
    params = pretrain_params(found, 17)
    assert params["seed"] == 17 and params["optimizer"]["muon"]["momentum"] == 0.95
    assert Pretrain.model_validate({key: value for key, value in params.items() if key != "seed"}) == found
    defaults = pretrain_params(Pretrain(), 1)
    assert defaults["model"]["gpt"]["layers"] == 4 and defaults["engine"] == {"plain": {"micro_batch_tokens": None}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: {family: gtp}", "pretrain.yaml:1: model: unknown model family 'gtp'. Did you mean 'gpt'?"),
        ("model: {family: gpt, layrs: 3}", "pretrain.yaml:1: model.layrs: unknown key. Did you mean 'layers'?"),
        ("batch_tokns: 4", "pretrain.yaml:1: batch_tokns: unknown key. Did you mean 'batch_tokens'?"),
        ("steps: {bf16: 3}", "steps has no entry for fp32"),
        ("steps: 0", "steps"),
        ("optimizer: moun", "unknown optimizer 'moun'. Did you mean 'muon'?"),
        ("engine: {zero: {stage: 4}}", "engine.stage: should be 0, 1, 2 or 3, is 4."),
        ("clip: -1", "clip: should be greater than or equal to 0, is -1."),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_was_meant(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        section(tmp_path, text)
    assert words in str(caught.value)


def test_one_precision_needs_the_steps_of_one(tmp_path: Path) -> None:
    assert section(tmp_path, "precision: bf16\nsteps: {bf16: 3}").steps_at("bf16", rows=10, batch_rows=2) == 3


def test_a_batch_is_whole_rows() -> None:
    assert batch_problem(Pretrain(batch_tokens=4096), length=256) is None
    problem = batch_problem(Pretrain(batch_tokens=4000), length=256)
    assert problem is not None and problem.endswith("is not a whole number of rows of 256 tokens; 4,096 is.")


def test_a_batch_that_workers_share_unevenly_is_accepted_at_a_stated_cost() -> None:
    assert uneven_batch(Pretrain(batch_tokens=16 * 256), length=256, workers=8) is None
    assert uneven_batch(Pretrain(batch_tokens=16 * 256), length=256, workers=7) == (
        "16 rows a step are not shared evenly by 7 workers: a step takes as long as one of 21, "
        "31% more than its share. batch_tokens: 5,376 would be even."
    )
    vectors = Pretrain.model_validate({"model": "word2vec"})  # 8 blocks
    assert uneven_batch(vectors, length=256, workers=4) is None
    assert "8 blocks a step are not shared evenly by 3 workers" in (uneven_batch(vectors, length=256, workers=3) or "")


def test_planning_loads_nothing_heavy() -> None:
    code = (
        "import sys, training.stages, training.batch_size\n"
        "from training.identity import pretrain_params\n"
        "from training.section import Pretrain\n"
        "pretrain_params(Pretrain(engine='zero', optimizer='muon', schedule='cosine'), 1)\n"
        "heavy = {'torch', 'ray', 'apache_beam', 'transformers', 'numba', 'deepspeed'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        ({"family": "gpt"}, True),
        ({"family": "gpt", "dropout": 0.1}, False),
        ({"family": "bert"}, False),
        ({"family": "lstm", "weight_dropout": 0.2}, False),
    ],
)
def test_positives_by_dropout_need_a_model_with_dropout(model: dict[str, Any], wrong: bool) -> None:
    section = Pretrain.model_validate({"model": model, "objective": {"contrastive": {"positives": "dropout"}}})
    assert [option for option, _ in family_problems(section)] == (["objective"] if wrong else [])


def test_rows_that_lend_each_other_text_come_in_twos() -> None:
    section = Pretrain.model_validate(
        {"model": "bert", "objective": {"masked": {"pairs": "next_sentence"}}, "batch_tokens": 6 * 128}
    )
    assert batch_problem(section, length=128) is None
    assert "groups of 2 rows" in (batch_problem(section, length=256) or "")  # 3 rows
    assert "3 groups of 2 rows" in (uneven_batch(section, length=128, workers=2) or "")


def test_word_vectors_take_a_schedule_of_ones_own_and_nothing_else() -> None:
    own = {"optimizer": "training.engines.rules:UpdateRule", "schedule": "training.engines.section:Cosine"}
    found = family_problems(Pretrain.model_validate({"model": "word2vec", **own}))
    assert [option for option, _ in found] == ["optimizer"]
    assert found[0][1] == "word vectors cannot be trained with a user's own optimizer; word2vec takes sgd."
    assert family_problems(Pretrain.model_validate({"model": "gpt", **own})) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "gpt"}, None),
        ({"model": "bert"}, None),
        ({"model": "gpt", "augment": ["token_dropout", "sentence_shuffling"]}, None),
        ({"model": "lstm"}, "only gpt or bert can tell its documents apart"),
        ({"model": "word2vec"}, "word2vec has no attention"),
        ({"model": "gpt", "objective": "contrastive"}, "lie in one document each already"),
        ({"model": "bert", "objective": {"masked": {"pairs": "sentence_order"}}}, "Write pairs: none"),
        ({"model": "gpt", "augment": ["fill_in_the_middle"]}, "fill_in_the_middle moves tokens"),
    ],
)
def test_documents_are_masked_where_that_means_something(options: JsonObject, words: str | None) -> None:
    problems = dict(family_problems(Pretrain.model_validate({**options, "document_mask": True})))
    assert ("document_mask" in problems) == (words is not None)
    assert words is None or words in problems["document_mask"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "gpt"}, None),
        ({"model": "lstm", "objective": "contrastive"}, None),
        ({"model": "lstm"}, "rows of best_fit do not continue each other"),
        ({"model": "word2vec"}, "one stream of words"),
    ],
)
def test_best_fit_is_refused_where_rows_continue_each_other(options: JsonObject, words: str | None) -> None:
    problem = whole_documents_problem(Pretrain.model_validate(options))
    assert (problem is None) if words is None else words in str(problem)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "gpt"}, None),
        ({"model": "bert"}, None),
        ({"model": "gru"}, "gru carries its state from row to row"),
        ({"model": "glove"}, "one stream of words"),
    ],
)
def test_sources_have_weights_where_rows_can_be_drawn(options: JsonObject, words: str | None) -> None:
    problems = dict(family_problems(Pretrain.model_validate({**options, "mixture": {"temperature": 2}})))
    assert ("mixture" in problems) == (words is not None)
    assert words is None or words in problems["mixture"]
    assert "mixture" not in pretrain_params(Pretrain.model_validate(options), 17)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"reduction": "tree"}, None),
        ({"reduction": "tree", "micro_batches": 4}, None),
        ({"micro_batches": 4}, "micro_batches"),
        ({"reduction": "tree", "engine": "zero"}, "reduction"),
        ({"reduction": "tree", "model": "word2vec"}, "reduction"),
        ({"reduction": "tree", "engine": {"plain": {"micro_batch_tokens": 512}}}, "engine"),
    ],
)
def test_gradients_are_summed_in_a_tree_by_the_plain_engine_alone(options: JsonObject, option: str | None) -> None:
    problems = family_problems(Pretrain.model_validate(options))
    assert [name for name, _ in problems] == ([option] if option else [])


def test_micro_batches_of_a_tree_are_shared_unevenly_at_a_stated_cost() -> None:
    tree = Pretrain(batch_tokens=16 * 256, reduction="tree")
    assert uneven_batch(tree, length=256, workers=4) is None
    sentence = uneven_batch(tree, length=256, workers=3)
    assert sentence is not None and "8 micro-batches a step" in sentence and "one of 9, 12% more" in sentence
    assert sentence.endswith("than its share.")  # 16 rows cannot be 9 micro-batches
    assert "micro_batches: 16 would be even" in (uneven_batch(tree, length=256, workers=16) or "")

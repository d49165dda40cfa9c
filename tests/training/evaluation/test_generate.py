"""Generation: seeded, in whole characters, at any length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipeline.core.errors import StageFailed
from training.evaluation.generate import GenerationTokenizer, generate, generate_tokens, sample_token
from training.evaluation.section import Sampling
from training.models.saved import load

PROMPTS = ["今天天气", "The quiet river", ""]


@pytest.fixture(scope="module")
def model(corpus: Any) -> Any:
    return load(corpus.inputs.single("model").folder("model"))


@pytest.fixture(scope="module")
def tokenizer(corpus: Any) -> GenerationTokenizer:
    return GenerationTokenizer.read(corpus.inputs.single("tokenizer").file("tokenizer.json"))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_same_seed_gives_the_same_text(model: Any, tokenizer: GenerationTokenizer, prompt: str) -> None:
    sampling = Sampling(tokens=40)
    once = list(generate(model, tokenizer, prompt, sampling, seed=3))
    assert once == list(generate(model, tokenizer, prompt, sampling, seed=3))
    assert once != list(generate(model, tokenizer, prompt, sampling, seed=4))


def test_temperature_zero_takes_the_likeliest_token(model: Any, tokenizer: GenerationTokenizer) -> None:
    prompt = [0, *tokenizer.reference.encode_text("今天")]
    generated = list(generate_tokens(model, prompt, Sampling(tokens=5, temperature=0), seed=1))
    for token in generated:
        with torch.inference_mode():
            assert token == int(model.logits(torch.tensor([prompt]))[0, -1].argmax())
        prompt.append(token)


def test_text_goes_on_beyond_the_context(model: Any, tokenizer: GenerationTokenizer, corpus: Any) -> None:
    prompt = tokenizer.reference.encode_text("The quiet river 安静的河流 " * 20)
    assert len(prompt) > corpus.length
    sampling = Sampling(tokens=3 * corpus.length)
    assert len(list(generate_tokens(model, prompt, sampling, seed=1))) == 3 * corpus.length


@pytest.mark.parametrize("family", ["rnn", "lstm", "gru"])
def test_a_recurrent_model_forgets_nothing_at_the_end_of_a_row(make_corpus: Callable[..., Any], family: str) -> None:
    corpus = make_corpus(4, family=family, length=16)
    recurrent = load(corpus.inputs.single("model").folder("model"))
    tokenizer = GenerationTokenizer.read(corpus.inputs.single("tokenizer").file("tokenizer.json"))
    prompt = [0, *tokenizer.reference.encode_text("安静的河流 the river " * 4)]
    generated = list(generate_tokens(recurrent, prompt, Sampling(tokens=40, temperature=0), seed=1))
    assert len(prompt) > 16
    for at, token in enumerate(generated):
        with torch.inference_mode():
            assert token == int(recurrent.logits(torch.tensor([[*prompt, *generated[:at]]]))[0, -1].argmax())


class Scripted:
    """A model that is certain of one token after another."""

    context = 64

    def __init__(self, script: list[int]) -> None:
        self.script = script

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        logits = torch.full((1, tokens.shape[1], 420), -1e9)
        logits[0, -1, self.script.pop(0)] = 0.0
        return logits


def test_pieces_are_whole_characters_and_end_of_text_ends_them(tokenizer: GenerationTokenizer) -> None:
    ids = tokenizer.reference.encode_text("好😀é")
    assert len(ids) > 3
    pieces = list(generate(Scripted([*ids, 0, *ids]), tokenizer, "x", Sampling(), seed=1))
    assert "".join(pieces) == "好😀é" and all(pieces) and "\ufffd" not in "".join(pieces)


def test_a_character_that_is_never_finished_is_marked(tokenizer: GenerationTokenizer) -> None:
    first = tokenizer.reference.encode_text("😀")[0]
    assert "".join(generate(Scripted([first, 0]), tokenizer, "x", Sampling(), seed=1)) == "\ufffd"


def test_top_k_and_top_p_let_only_the_likeliest_through() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    draw = torch.Generator().manual_seed(1)

    def sampled(**options: Any) -> set[int]:
        return {sample_token(logits, Sampling(temperature=1, **options), draw) for _ in range(200)}

    assert sampled(top_k=None, top_p=1) == {0, 1, 2, 3}
    assert sampled(top_k=2, top_p=1) == {2, 3}
    assert sampled(top_k=None, top_p=0.5) == {2, 3}
    assert sampled(top_k=None, top_p=0.4) == {3}
    assert sampled(top_k=None, top_p=1e-9) == {3}


def test_draws_follow_the_model_s_chances() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    draw = torch.Generator().manual_seed(1)
    counts = torch.zeros(4)
    for _ in range(4000):
        counts[sample_token(logits, Sampling(temperature=1, top_k=None, top_p=1), draw)] += 1
    assert torch.allclose(counts / 4000, logits.exp(), atol=0.03)


@pytest.mark.parametrize("options", [{"shape": "llama", "kv_heads": 2}, {"shape": "qwen3"}, {"shape": "gpt2"}], ids=str)
def test_what_a_model_remembers_changes_no_token(
    make_corpus: Callable[..., Any], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(make_corpus(4, **options).inputs.single("model").folder("model"))
    prompt, sampling = [0, 5, 70, 300], Sampling(tokens=70)
    remembered = list(generate_tokens(model, prompt, sampling, seed=2))
    monkeypatch.setattr(type(model), "cache", lambda self: None)
    assert list(generate_tokens(model, prompt, sampling, seed=2)) == remembered


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_draw_nothing(value: float, temperature: float) -> None:
    logits = torch.tensor([0.5, value, float("-inf")])
    with pytest.raises(StageFailed, match="diverged"):
        sample_token(logits, Sampling(temperature=temperature), torch.Generator())


def test_a_token_that_can_never_be_drawn_is_no_fault() -> None:
    assert sample_token(torch.tensor([float("-inf"), 0.0]), Sampling(), torch.Generator()) == 1

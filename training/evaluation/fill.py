"""How a masked model fills gaps: fill.json for people, and how often it predicts a held-out word that was masked.

A prediction is correct when the likeliest pieces of the gap are those of the word. A gap has as many masks as the word
has pieces, and each is filled by itself: so accuracy falls with longer words, and compares models of one tokenizer
alone. Cost: one pass over a row for each word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import torch

from pipeline.tokenizers import reference_encoder
from training.evaluation import gaps, section
from training.evaluation.base import EvaluationTask, Score, Subject, TaskResult
from training.evaluation.gaps import Filling, MaskedWord, MaskedWordFields
from training.evaluation.held_out import HeldOut
from training.evaluation.ratio import interval, ratio
from training.objectives import special_tokens

FILE = "fill.json"
# a process takes about as long to start as a small model to predict so many words
ITEM_WORDS = 128
CONTEXT_TOKENS = 24  # on each side of a gap that is shown


class WordToFill(TypedDict):
    """A masked word, and whether it is shown in fill.json."""

    word: MaskedWordFields
    shown: bool


class FillItem(TypedDict, total=False):
    """Prompts with gaps, or held-out words to mask."""

    prompts: list[str]
    words: list[WordToFill]


class Candidate(TypedDict):
    text: str
    probability: float


class FilledText(TypedDict):
    """A row of fill.json: a text with gaps, and the candidates of each gap, the likeliest first."""

    text: str
    language: str | None
    answer: str | None
    candidates: list[list[Candidate]]


class FilledWord(TypedDict):
    """A masked word: its place among the candidates, from 0 (None where it is not one), and what is shown of it."""

    document: str
    language: str
    rank: int | None
    shown: FilledText | None


class FillResult(TypedDict, total=False):
    prompts: list[FilledText]
    words: list[FilledWord]


class Fill(EvaluationTask[FillItem, FillResult]):
    """See the module."""

    name = "fill"
    options: section.Fill

    def cut(self, held_out: HeldOut) -> list[FillItem]:
        words = gaps.select_words(held_out, special_tokens.read(held_out.tokenizer), self.options.words)
        left = dict.fromkeys([word.language for word in words], self.options.shown)
        to_fill: list[WordToFill] = []
        for word in words:
            to_fill.append({"word": word.to_dict(), "shown": left[word.language] > 0})
            left[word.language] -= 1
        items: list[FillItem] = [{"prompts": self.options.prompts}] if self.options.prompts else []
        items += [{"words": to_fill[at : at + ITEM_WORDS]} for at in range(0, len(to_fill), ITEM_WORDS)]
        return items

    def work(self, item: FillItem, subject: Subject) -> FillResult:
        """For each prompt what is shown; for each word its rank among the candidates, and what is shown of it."""
        filler = _Filler(subject, self.options.top)
        if "prompts" in item:
            return {"prompts": [filler.fill_prompt(prompt) for prompt in item["prompts"]]}
        words = [filler.fill_word(MaskedWord(**entry["word"]), shown=entry["shown"]) for entry in item["words"]]
        return {"words": words}

    def merge(self, held_out: HeldOut, results: list[FillResult]) -> TaskResult:
        words = [word for result in results for word in result.get("words", ())]
        shown = [prompt for result in results for prompt in result.get("prompts", ())]
        shown += [word["shown"] for word in words if word["shown"]]
        scores: list[Score] = []
        for language in (None, *sorted({word["language"] for word in words})):
            words_of_language = [word for word in words if language in (None, word["language"])]
            scores += _scores(words_of_language, language, self.options.top)
        return TaskResult(scores, {FILE: shown}, {"words": len(words)})


class _Filler:
    """A masked model with its tokenizer and special tokens."""

    def __init__(self, subject: Subject, top: int) -> None:
        self._held_out = subject.held_out
        self._model = subject.model
        self._top = top
        self._special = special_tokens.read(subject.held_out.tokenizer)
        self._reference = reference_encoder.load(subject.held_out.tokenizer)

    def fill_prompt(self, text: str) -> FilledText:
        tokens, places = gaps.encode_gaps(text, self._reference, self._special)
        candidates = [self._candidates(fillings) for fillings in self._fillings(tokens, places)]
        return {"text": text, "language": None, "answer": None, "candidates": candidates}

    def fill_word(self, word: MaskedWord, *, shown: bool) -> FilledWord:
        row = next(self._held_out.rows(word.row, word.row + 1))
        answer = tuple(row.tokens[word.start : word.stop].tolist())
        tokens = [self._special.start, *row.tokens.tolist(), self._special.end]
        gap = (word.start + 1, word.stop + 1)
        tokens[slice(*gap)] = [self._special.mask] * len(answer)
        (fillings,) = self._fillings(tokens, [gap])
        candidates = [ids for ids, _ in fillings]
        return {
            "document": word.document,
            "language": word.language,
            "rank": candidates.index(answer) if answer in candidates else None,
            "shown": self._filled_text(word, fillings) if shown else None,
        }

    def _filled_text(self, word: MaskedWord, fillings: Sequence[Filling]) -> FilledText:
        row = next(self._held_out.rows(word.row, word.row + 1))
        text, answer = gaps.text_with_gap(self._held_out, row, word, CONTEXT_TOKENS)
        return {
            "text": text, "language": word.language, "answer": answer, "candidates": [self._candidates(fillings)],
        }  # fmt: skip

    def _fillings(self, tokens: list[int], places: list[tuple[int, int]]) -> list[list[Filling]]:
        """The likeliest fillings of each gap; a special token is never one."""
        device = next(self._model.parameters()).device
        with torch.inference_mode():
            logits = self._model.logits(torch.tensor([tokens], device=device))[0].clone()
            logits[:, self._special.special.tolist()] = -torch.inf
            probabilities = torch.softmax(logits, dim=-1).cpu()
        return [gaps.likeliest_fillings(probabilities[start:stop], self._top) for start, stop in places]

    def _candidates(self, fillings: Sequence[Filling]) -> list[Candidate]:
        # four digits: further ones differ from one vector unit to another and mean nothing
        return [{"text": self._spelled(ids), "probability": round(probability, 4)} for ids, probability in fillings]

    def _spelled(self, ids: tuple[int, ...]) -> str:
        return self._held_out.token_bytes.text(ids).decode("utf-8", "replace").strip()


def _scores(words: Sequence[FilledWord], language: str | None, top: int) -> Iterator[Score]:
    """The share of the words that are the first candidate, and that are among the first `top`; by documents."""
    for metric, most in (("accuracy", 1), (f"accuracy_top{top}", top)):
        correct: dict[str, float] = {}
        total: dict[str, float] = {}
        for word in words:
            document = word["document"]
            is_correct = word["rank"] is not None and word["rank"] < most
            correct[document] = correct.get(document, 0.0) + is_correct
            total[document] = total.get(document, 0.0) + 1.0
        sums = list(correct.values()), list(total.values())
        if words:
            yield Score("fill", metric, ratio(*sums), _within_0_and_1(interval(*sums)), len(words), language)


def _within_0_and_1(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """A share is between 0 and 1, which its normal approximation does not know."""
    return None if interval is None else (max(0.0, interval[0]), min(1.0, interval[1]))

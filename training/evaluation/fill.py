"""What a masked model puts into gaps: fill.json for people, and how often it finds a held-out word that was hidden.

A word is found when the likeliest pieces of its gap are its own. A gap has as many masks as the word has pieces, each
filled by itself: so accuracy falls with longer words, and compares models of one tokenizer alone. Cost: one pass over a
row for each word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from pipeline.tokenizers import reference_encoder
from training.evaluation import gaps, section
from training.evaluation.base import Finding, Piece, Score, Subject, Task
from training.evaluation.gaps import Hidden
from training.evaluation.held_out import HeldOut
from training.evaluation.ratio import interval, ratio
from training.objectives import special_tokens

FILE = "fill.json"
# a process takes about as long to start as a small model to answer so many
PIECE_WORDS = 128
AROUND = 24  # tokens on each side of a gap that people are shown


class Fill(Task):
    """See the module."""

    name = "fill"
    options: section.Fill

    def cut(self, held_out: HeldOut) -> list[Piece]:
        words = gaps.hidden_words(held_out, special_tokens.read(held_out.tokenizer), self.options.words)
        shown, left = list[bool](), dict.fromkeys([word.language for word in words], self.options.shown)
        for word in words:
            shown.append(left[word.language] > 0)
            left[word.language] -= 1
        asked = [{**word.to_dict(), "shown": show} for word, show in zip(words, shown, strict=True)]
        pieces = [{"words": asked[at : at + PIECE_WORDS]} for at in range(0, len(asked), PIECE_WORDS)]
        return ([{"prompts": self.options.prompts}] if self.options.prompts else []) + pieces

    def work(self, piece: Piece, subject: Subject) -> Any:
        """For each prompt what is shown; for each word whether it was found, and what is shown of it."""
        filler = _Filler(subject, self.options.top)
        if "prompts" in piece:
            return {"prompts": [filler.prompt(one) for one in piece["prompts"]]}
        return {"words": [filler.word(Hidden(**_without(one, "shown")), one["shown"]) for one in piece["words"]]}

    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        words = [word for result in results for word in result.get("words", ())]
        told = [prompt for result in results for prompt in result.get("prompts", ())]
        told += [word["told"] for word in words if word["told"]]
        scores: list[Score] = []
        for language in (None, *sorted({word["language"] for word in words})):
            some = [word for word in words if language in (None, word["language"])]
            scores += _scores(some, language, self.options.top)
        return Finding(scores, {FILE: told}, {"words": len(words)})


class _Filler:
    """A model that is asked, and what it takes to ask it."""

    def __init__(self, subject: Subject, top: int) -> None:
        self._held_out, self._model, self._top = subject.held_out, subject.model, top
        self._marks = special_tokens.read(subject.held_out.tokenizer)
        self._reference = reference_encoder.load(subject.held_out.tokenizer)

    def prompt(self, text: str) -> dict[str, Any]:
        tokens, found = gaps.asked(text, self._reference, self._marks)
        answers = [self._told(one) for one in self._answers(tokens, found)]
        return {"text": text, "language": None, "answer": None, "candidates": answers}

    def word(self, hidden: Hidden, shown: bool) -> dict[str, Any]:
        row = next(self._held_out.rows(hidden.row, hidden.row + 1))
        own = tuple(row.tokens[hidden.start : hidden.stop].tolist())
        tokens = [self._marks.start, *row.tokens.tolist(), self._marks.end]
        place = (hidden.start + 1, hidden.stop + 1)
        tokens[slice(*place)] = [self._marks.mask] * len(own)
        (answers,) = self._answers(tokens, [place])
        found = [pieces for pieces, _ in answers]
        told = None
        if shown:
            text, word = gaps.around(self._held_out, row, hidden, AROUND)
            told = {"text": text, "language": hidden.language, "answer": word, "candidates": [self._told(answers)]}
        # where the word stands among the candidates, from 0
        rank = found.index(own) if own in found else None
        return {"document": hidden.document, "language": hidden.language, "rank": rank, "told": told}

    def _answers(self, tokens: list[int], places: list[tuple[int, int]]) -> list[list[tuple[tuple[int, ...], float]]]:
        """The likeliest fillings of each gap; marks are none."""
        device = next(self._model.parameters()).device
        with torch.inference_mode():
            logits = self._model.logits(torch.tensor([tokens], device=device))[0].clone()
            logits[:, self._marks.special.tolist()] = -torch.inf
            chances = torch.softmax(logits, dim=-1).cpu()
        return [gaps.best(chances[start:stop], self._top) for start, stop in places]

    def _told(self, answers: Sequence[tuple[tuple[int, ...], float]]) -> list[dict[str, Any]]:
        # four digits: the rest differs from one vector unit to another and tells nobody anything
        return [{"text": self._spelled(pieces), "probability": round(chance, 4)} for pieces, chance in answers]

    def _spelled(self, pieces: tuple[int, ...]) -> str:
        return self._held_out.pieces.text(pieces).decode("utf-8", "replace").strip()


def _without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key != name}


def _scores(words: Sequence[dict[str, Any]], language: str | None, top: int) -> Iterator[Score]:
    """The share of the words that are the first candidate, and that are among the first `top`; by documents."""
    for metric, most in (("accuracy", 1), (f"accuracy_top{top}", top)):
        right, asked = dict[str, float](), dict[str, float]()
        for word in words:
            name = word["document"]
            found = word["rank"] is not None and word["rank"] < most
            right[name], asked[name] = right.get(name, 0.0) + found, asked.get(name, 0.0) + 1.0
        sums = list(right.values()), list(asked.values())
        if words:
            yield Score("fill", metric, ratio(*sums), _of_a_share(interval(*sums)), len(words), language)


def _of_a_share(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """A share lies between 0 and 1, whatever a normal distribution around it does."""
    return None if interval is None else (max(0.0, interval[0]), min(1.0, interval[1]))

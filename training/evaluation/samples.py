"""Text that the model writes on, for people to read: samples.json, a list of prompts and what came after each.

Prompts are the user's, or how held-out documents of each language of the corpus begin: no language is the default.
"""

from __future__ import annotations

from typing import Any

from training.evaluation import section
from training.evaluation.base import Finding, Piece, Subject, Task
from training.evaluation.generate import Speller, generate
from training.evaluation.held_out import HeldOut

# a process takes about as long to start as a small model to write on so many
PIECE_PROMPTS = 8
# how much of a held-out document is its opening
OPENING_TOKENS = 8


class Samples(Task):
    """See the module. Sample i is drawn with seed + i."""

    name = "samples"
    options: section.Samples

    def cut(self, held_out: HeldOut) -> list[Piece]:
        prompts = [
            {"prompt": prompt, "language": language, "seed": self.seed + at}
            for at, (prompt, language) in enumerate(self._prompts(held_out))
        ]
        return [{"prompts": prompts[at:][:PIECE_PROMPTS]} for at in range(0, len(prompts), PIECE_PROMPTS)]

    def _prompts(self, held_out: HeldOut) -> list[tuple[str, str | None]]:
        if self.options.prompts is not None:
            return [(prompt, None) for prompt in self.options.prompts]
        return openings(held_out, self.options.per_language)

    def work(self, piece: Piece, subject: Subject) -> list[dict[str, Any]]:
        speller = Speller.read(subject.held_out.tokenizer)
        found = []
        for one in piece["prompts"]:
            text = "".join(generate(subject.model, speller, one["prompt"], self.options, seed=one["seed"]))
            found.append({**one, "text": text})
        return found

    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        drawn = self.options.model_dump(mode="json", include=set(section.Sampling.model_fields))
        samples = [{**one, **drawn} for result in results for one in result]
        return Finding(files={"samples.json": samples}, counts={"samples": len(samples)})


def openings(held_out: HeldOut, per_language: int) -> list[tuple[str, str | None]]:
    """How the first `per_language` held-out documents of each language begin, with the language."""
    wanted = dict.fromkeys(held_out.language_of.values(), per_language)
    speller, found = Speller.read(held_out.tokenizer), []
    for document in held_out.documents():
        own = held_out.language_of[document.id]
        if wanted[own]:
            wanted[own] -= 1
            found.append((own, _opening(speller, document.text.decode("utf-8", "replace"))))
    return [(prompt, own) for own, prompt in sorted(found, key=lambda one: one[0])]


def _opening(speller: Speller, text: str) -> str:
    """The first tokens of a text, less the bytes of a character that is cut."""
    ids = speller.reference.encode_text(text[: 64 * OPENING_TOKENS])[:OPENING_TOKENS]
    return speller.pieces.text(ids).decode("utf-8", "ignore")

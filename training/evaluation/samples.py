"""Text that the model writes on, for people to read: samples.json, a list of prompts and what came after each.

Prompts are the user's, or how held-out documents of each language of the corpus begin: no language is the default.
"""

from __future__ import annotations

from typing import Any

from pipeline.text import words
from training.evaluation import section
from training.evaluation.base import Finding, Piece, Subject, Task
from training.evaluation.generate import Speller, generate
from training.evaluation.held_out import HeldOut
from training.evaluation.own_text import document_texts

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
    """The beginnings of the first `per_language` held-out documents of each language, with the language.

    They are cut from the documents' own text: a tokenizer of words spells what it does not know as `<unk>`.
    """
    left = dict.fromkeys(held_out.language_of.values(), per_language)
    selected: list[str] = []
    for document_id, language in held_out.language_of.items():
        if left[language]:
            left[language] -= 1
            selected.append(document_id)
    texts = dict(document_texts(held_out, selected))
    speller = Speller.read(held_out.tokenizer)
    prompts: list[tuple[str, str | None]] = [
        (_opening(speller, texts[document_id].decode("utf-8", "replace")), held_out.language_of[document_id])
        for document_id in selected
    ]
    return sorted(prompts, key=lambda prompt: prompt[1] or "")


def _opening(speller: Speller, text: str) -> str:
    """The first OPENING_TOKENS tokens of a text, as the text spells them.

    Byte-level pieces give the bytes themselves, less those of a character that is cut. Other tokenizers lose text, so
    it is cut behind the last word with which it still fits; the first word is always in it.
    """
    beginning = text[: 64 * OPENING_TOKENS]
    if speller.pieces.exact:
        ids = speller.reference.encode_text(beginning)[:OPENING_TOKENS]
        return speller.pieces.text(ids).decode("utf-8", "ignore")
    opening = ""
    for _, end in words.spans(beginning):
        if opening and len(speller.reference.encode_text(beginning[:end])) > OPENING_TOKENS:
            break
        opening = beginning[:end]
    return opening or beginning[:OPENING_TOKENS]

"""Text that the model generates, for people to read: samples.json, a list of prompts with what followed each.

Prompts are the user's, or the beginnings of held-out documents of each language of the corpus: no language is the
default.
"""

from __future__ import annotations

from typing import TypedDict

from pipeline.text import words
from training.evaluation import section
from training.evaluation.base import EvaluationTask, Subject, TaskResult
from training.evaluation.generate import GenerationTokenizer, generate
from training.evaluation.held_out import HeldOut
from training.evaluation.own_text import document_texts

# a process takes about as long to start as a small model to continue so many prompts
ITEM_PROMPTS = 8
# the length of the beginning of a held-out document that is used as a prompt
OPENING_TOKENS = 8


class Prompt(TypedDict):
    """A prompt, its language where it is a held-out document's, and the seed of its sample."""

    prompt: str
    language: str | None
    seed: int


class SamplesItem(TypedDict):
    prompts: list[Prompt]


class GeneratedSample(Prompt):
    text: str


class Samples(EvaluationTask[SamplesItem, list[GeneratedSample]]):
    """See the module. Sample i is drawn with seed + i."""

    name = "samples"
    options: section.Samples

    def cut(self, held_out: HeldOut) -> list[SamplesItem]:
        prompts: list[Prompt] = [
            {"prompt": prompt, "language": language, "seed": self.seed + at}
            for at, (prompt, language) in enumerate(self._prompts(held_out))
        ]
        return [{"prompts": prompts[at:][:ITEM_PROMPTS]} for at in range(0, len(prompts), ITEM_PROMPTS)]

    def _prompts(self, held_out: HeldOut) -> list[tuple[str, str | None]]:
        if self.options.prompts is not None:
            return [(prompt, None) for prompt in self.options.prompts]
        return openings(held_out, self.options.per_language)

    def work(self, item: SamplesItem, subject: Subject) -> list[GeneratedSample]:
        tokenizer = GenerationTokenizer.read(subject.held_out.tokenizer)
        samples: list[GeneratedSample] = []
        for prompt in item["prompts"]:
            text = "".join(generate(subject.model, tokenizer, prompt["prompt"], self.options, seed=prompt["seed"]))
            samples.append({**prompt, "text": text})
        return samples

    def merge(self, held_out: HeldOut, results: list[list[GeneratedSample]]) -> TaskResult:
        sampling = self.options.model_dump(mode="json", include=set(section.Sampling.model_fields))
        samples = [{**sample, **sampling} for result in results for sample in result]
        return TaskResult(files={"samples.json": samples}, counts={"samples": len(samples)})


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
    tokenizer = GenerationTokenizer.read(held_out.tokenizer)
    prompts: list[tuple[str, str | None]] = [
        (_opening(tokenizer, texts[document_id].decode("utf-8", "replace")), held_out.language_of[document_id])
        for document_id in selected
    ]
    return sorted(prompts, key=lambda prompt: prompt[1] or "")


def _opening(tokenizer: GenerationTokenizer, text: str) -> str:
    """The first OPENING_TOKENS tokens of a text, as the text spells them.

    Byte-level pieces give the bytes themselves, without those of an incomplete character. Other tokenizers lose text,
    so the text is cut after the last word with which it still fits; the first word is always included.
    """
    beginning = text[: 64 * OPENING_TOKENS]
    if tokenizer.token_bytes.exact:
        ids = tokenizer.reference.encode_text(beginning)[:OPENING_TOKENS]
        return tokenizer.token_bytes.text(ids).decode("utf-8", "ignore")
    opening = ""
    for _, end in words.spans(beginning):
        if opening and len(tokenizer.reference.encode_text(beginning[:end])) > OPENING_TOKENS:
            break
        opening = beginning[:end]
    return opening or beginning[:OPENING_TOKENS]

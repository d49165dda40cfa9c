"""Identifies the language of documents: the script first, then the rule for code and the model, where they are needed.

Which documents: those without a tag, and those whose tag the text contradicts: by its script or, tagged as English, by
having hardly a function word (`revise`). With `all`, every document whose script does not settle its language. Only a
clear answer replaces a tag. Cost: 300 to 800 MB per CPU-second where the script settles the language; the model takes
about 150 us a document on a busy machine, whatever its length (pipeline/text/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kernels.column import buffers
from pipeline.kernels.letters import letter_counts, scores_of_code
from pipeline.text.code import CODE
from pipeline.text.language import canonical, fallbacks
from pipeline.text.language_model import ModelAnswer, identify_text
from pipeline.text.script_step import script_step
from pipeline.text.writing import contradicts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NAMES = ("language_confidence", "second_language")
# an answer below it leaves a tag as it is; a document without a tag has the best answer, and its confidence
CLEAR = 0.7
FEW_FUNCTION_WORDS = 2  # distinct ones; English prose of a few sentences has more


@dataclass(frozen=True)
class Identification:
    """The language of each document; how sure that is, and the share of a second language: NaN where neither script nor
    model was examined. `examined`: which documents the model or the rule for code saw."""

    languages: list[str | None]
    confidence: Floats
    second: Floats
    examined: npt.NDArray[np.bool_]

    def signals(self) -> dict[str, Floats]:
        return dict(zip(NAMES, (self.confidence, self.second), strict=True))


def identify(text: pa.Array, tags: list[str | None], *, every: bool) -> Identification:
    """The languages of a column; `every`: whether the model also judges tags that the script does not contradict."""
    step = script_step(letter_counts(text))
    untagged = np.array([_is_unknown(tag) for tag in tags], bool)
    contradicted = np.array([contradicts(tag, script) for tag, script in zip(tags, step.scripts, strict=True)], bool)
    settled = np.array([language is not None for language in step.languages], bool)
    known = settled & ~contradicted & ~untagged
    examined = ~settled & (step.share > 0) & (untagged | contradicted | every)
    confidence = np.where(settled, step.share, np.nan)
    second = np.where(settled | examined, step.second, np.nan)
    languages = list(tags)
    for row in np.flatnonzero(settled & ~known).tolist():
        languages[row] = step.languages[row] if untagged[row] or step.share[row] >= CLEAR else tags[row]
    for row in np.flatnonzero(known).tolist():
        languages[row] = _refined(tags[row], step.languages[row])
    start = Identification(languages, confidence, second, np.zeros(len(tags), bool))
    rows = np.flatnonzero(examined)
    return _ask(text, start, rows, [step.scripts[row] for row in rows.tolist()])


def revise(text: pa.Array, identified: Identification, function_words: Floats) -> tuple[Identification, Ints]:
    """Ask for documents tagged as English that hold hardly a function word. Returns also which ones have a new tag."""
    few = (function_words < FEW_FUNCTION_WORDS) & ~identified.examined
    rows = np.array(
        [row for row in np.flatnonzero(few).tolist() if "en" in fallbacks(identified.languages[row])], np.int64
    )
    if not len(rows):
        return identified, rows
    scripts = script_step(letter_counts(text.take(pa.array(rows)))).scripts
    revised = _ask(text, identified, rows, scripts)
    changed = [row for row in rows.tolist() if revised.languages[row] != identified.languages[row]]
    return revised, np.array(changed, np.int64)


def _ask(text: pa.Array, before: Identification, rows: Ints, scripts: list[str]) -> Identification:
    """The identification with the answers of the rule for code and of the model for these rows, of these scripts."""
    if not len(rows):
        return before
    languages, confidence, second, examined = (
        list(before.languages), before.confidence.copy(), before.second.copy(), before.examined.copy(),
    )  # fmt: skip
    codes = scores_of_code(text, rows)
    data, offsets = buffers(text)
    view = data.data
    for row, script, score in zip(rows.tolist(), scripts, codes.tolist(), strict=True):
        examined[row] = True
        if script == "Latn" and score > 0:
            languages[row], confidence[row] = CODE, min(1.0, 0.5 + score / 10)
            second[row] = np.nan_to_num(second[row])
            continue
        answer = identify_text(view[offsets[row] : offsets[row + 1]], script)
        confidence[row], second[row] = _confidence(answer), answer.second
        languages[row] = _tag_after(languages[row], answer, confidence[row])
    return replace(before, languages=languages, confidence=confidence, second=second, examined=examined)


def _confidence(answer: ModelAnswer) -> float:
    """The share of the text in the language; half of it where the model finds its own answer unreliable."""
    return answer.share if answer.reliable else answer.share / 2


def _tag_after(tag: str | None, answer: ModelAnswer, confidence: float) -> str | None:
    if answer.language is None:
        return tag
    if _is_unknown(tag):
        return answer.language
    agrees = answer.language.split("-")[0] == str(canonical(tag)).split("-")[0]
    # what a model takes for Latin is mostly filler text (lorem ipsum), which the rules of the tag's language catch
    return tag if agrees or confidence < CLEAR or answer.language == "la" else answer.language


def _refined(tag: str | None, language: str | None) -> str | None:
    """A tag `zh` becomes zh-Hant or yue where the text is; any other tag is kept."""
    return language if tag == "zh" and "zh" in fallbacks(language) else tag


def _is_unknown(tag: str | None) -> bool:
    return tag is None or tag.split("-")[0] == "und"

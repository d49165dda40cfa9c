"""What is particular to Chinese: its marks and its function words, in simplified and traditional form.

The modern words are the commonest of news and law; the classical ones (之 其 者 亦 何 未 …) let poems and classics
pass: 99.4 % of 9,126 Tang poems, Song ci and Yuan qu hold one, and every text of laws, news, Wikipedia and classics.
"""

from __future__ import annotations

FULL_WIDTH_SPACE = "\u3000"  # indents paragraphs and parts verses: never trimmed at the start of a line
SENTENCE_ENDS = "。！？；…｡．"
FUNCTION_WORDS = tuple(
    "的一是不了在人有我你他她那这這为為之来來去以个個们們也都就要而于於与與和或及其者所因被由中上下到过過说說得对對"
    "无無未没沒自如若何谁誰此年日大可能会會应應当當等将將从從难難复復更还還独獨空皆且亦又已相"
)

"""The kind `word`: one id per word, ordered by falling count; for word vectors and for recurrent models of words.

Words are those of `text.words` (for Han characters, those of jieba), lower-cased by default, without punctuation;
`</s>` follows each sentence, and `<unk>` stands for words that are not in the vocabulary. The tokenizer.json is a
WordLevel model over text split at blanks, so `transformers` can load it for such text; `model.words` records how we
split text into words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from pipeline.core.files import JsonObject
from pipeline.text import chinese_words, unicode
from pipeline.tokenizers.base import TokenizerTrainer
from pipeline.tokenizers.special_tokens import BUILT_IN_SPECIALS, END_OF_SENTENCE, UNKNOWN
from pipeline.tokenizers.tokenizer_json import TokenizerJson
from pipeline.tokenizers.word_encoder import WordCounter, WordEncoder

RULES = "words"  # our key in `model` of tokenizer.json
MIN_COUNT = 5
BATCH_BYTES = 8 << 20


class WordLevel(TokenizerTrainer):
    """The most frequent words that occur at least `min_count` times (5); ids 0 to 2 are `<|endoftext|> <unk> </s>`."""

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        options = self.options
        lowercase = True if options.lowercase is None else options.lowercase
        special = (*BUILT_IN_SPECIALS["word"], *options.specials)
        counter = WordCounter(lowercase=lowercase)
        for column in _columns(texts):
            counter.add(column)
        min_count = MIN_COUNT if options.min_count is None else options.min_count
        # a word with the name of a special token is left out: a name has one id
        words = [word for word in counter.most_frequent(max(0, vocabulary), min_count) if word not in special]
        words = words[: max(0, vocabulary - len(special))]
        return _tokenizer_json(special, words, lowercase=lowercase)


def encoder_of(tokenizer: TokenizerJson) -> WordEncoder | None:
    """The encoder for a parsed tokenizer.json of this kind; None for another kind."""
    rules: JsonObject | None = tokenizer["model"].get(RULES)
    if tokenizer["model"].get("type") != "WordLevel" or not isinstance(rules, dict):
        return None
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    return WordEncoder(
        sorted(vocabulary, key=vocabulary.__getitem__), len(tokenizer["added_tokens"]), unknown=vocabulary[UNKNOWN],
        sentence=vocabulary[END_OF_SENTENCE], lowercase=rules["lowercase"], segmenter=rules["segmenter"],
    )  # fmt: skip


def _columns(texts: Iterable[str]) -> Iterator[pa.LargeStringArray]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_BYTES:
            yield pa.array(batch, pa.large_string())
            batch, size = [], 0
    yield pa.array(batch, pa.large_string())


def _tokenizer_json(special: Sequence[str], words: Sequence[str], *, lowercase: bool) -> str:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    rules = {"lowercase": lowercase, "segmenter": chinese_words.identity(), "unicode": unicode.version()}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": content, **flags} for i, content in enumerate(special)],
        "normalizer": _normalizer() if lowercase else None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {
            "type": "WordLevel", RULES: rules,
            "vocab": {word: i for i, word in enumerate((*special, *words))}, "unk_token": UNKNOWN,
        },
    }  # fmt: skip
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))


def _normalizer() -> JsonObject:
    """How words are normalized, as far as tokenizer.json can express it: for other programs and for single words."""
    apostrophe = {"type": "Replace", "pattern": {"String": "\u2019"}, "content": "'"}
    return {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, apostrophe]}

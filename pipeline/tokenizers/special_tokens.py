"""The names of special tokens, and the special tokens of each kind. Sections read it, so it imports nothing."""

from __future__ import annotations

END_OF_TEXT = "<|endoftext|>"  # id 0 of every tokenizer that we train
UNKNOWN = "<unk>"  # kind `word`: a word that is not in the vocabulary
END_OF_SENTENCE = "</s>"  # kind `word`
BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # Devlin et al. 2019
CONTINUATION = "##"  # kind `wordpiece`: the prefix of a token that continues a word

# in the order of their ids
BUILT_IN_SPECIALS: dict[str, tuple[str, ...]] = {
    "bpe": (END_OF_TEXT,),
    "wordpiece": (END_OF_TEXT, *BERT_SPECIALS),
    "word": (END_OF_TEXT, UNKNOWN, END_OF_SENTENCE),
}

"""Special tokens by name, and which each kind has by itself. Imports nothing: sections read this."""

from __future__ import annotations

END_OF_TEXT = "<|endoftext|>"  # id 0 of every tokenizer that we train
UNKNOWN = "<unk>"  # of the kind `word`: a word that the vocabulary lacks
END_OF_SENTENCE = "</s>"  # of the kind `word`: the end of a sentence
BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # Devlin et al. 2019
CONTINUATION = "##"  # of the kind `wordpiece`: before a piece that stands inside a word

# in the order of their ids
BUILT_IN_SPECIALS: dict[str, tuple[str, ...]] = {
    "bpe": (END_OF_TEXT,),
    "wordpiece": (END_OF_TEXT, *BERT_SPECIALS),
    "word": (END_OF_TEXT, UNKNOWN, END_OF_SENTENCE),
}

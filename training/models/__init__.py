"""Model families: what turns tokens into a loss. One file a family; its options are in `sections/`, without torch."""

from __future__ import annotations

from pipeline.core.registry import Registry

_OPTIONS = "training.models.sections"

# the options of a family, loadable without torch; and its code
SECTIONS = Registry(
    "model family",
    {
        "gpt": f"{_OPTIONS}.gpt:Gpt",
        "bert": f"{_OPTIONS}.bert:Bert",
        "rnn": f"{_OPTIONS}.recurrent:Recurrent",
        "lstm": f"{_OPTIONS}.recurrent:Recurrent",
        "gru": f"{_OPTIONS}.recurrent:Recurrent",
        "bilstm": f"{_OPTIONS}.recurrent:Bilstm",
        "word2vec": f"{_OPTIONS}.vectors:Vectors",
        "glove": f"{_OPTIONS}.vectors:Vectors",
        "hf": f"{_OPTIONS}.hf:Hf",
    },
)
FAMILIES = Registry(
    "model family",
    {
        "gpt": "training.models.gpt:Gpt",
        "bert": "training.models.bert:Bert",
        "rnn": "training.models.recurrent:Rnn",
        "lstm": "training.models.recurrent:Lstm",
        "gru": "training.models.recurrent:Gru",
        "bilstm": "training.models.bilstm:Bilstm",
        "word2vec": "training.models.vectors:Word2vec",
        "glove": "training.models.vectors:Glove",
        "hf": "training.models.hf:Hf",
    },
)

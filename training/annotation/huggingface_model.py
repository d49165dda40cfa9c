"""A model of a local folder of `transformers` as the scorers of `huggingface.py` use it: windows in, values out.

Weights come from safetensors alone, the folder's code is never run, and nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import UserError
from pipeline.core.numerics import ScoreNumerics
from training.annotation.base import Floats
from training.annotation.huggingface_section import ModelFolder, label_names, label_number
from training.engines.device import describe, device
from training.models.hf import import_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TokenWindow(NamedTuple):
    """A window of a document: its place in the list, the tokens with special ones, and how many are not special."""

    document: int
    tokens: list[int]
    size: int


class WindowModel:
    """See the module. `width`: the length of its vectors."""

    def __init__(self, folder: Path, options: ModelFolder, *, threads: int) -> None:
        torch.set_num_threads(threads)
        self.folder, self.options, self.threads = folder, options, threads
        self.transformers = import_transformers()
        self.device = device()
        self.tokenizer = self.transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_fast=True
        )
        self.model: PreTrainedModel

    def open_classifier(self) -> None:
        """Load the model with its classification head."""
        self._open(self.transformers.AutoModelForSequenceClassification, unused="")

    def open_embedding(self) -> None:
        """Load the model without a head."""
        self._open(self.transformers.AutoModel, unused=".pooler.")  # `pooled` reads the states below it

    def _open(self, auto: type[PreTrainedModel], *, unused: str) -> None:
        """Load the model; weights whose name contains `unused` may be missing."""
        try:
            model, loading_info = auto.from_pretrained(
                self.folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False,
                use_safetensors=True, output_loading_info=True,
            )  # fmt: skip
        except Exception as error:  # whatever the library raises, the folder is the reason
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"annotate: {self.options.folder} does not load ({reason}).") from error
        missing = sorted(key for key in loading_info["missing_keys"] if not unused or unused not in f".{key}")
        if missing:
            raise UserError(
                f"annotate: {self.options.folder} lacks {missing[0]} and so is no complete {type(model).__name__}: its "
                "scores would be random. Use a folder that was saved with its head."
            )
        if model.config.get_text_config().pad_token_id is None:
            # windows are not padded: no token is padding, and the last one is the end
            model.config.get_text_config().pad_token_id = -1
        self.model = model.to(self.device).eval()

    @property
    def width(self) -> int:
        return int(self.model.config.get_text_config().hidden_size)

    def numerics(self) -> ScoreNumerics:
        """What decides the last bits."""
        return {
            "device": describe(self.device), "precision": "fp32", "threads": self.threads,
            "torch": torch.__version__, "transformers": self.transformers.__version__,
        }  # fmt: skip

    def windows(self, texts: Sequence[str]) -> list[TokenWindow]:
        """The windows of texts in their order, at most `options.windows` of each; none of a text without a token."""
        if not texts:
            return []
        several = self.options.windows != 1
        encoded = self.tokenizer(
            list(texts), truncation=True, max_length=self.options.max_length, return_overflowing_tokens=several,
            return_special_tokens_mask=True, return_attention_mask=False, return_token_type_ids=False,
        )  # fmt: skip
        documents = encoded["overflow_to_sample_mapping"] if several else range(len(texts))
        windows: list[TokenWindow] = []
        count, before = 0, -1
        for document, tokens, special in zip(
            documents, encoded["input_ids"], encoded["special_tokens_mask"], strict=True
        ):
            count, before = (count + 1 if document == before else 1), document
            size = len(tokens) - sum(special)
            if size and (self.options.windows is None or count <= self.options.windows):
                windows.append(TokenWindow(int(document), list(tokens), size))
        return windows

    def run(self, batch: Sequence[Sequence[int]], values: Callable[[Tensor], Tensor]) -> Floats:
        """`values` of windows of one length, as B rows of float64."""
        with torch.inference_mode():
            tokens = torch.tensor(batch, dtype=torch.long, device=self.device)
            return np.asarray(values(tokens).float().cpu().numpy(), np.float64)

    def label_scores(self, tokens: Tensor, label: str | int | None) -> Tensor:
        """The only output, or the probability of a label: B, 1."""
        logits: Tensor = self.model(input_ids=tokens).logits
        config = self.model.config
        names = label_names(config.to_dict())
        if logits.shape[1] == 1 and label is None:
            return logits
        number = None if label is None else label_number(names, label)
        if number is None:
            raise UserError(f"annotate: {self.options.folder} has the labels {', '.join(names)}. Set label to one.")
        several = config.problem_type == "multi_label_classification" or logits.shape[1] == 1
        probabilities = logits.sigmoid() if several else logits.softmax(-1)
        return probabilities[:, number : number + 1]

    def pooled(self, tokens: Tensor, pooling: Literal["mean", "cls", "last"]) -> Tensor:
        """A vector for each window: B, width."""
        states: Tensor = self.model(input_ids=tokens).last_hidden_state
        return states.mean(1) if pooling == "mean" else states[:, 0] if pooling == "cls" else states[:, -1]

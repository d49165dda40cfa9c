"""The YAML section `semantic`; pydantic only, so that `check` and `plan` stay light."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.core.config import Section
from pipeline.core.files import JsonObject


class Semantic(Section):
    """Removes documents whose vector (the section `embed`) is too much like that of one that stays: SemDeDup.

    A document goes when its cosine with one that stays is `threshold` or more; what a cosine means depends on the model
    of `embed`. Only documents of one cluster are compared: k-means makes clusters of about `cluster_size`. Of documents
    that are alike, `keep` says which stays: the `longest` text, or the one `nearest` to the middle of the cluster or
    `farthest` from it.
    """

    threshold: float = Field(gt=0, le=1)
    keep: Literal["longest", "nearest", "farthest"] = "longest"
    cluster_size: int = Field(2048, ge=64, le=8192)


def semantic_params(section: Semantic, seed: int) -> JsonObject:
    """What enters the fingerprint."""
    return {**section.model_dump(mode="json"), "seed": seed}

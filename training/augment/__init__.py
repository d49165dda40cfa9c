"""Augmentations of training rows, off unless named. To add one: a file, its options in section.py, an entry here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from training.augment.base import Augmentation

_OPTIONS, _CODE = "training.augment.section", "training.augment"

AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    (
        Entry("token_dropout", f"{_OPTIONS}:TokenDropout", f"{_CODE}.token_dropout:TokenDropout"),
        Entry("sentence_shuffling", f"{_OPTIONS}:SentenceShuffling", f"{_CODE}.sentence_shuffling:SentenceShuffling"),
        Entry("span_corruption", f"{_OPTIONS}:SpanCorruption", f"{_CODE}.span_corruption:SpanCorruption"),
        Entry("fill_in_the_middle", f"{_OPTIONS}:FillInTheMiddle", f"{_CODE}.fill_in_the_middle:FillInTheMiddle"),
    ),
    base="training.augment.base:Augmentation",
)

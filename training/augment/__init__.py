"""Augmentations of training rows, off unless named. One file each; their options are in `section.py`, without torch."""

from __future__ import annotations

from pipeline.core.registry import Registry

_CLASSES = {
    "token_dropout": "TokenDropout",
    "sentence_shuffling": "SentenceShuffling",
    "span_corruption": "SpanCorruption",
    "fill_in_the_middle": "FillInTheMiddle",
}

SECTIONS = Registry("augmentation", {name: f"training.augment.section:{kind}" for name, kind in _CLASSES.items()})
AUGMENTATIONS = Registry("augmentation", {name: f"training.augment.{name}:{kind}" for name, kind in _CLASSES.items()})

"""Sets of texts for tests of models that learn from them: prose and noise, in English and in Chinese."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pyarrow as pa

ENGLISH = "the quiet river carries a letter past an old station and nobody in this village has opened it yet".split()
CHINESE = "安静 的 河流 带着 一封 信 经过 古老 的 车站 村子 里 还没有 人 打开 它 今天 天气 很好 我们 去 图书馆".split()


class ListedTexts:
    """Stands for a TextReader: batches of (text, language)."""

    def __init__(self, texts: Sequence[tuple[str, str | None]], batch: int = 40) -> None:
        self.texts, self.batch, self.bad = texts, batch, 0

    def batches(self) -> Iterator[pa.Table]:
        for at in range(0, len(self.texts), self.batch):
            text, language = zip(*self.texts[at : at + self.batch], strict=True)
            yield pa.table([pa.array(text, pa.large_string()), pa.array(language, pa.string())], ["text", "language"])


def prose(n: int, seed: int = 1) -> list[tuple[str, str | None]]:
    """Sentences, half of them English, half Chinese."""
    draw = random.Random(seed)
    pairs: list[tuple[str, str | None]] = []
    for _ in range(n // 2):
        pairs.append((" ".join(draw.choices(ENGLISH, k=20)).capitalize() + ".", "en"))
        pairs.append(("".join(draw.choices(CHINESE, k=20)) + "。", "zh"))
    return pairs


def noise(n: int, seed: int = 2) -> list[tuple[str, str | None]]:
    """Advertisements and numbers, half of them English, half Chinese."""
    draw = random.Random(seed)
    pairs: list[tuple[str, str | None]] = []
    for _ in range(n // 2):
        pairs.append((f"BUY NOW {draw.random()} CLICK HERE {draw.random()} FREE OFFER", "en"))
        pairs.append((f"点击购买{draw.random()}限时优惠{draw.random()}加微信", "zh"))
    return pairs

"""A small run from English and Chinese text to scores: its corpus, its configuration, the digests of its artifacts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

FILES, DOCUMENTS = 6, 250
WORDS = {
    "en": "the quiet river carries a letter nobody has opened yet while old engines wait under warm rain and seven "
    "children count bright stones beside their house before evening comes again from far northern hills".split(),
    "zh": list("安静的河流带着一封信还没有人打开它旧机器在雨里等七个孩子数着石头黄昏又从北方山上来他们回家吃饭说话"),
}
DATA_STAGES = ("ingest", "signals", "clean", "dedupe", "tokenizer", "pack")
CONFIG = """\
name: small
workdir: {workdir}
seed: 17
ingest: {{sources: [{{reader: jsonl, paths: "{corpus}/*.jsonl"}}]}}
dedupe: {{method: minhash, threshold: 0.7}}
tokenizer: {{kind: bpe, vocabulary: 500}}
pack: {{length: 32, validation: 0.1}}
pretrain:
  model: {{family: gpt, layers: 1, heads: 2, width: 32}}
  steps: {steps}
  batch_tokens: 768
  engine: {engine}
  precision: fp32
  save_every: 5
cluster: {cluster}
"""
# the other stages of the whole path, for `whole_path`; they take half of its time
OTHERS = """\
clean: {cleaners: [unicode], filters: [{length: {min_units: 5}}]}
evaluate: {tasks: [perplexity]}
export: {formats: [huggingface]}
"""

Digests = dict[str, str]
"""stage/fingerprint → the digest of the artifact."""


def write_corpus(folder: Path) -> None:
    """Six files of 250 documents, a third of them near duplicates of another; the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = random.Random(17)
    for number in range(FILES):
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in _documents(draws)]
        (folder / f"{number:02}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _documents(draws: random.Random) -> Iterator[str]:
    text = ""
    for _ in range(DOCUMENTS):
        if text and draws.random() < 1 / 3:
            yield text + ("。" if text[-1] > "z" else ".")
            continue
        language = draws.choice(("en", "zh"))
        text = ("" if language == "zh" else " ").join(draws.choices(WORDS[language], k=draws.randint(20, 120)))
        yield text


def configuration(workdir: str, corpus: str, *, cluster: str, engine: str = "plain", steps: int = 20) -> str:
    """The YAML of a short run, from ingest to pretrain; `cluster` and `engine` are sections in flow style."""
    return CONFIG.format(workdir=workdir, corpus=corpus, cluster=cluster, engine=engine, steps=steps)


def whole_path(workdir: str, corpus: str, *, cluster: str, engine: str = "plain", steps: int = 20) -> str:
    """The same with every stage, evaluation and export included."""
    return configuration(workdir, corpus, cluster=cluster, engine=engine, steps=steps) + OTHERS


def digests_of(manifests: Mapping[str, bytes]) -> Digests:
    """From path or key of each manifest → its bytes."""
    found = {key.removesuffix("/manifest.json").rsplit("store/", 1)[1]: body for key, body in manifests.items()}
    return {name: str(json.loads(body)["digest"]) for name, body in sorted(found.items())}


def local_digests(workdir: Path) -> Digests:
    """The digests of the artifacts in a local work directory."""
    return digests_of({path.as_posix(): path.read_bytes() for path in workdir.glob("store/*/*/manifest.json")})


def of_data(digests: Digests) -> Digests:
    """Those of the data stages: equal wherever and however often a run was interrupted."""
    return {name: digest for name, digest in digests.items() if name.split("/")[0] in DATA_STAGES}

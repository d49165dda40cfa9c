"""What scoring documents with a model costs around the model: a bare loop, processes, and Ray Data.

    python tests/benchmarks/bench_annotate.py [--documents 400] [--specs 500]

The first table scores English and Chinese documents with a small Bert in windows of 128 tokens, drawn at random: its
scores mean nothing, its cost does.
"bare loop" calls the model in one process, without files; the others are the whole stage annotate on the local launcher
or on Ray. All of them import torch and transformers, about six CPU-seconds. The second table hands out specs that do
nothing: what a task itself costs. CPU-seconds are of the whole tree of processes, those of Ray included, sampled ten
times a second. About four minutes.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measured import DATA, table

TOY = "--documents 12 --specs 4 --ways local"
WAYS = {"local": ("local", 1), "Ray Data, 1 actor": ("ray", 1), "Ray Data, 2 actors": ("ray", 2)}
SIZE = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
LENGTH = 128
SAMPLE_S = 0.1
HERTZ = os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--documents", type=int, default=400)
    options.add_argument("--specs", type=int, default=500)
    options.add_argument("--ways", nargs="+", default=list(WAYS))
    options.add_argument("--line", nargs=2)
    chosen = options.parse_args()
    if chosen.line:
        return line(chosen.line[0], Path(chosen.line[1]), chosen.specs)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        make(Path(folder), chosen.documents)
        rows: list[list[Any]] = []
        for way in ["bare loop", *chosen.ways]:
            cpu, wall = run(f"score:{way}", folder, chosen.specs)
            loop = rows[0][1] if rows else cpu
            rows.append([way, cpu, wall, chosen.documents / cpu, cpu - loop])
        table(
            f"{chosen.documents} documents, a Bert of 2 layers",
            ["way", "CPU-seconds", "seconds", "documents a CPU-second", "CPU-seconds over the bare loop"], rows,
        )  # fmt: skip
        rows = []
        for way in chosen.ways:
            for call in ("pool", "tasks") if WAYS[way][0] == "ray" else ("pool",):
                base, base_wall = run(f"empty-{call}:{way}", folder, 1)
                cpu, wall = run(f"empty-{call}:{way}", folder, chosen.specs)
                each = 1000 * (cpu - base) / max(1, chosen.specs - 1)
                rows.append([way if call == "pool" else f"{way.replace('Data', 'tasks')}", base, base_wall, cpu, each])
        table(
            f"{chosen.specs} specs that do nothing",
            ["way", "CPU-seconds with 1 spec", "seconds", "CPU-seconds with all", "CPU-ms a spec"], rows,
        )  # fmt: skip
    return None


def run(way: str, folder: str, specs: int) -> tuple[float, float]:
    """CPU-seconds of the tree of processes of one line, and seconds on the wall."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, __file__, "--line", way, folder, "--specs", str(specs)]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        seconds: dict[tuple[int, int], float] = {}
        pids = {process.pid}
        while process.poll() is None:
            sample(pids, seconds)
            time.sleep(SAMPLE_S)
        if process.returncode:
            log.seek(0)
            sys.exit(f"{way} ended with {process.returncode}:\n{log.read().decode()[-4000:]}")
    return sum(seconds.values()), time.monotonic() - start


def sample(pids: set[int], seconds: dict[tuple[int, int], float]) -> None:
    """Add to `pids` the children of known processes, and note the CPU time of each by its number and start."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            stats[int(entry.name)] = (int(fields[1]), int(fields[19]), (int(fields[11]) + int(fields[12])) / HERTZ)
    grown = True
    while grown:
        children = {pid for pid, (parent, _, _) in stats.items() if parent in pids} - pids
        pids |= children
        grown = bool(children)
    seconds.update({(pid, stats[pid][1]): stats[pid][2] for pid in pids if pid in stats})


def make(folder: Path, count: int) -> None:
    """A model of transformers, and an artifact of documents."""
    import pyarrow as pa
    import torch
    import transformers
    from tokenizers import Tokenizer

    from pipeline.core.draft import LocalDraft
    from pipeline.core.files import write_json
    from pipeline.core.manifest import NAME, Manifest, content_digest_of, digest_of
    from pipeline.core.records import DOCUMENTS
    from pipeline.core.shards import ShardWriter, number
    from pipeline.tokenizers.wordpiece import WordPiece

    texts: list[str] = []
    for name in ("en/gutenberg", "zh/zhwiki"):
        with gzip.open(DATA / "corpora" / f"{name}.jsonl.gz") as stream:
            texts += [json.loads(record)["text"][:4000] for record in itertools.islice(stream, count // 2)]
    texts = [texts[at % len(texts)] for at in range(count)]
    rows = [{"id": f"{at:032x}", "text": text, "source": "bench", "metadata": []} for at, text in enumerate(texts)]
    with ShardWriter(folder / "documents", "parts", "0", DOCUMENTS) as shard_writer:
        shard_writer.write(pa.Table.from_pylist(rows, schema=DOCUMENTS))
    assert shard_writer.entry is not None
    files = number(LocalDraft(folder / "documents"), [shard_writer.entry])
    digest = digest_of(files)
    counts: Any = {"in": count, "out": count, "dropped": {}}
    manifest = Manifest(
        "signals", 1, digest, "documents", {}, {}, tuple(files), counts, digest, content_digest_of(files)
    )
    write_json(folder / "documents" / NAME, manifest.to_dict())
    tokenizer = Tokenizer.from_str(WordPiece().train(texts[:200], 4000))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder / "model")
    config = transformers.BertConfig(
        **SIZE, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=LENGTH, num_labels=1
    )
    torch.manual_seed(1)
    transformers.BertForSequenceClassification(config).save_pretrained(folder / "model")


def line(way: str, folder: Path, specs: int) -> None:
    """One way, in a process of its own."""
    import tempfile

    import pyarrow.parquet as pq

    from cluster.launchers import launcher
    from pipeline.core.artifact import Artifact
    from pipeline.core.inputs import Inputs
    from pipeline.core.job import ClusterOptions, Identity, Job, Resources
    from pipeline.core.places import JobPaths
    from training.annotation.section import Annotate, annotate_params, file_sources

    what, _, name = way.partition(":")
    model = {"transformers": {"folder": str(folder / "model"), "max_length": LENGTH}}
    section = Annotate.model_validate({"name": "bench", "model": model})
    if name == "bare loop":
        from training.annotation.worker import create_model

        scorer = create_model("training.annotation:SCORERS", "transformers", section.model.options, 0)
        scorer.load(folder, folder / "model")
        for path in (folder / "documents" / "parts").iterdir():
            print(len(scorer.score(pq.read_table(path, columns=["id", "text", "language"]))))
        return
    kind, workers = WAYS[name]
    cluster = ClusterOptions(launcher=kind, workers=workers)
    root = Path(tempfile.mkdtemp(dir=folder))
    for part in ("folder", "scratch", "metrics"):
        (root / part).mkdir()
    identity = Identity("annotate", 1, "annotations", "", "0" * 64, annotate_params(section, 17), 17)
    job = Job(
        identity, Inputs.of({"documents": Artifact.at(folder / "documents")}),
        JobPaths(root / "folder", root / "scratch", root / "metrics", root / "log.txt"),
        Resources(1, cluster, "cluster.launchers:launcher"), file_sources(section), section.model_dump(mode="json"),
    )  # fmt: skip
    if what == "score":
        from training.stages.annotate import run as annotate

        print(annotate(job).counts["out"])
    elif what == "empty-pool":
        launcher(cluster).pool("builtins:dict", {}, [{"n": n} for n in range(specs)], job=job)
    else:
        launcher(cluster).tasks("builtins:dict", [{"n": n} for n in range(specs)], job=job)


if __name__ == "__main__":
    main()

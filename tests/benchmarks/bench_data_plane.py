"""From JSONL to packed tokens beside datatrove: the same steps, one worker each, on documents that both keep.

    python tests/benchmarks/bench_data_plane.py [--mb 14] [--copies 16] [--peer-copies 2] [--work DIR] [--no-install]

The peer lives in an environment of its own (.venv-peers), made on first use; with --no-install it is left out where it
is not there yet. Figures are CPU-seconds of all processes, start-up included. The rate of the peer does not depend on
the size: it is taken from --peer-copies, since 1 GB would need an hour. Training our tokenizer is left
out on both sides (the peer is given ours).
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from enlarge import enlarged, read, write
from measured import DATA, measure, table

TOY = "--mb 0.05 --copies 1 --no-install"  # the arguments with which the tests run this file

ROOT = Path(__file__).parents[2]
PEER = ROOT / ".venv-peers" / "bin" / "python"
PINS = ["datatrove[io,processing]==0.10.1", "spacy==3.8.18", "ftfy==6.3.1"]
PEER_STEPS = Path(__file__).with_name("peer_datatrove.py")
STAGES = ["ingest", "signals", "clean", "dedupe", "pack"]
CONFIG = """\
name: bench
workdir: {work}
ingest: {{sources: [{{reader: jsonl, paths: "{corpus}/*.jsonl.gz", language: en}}]}}
clean: {{filters: [quality, repetition]}}
dedupe: {{}}
tokenizer: {{vocabulary: 32000}}
pack: {{length: 1024}}
cluster: {{launcher: local, beam: {{workers: 1}}}}
"""


def peer_python(*, install: bool) -> Path | None:
    """The Python of the peer's environment; None where there is none and none is to be made."""
    if not PEER.exists() and not install:
        return None
    if not PEER.exists():
        print("installing the peer (about 0.8 GB) ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", PEER.parents[1]], check=True)
        subprocess.run([PEER, "-m", "pip", "install", "-q", *PINS], check=True)
    return PEER


def ours(corpus: Path, work: Path) -> Path:
    """A configuration of ours over `corpus`; its work directory is `work`."""
    path = work.with_suffix(".yaml")
    path.write_text(CONFIG.format(work=work, corpus=corpus), encoding="utf-8")
    return path


def manifests(work: Path) -> dict[str, Path]:
    return {path.parts[-3]: path for path in work.glob("store/*/*/manifest.json")}


def kept_by_us(work: Path) -> set[str]:
    folder = manifests(work)["dedupe"].parent / "parts"
    return {row for file in folder.iterdir() for row in pq.read_table(file, columns=["source_id"])[0].to_pylist()}


def stage_cpu(work: Path) -> dict[str, float]:
    """CPU-seconds of each stage's process tree, from the journals."""
    return _measured(work, "cpu_seconds")


def _measured(work: Path, figure: str) -> dict[str, float]:
    found = {}
    for stage, path in manifests(work).items():
        lines = [json.loads(line) for line in (path.parent / "journal.jsonl").read_text().splitlines()]
        found[stage] = sum(line.get(figure, 0.0) for line in lines)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mb", type=float, default=14, help="English text to choose from")
    options.add_argument("--copies", type=int, default=16, help="how many times over what both keep is measured")
    options.add_argument("--peer-copies", type=int, help="of them for the peer; by default all")
    options.add_argument("--work", type=Path)
    options.add_argument("--no-install", action="store_true", help="leave the peer out where it is not installed")
    chosen = options.parse_args()
    work = chosen.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    peer, bloomery = peer_python(install=not chosen.no_install), [sys.executable, "-m", "cluster.cli", "run"]

    records, size = [], 0
    mixed = (record for record in read("raw-mixed/*.gz", DATA) if record.get("lang") == "en")
    for record in itertools.chain(read("corpora/en/*.gz", DATA), mixed):
        size += len(record["text"])
        if size > chosen.mb * 1e6:
            break
        records.append({"id": f"r{len(records)}", "text": record["text"]})
    write(records, work / "candidates")
    measure([*bloomery, ours(work / "candidates", work / "choose"), "--to", "tokenizer"])
    tokenizer = manifests(work / "choose")["tokenizer"].parent / "tokenizer.json"
    both = kept_by_us(work / "choose")
    if peer:
        measure([peer, PEER_STEPS, work / "candidates", work / "peer-choose", tokenizer])
        both &= set((work / "peer-choose" / "kept.ids").read_text().split())
    else:
        print(f"datatrove is not installed in {PEER.parents[1]}: left out")
    chosen_records = [record for record in records if record["id"] in both]
    megabytes = write(enlarged(chosen_records, chosen.copies), work / "corpus") / 1e6
    print(f"{len(records):,} documents, {len(both):,} kept, × {chosen.copies} = {megabytes:.1f} MB", flush=True)

    own = measure([*bloomery, ours(work / "corpus", work / "own"), "--to", "pack"])
    peer_copies = chosen.copies if chosen.peer_copies is None else min(chosen.copies, chosen.peer_copies)
    peer_megabytes = write(enlarged(chosen_records, peer_copies), work / "peer-corpus") / 1e6
    their = measure([peer, PEER_STEPS, work / "peer-corpus", work / "peer", tokenizer]) if peer else None
    their_rate = peer_megabytes / their.cpu if their else None
    by_stage, peaks = stage_cpu(work / "own"), _measured(work / "own", "peak_bytes")
    cpu = own.cpu - by_stage["tokenizer"]
    rows: list[list[object]] = []
    if their and their_rate:
        rows.append([f"datatrove 0.10.1, {peer_megabytes:.0f} MB", their.cpu, their_rate, 1.0, ""])
    rows.append(
        ["bloomery, ingest to pack", cpu, megabytes / cpu, megabytes / cpu / their_rate if their_rate else "-", ""]
    )
    rows += [[f"· {stage}", by_stage[stage], megabytes / by_stage[stage], "", peaks[stage] / 2**20] for stage in STAGES]
    rows.append(["· supervisor", cpu - sum(by_stage[stage] for stage in STAGES), "", "", ""])
    header = ["", "CPU-s", "MB per CPU-s", "ratio", "peak, MiB"]
    table(f"{megabytes:.1f} MB of English text, one worker", header, rows)
    print(f"kept of {len(both) * chosen.copies:,}: bloomery {len(kept_by_us(work / 'own')):,}")
    if peer:
        kept = len((work / "peer" / "kept.ids").read_text().split())
        print(f"kept of {len(both) * peer_copies:,}: datatrove {kept:,}")


if __name__ == "__main__":
    main()

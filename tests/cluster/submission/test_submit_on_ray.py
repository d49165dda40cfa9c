"""submit, status, logs and stop against a real head of Ray with token authentication; the plug-ins are the user's."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

SECRET = "correct-horse-battery-staple"
WAIT_S = 600.0
CLEANED = re.compile(r"^\[3/3\] clean +✓", re.MULTILINE)
# a filter that imports a module beside it, shows that it knows the secret, and waits while told to
FILTER = """
import hashlib, time
from pathlib import Path
from pipeline.core.config import Section
from pipeline.core.errors import StageFailed
from pipeline.filters.base import DocumentFilter
from polite_words import RUDE

class Options(Section):
    folder: str
    token: str = ""

class Polite(DocumentFilter):
    Options = Options
    def keep(self, document):
        folder = Path(self.options.folder)
        (folder / "proof").write_text(hashlib.sha256(self.options.token.encode()).hexdigest())
        if (folder / "fail").exists():
            raise StageFailed("clean: the filter was told to fail.")
        while (folder / "wait").exists():
            time.sleep(0.2)
        return RUDE not in document["text"]
"""
CONFIG = """
name: polite
workdir: {workdir}
ingest: {{sources: [{{reader: jsonl, paths: "{folder}/*.jsonl"}}]}}
clean:
  filters: [{{"my_filters:Polite": {{folder: "{folder}", token: "${{PROBE_TOKEN}}"}}}}]
cluster: {{launcher: ray, beam: {{workers: 1}}}}
"""


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """The folder of a user: texts, plug-ins, a configuration; all of it stands for a folder that hosts share."""
    lines = [{"text": text} for text in ("the quiet river", "安静的河流", "a rude word", "还没有人打开它")]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (tmp_path / "my_filters.py").write_text(FILTER, encoding="utf-8")
    (tmp_path / "polite_words.py").write_text("RUDE = 'rude'\n", encoding="utf-8")
    for name in ("work", "local"):
        text = CONFIG.format(folder=tmp_path, workdir=tmp_path / name)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def submit(head: Any, user: Path, *words: str) -> subprocess.Popen[str]:
    return head.command(
        "submit", "work.yaml", *words, "--shared", user, "--address", head.address, cwd=user,
        environment={"PROBE_TOKEN": SECRET},
    )  # fmt: skip


def ask(head: Any, user: Path, *words: str, code: int = 0) -> str:
    process = head.command(*words, "--address", head.address, cwd=user)
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == code, output
    return output


def digests(workdir: Path) -> list[str]:
    """The digests of everything published in a work directory."""
    manifests = sorted(workdir.glob("store/*/*/manifest.json"))
    return sorted(json.loads(path.read_text(encoding="utf-8"))["digest"] for path in manifests)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.2)


def text_files(*folders: Path) -> Iterator[Path]:
    return (path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def test_a_submitted_run_gives_the_same_bytes_and_its_secret_is_in_no_file(ray_head: Any, user: Path) -> None:
    process = submit(ray_head, user)
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, output
    job = re.findall(r"^(polite-\S+): 3 stages", output, re.MULTILINE)[0]
    assert f"{job}: succeeded" in output and CLEANED.search(output)
    assert (user / "proof").read_text(encoding="utf-8") == hashlib.sha256(SECRET.encode()).hexdigest()

    local = ray_head.command("run", "local.yaml", cwd=user, environment={"PROBE_TOKEN": SECRET})
    printed, _ = local.communicate(timeout=WAIT_S)
    assert local.returncode == 0, printed
    assert digests(user / "work") == digests(user / "local") != []

    assert SECRET not in output
    holders = [path for path in text_files(ray_head.folder, user / "work") if SECRET.encode() in path.read_bytes()]
    assert holders == []

    printed = ask(ray_head, user, "status", job)
    assert "succeeded" in printed and f"work directory  {user / 'work'}" in printed
    assert f"\n{job} " in f"\n{ask(ray_head, user, 'status')}"
    assert CLEANED.search(ask(ray_head, user, "logs", job))


def test_a_work_directory_behind_a_url_gets_its_keys_encrypted(
    ray_head: Any, user: Path, s3_server: Any, s3_bucket: str
) -> None:
    """`run` of the same configuration on this machine then finds everything in the store."""
    store = {**s3_server.environment, "PROBE_TOKEN": SECRET}
    passed = [word for name in s3_server.environment for word in ("--env", name)]
    words = ["work.yaml", f"workdir=s3://{s3_bucket}/work"]
    process = ray_head.command(
        "submit", *words, *passed, "--shared", user, "--address", ray_head.address, cwd=user, environment=store
    )
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0 and CLEANED.search(output), output
    key = s3_server.secret_key
    assert key not in output
    assert [path for path in text_files(ray_head.folder) if key.encode() in path.read_bytes()] == []
    local = ray_head.command("run", *words, cwd=user, environment=store)
    printed, _ = local.communicate(timeout=WAIT_S)
    assert local.returncode == 0 and "3 stages, all cached" in printed, printed


def test_the_job_goes_on_when_its_client_is_gone_and_can_be_followed_again(ray_head: Any, user: Path) -> None:
    (user / "wait").touch()
    killed = submit(ray_head, user, "--id", "orphan")
    wait_for(user / "proof")
    killed.kill()
    killed.wait()
    assert "orphan: running for" in ask(ray_head, user, "status", "orphan")

    interrupted = ray_head.command("logs", "orphan", "--follow", "--address", ray_head.address, cwd=user)
    assert interrupted.stdout is not None
    interrupted.stdout.readline()  # it follows
    interrupted.send_signal(signal.SIGINT)
    output, _ = interrupted.communicate(timeout=WAIT_S)
    assert interrupted.returncode == 130 and "orphan: goes on. Follow it again with:" in output

    followed = ray_head.command("logs", "orphan", "--follow", "--address", ray_head.address, cwd=user)
    (user / "wait").unlink()
    output, _ = followed.communicate(timeout=WAIT_S)
    assert followed.returncode == 0 and "orphan: succeeded" in output


def test_a_stopped_job_is_resumed_by_submitting_it_again(ray_head: Any, user: Path) -> None:
    (user / "wait").touch()
    client = submit(ray_head, user, "--id", "halted")
    wait_for(user / "proof")
    assert "halted: stopped after" in ask(ray_head, user, "stop", "halted")
    output, _ = client.communicate(timeout=WAIT_S)
    assert client.returncode == 130 and "To resume, run:" in output
    assert "is over already: stopped" in ask(ray_head, user, "stop", "halted")

    (user / "wait").unlink()
    again = submit(ray_head, user)
    output, _ = again.communicate(timeout=WAIT_S)
    assert again.returncode == 0 and "3 stages, 1 cached" in output


def test_the_exit_code_is_that_of_the_job_and_the_advice_is_to_submit(ray_head: Any, user: Path) -> None:
    (user / "fail").touch()
    process = submit(ray_head, user, "--id", "broken")
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1 and "the filter was told to fail" in output
    assert "broken: failed with exit code 1" in output
    assert "submit work.yaml --address" in output.partition("To resume, run:")[2].splitlines()[1]
    ask(ray_head, user, "logs", "broken", "--follow", code=1)


def test_a_token_that_is_wrong_or_missing_is_one_sentence(ray_head: Any, user: Path) -> None:
    for settings, sentence in (
        ({"RAY_AUTH_TOKEN": "wrong"}, "the cluster refuses this token"),
        ({"RAY_AUTH_TOKEN_PATH": "", "HOME": str(user)}, "the cluster requires a token, and there is none here"),
        ({"RAY_AUTH_TOKEN_PATH": "/no/file"}, "RAY_AUTH_TOKEN_PATH: /no/file cannot be read"),
    ):
        process = ray_head.command("status", "--address", ray_head.address, cwd=user, environment=settings)
        output, _ = process.communicate(timeout=WAIT_S)
        assert process.returncode == 2 and sentence in output and len(output.splitlines()) == 1, output
    assert "nobody: no such job at" in ask(ray_head, user, "status", "nobody", code=2)

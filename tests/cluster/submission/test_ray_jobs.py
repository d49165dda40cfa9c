"""Jobs as the client shows them, and addresses that lead nowhere; no cluster is needed."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from cluster.commands import jobs as commands
from cluster.submission.ray_jobs import RayJobs, SubmittedJob
from pipeline.core.errors import BloomeryError, UserError


@pytest.mark.parametrize(
    ("state", "exit_code", "code"),
    [("SUCCEEDED", 0, 0), ("FAILED", 2, 2), ("FAILED", -9, 137), ("FAILED", None, 1), ("STOPPED", None, 130)],
)
def test_the_exit_code_is_that_of_the_job(state: str, exit_code: int | None, code: int) -> None:
    assert SubmittedJob("x", state, exit_code=exit_code).code == code


def test_a_job_that_left_no_exit_code_is_shown_with_rays_words() -> None:
    lost = SubmittedJob("x", "FAILED", "The actor died: its node is lost.\nmore", started=0.0, ended=65.0)
    assert commands.outcome(lost) == "failed after 1 min 05 s: The actor died: its node is lost."
    failed = SubmittedJob("x", "FAILED", "log tail", exit_code=1, started=0.0, ended=65.0)
    assert commands.outcome(failed) == "failed with exit code 1 after 1 min 05 s"


@pytest.mark.parametrize("address", ["ray://head:10001", "http://", "http://head:port"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="is no address of a head. Write it as http://head:8265"):
        RayJobs(address)


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    with pytest.raises(UserError, match="--address: no Ray answers at 127.0.0.1:9 "):
        RayJobs("127.0.0.1:9")


def test_an_address_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="--address: name the head"):
        commands.address_of(None)
    monkeypatch.setenv("RAY_ADDRESS", "http://a:8265")
    assert commands.address_of(None) == "http://a:8265"
    assert commands.address_of("http://b:8265") == "http://b:8265"


@pytest.fixture
def website() -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>a page</html>")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_another_server_at_the_address_is_one_sentence(website: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp", reason="needs the extra `submit`")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "token")
    with pytest.raises(BloomeryError) as caught:
        RayJobs(website)
    assert "does not answer like a head of Ray" in str(caught.value)

"""Variables that travel encrypted: only a holder of the token reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.submission import sealed
from pipeline.core.errors import UserError

VARIABLES = {"HUB_TOKEN": "correct-horse", "名": "安静的河流"}


def test_what_is_sealed_is_unsealed_with_the_same_token_and_not_readable() -> None:
    text = sealed.seal(VARIABLES, "token")
    assert sealed.unseal(text, "token") == VARIABLES
    assert "correct" not in text and sealed.seal(VARIABLES, "token") != text  # a new salt each time


@pytest.mark.parametrize(
    "change", [lambda text: text[:-8] + "AAAAAAA=", lambda text: "no base64 at all", lambda text: ""]
)
def test_a_changed_text_is_refused(change: object) -> None:
    with pytest.raises(UserError, match="cannot be decrypted"):
        sealed.unseal(change(sealed.seal(VARIABLES, "token")), "token")  # type: ignore[operator]


def test_another_token_is_refused() -> None:
    with pytest.raises(UserError, match="another token than the client"):
        sealed.unseal(sealed.seal(VARIABLES, "token"), "another")


def test_a_process_of_the_job_takes_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "token")
    monkeypatch.setenv(sealed.SEALED, sealed.seal({"PROBE_TOKEN": "correct-horse"}, "token"))
    monkeypatch.delenv("PROBE_TOKEN", raising=False)
    sealed.unseal_environment()
    import os

    assert os.environ["PROBE_TOKEN"] == "correct-horse"
    monkeypatch.delenv("PROBE_TOKEN")


def test_a_node_without_a_token_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(sealed.SEALED, sealed.seal(VARIABLES, "token"))
    with pytest.raises(UserError, match="this node has no token"):
        sealed.unseal_environment()


def test_the_token_is_found_where_ray_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sealed.token({}) is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("home\n", encoding="utf-8")
    (tmp_path / "file").write_text("file\n", encoding="utf-8")
    assert sealed.token({}) == "home"
    assert sealed.token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "file")}) == "file"
    assert sealed.token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "file"), "RAY_AUTH_TOKEN": "value"}) == "value"
    with pytest.raises(UserError, match="cannot be read"):
        sealed.token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "absent")})

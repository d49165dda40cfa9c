"""Environment variables that travel to a job encrypted.

Ray writes the environment of a job into its logs and shows it in its dashboard and API. What the user passes on may be
a secret, so it travels as one sealed variable. The key is derived from Ray's authentication token, which the client and
every node of the cluster hold: whoever has the token may run code on the cluster anyway. AES-256-GCM, HKDF-SHA256.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.errors import UserError

SEALED = "BLOOMERY_SEALED"
TOKEN, TOKEN_PATH = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
SALT_BYTES, NONCE_BYTES = 16, 12
PURPOSE = b"bloomery: environment of a job"


def token(environment: Mapping[str, str] = os.environ) -> str | None:
    """Ray's token, where Ray looks for it: RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token.

    Raises: UserError when RAY_AUTH_TOKEN_PATH names a file that cannot be read.
    """
    if value := environment.get(TOKEN, "").strip():
        return value
    named = environment.get(TOKEN_PATH)
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        if not named:
            return None
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(f"{TOKEN_PATH}: {named} cannot be read ({reason}).") from error


def seal(variables: Mapping[str, str], key: str) -> str:
    """The variables as text that only a holder of `key` can read."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    text = json.dumps(dict(variables), sort_keys=True).encode()
    return base64.urlsafe_b64encode(salt + nonce + AESGCM(_derive(key, salt)).encrypt(nonce, text, PURPOSE)).decode()


def unseal(sealed: str, key: str) -> dict[str, str]:
    """The variables that `seal` took.

    Raises: UserError when the key is another, or the text was changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        data = base64.urlsafe_b64decode(sealed)
        salt, nonce = data[:SALT_BYTES], data[SALT_BYTES : SALT_BYTES + NONCE_BYTES]
        text = AESGCM(_derive(key, salt)).decrypt(nonce, data[SALT_BYTES + NONCE_BYTES :], PURPOSE)
    except (InvalidTag, ValueError) as error:
        raise UserError(
            f"{SEALED}: cannot be decrypted: this node holds another token than the client. "
            f"Give every node the same {TOKEN} or {TOKEN_PATH}."
        ) from error
    variables: dict[str, str] = json.loads(text)
    return variables


def unseal_environment() -> None:
    """Set the sealed variables in this process; Ray calls it at the start of every process of a job.

    Raises: UserError when they cannot be decrypted here.
    """
    sealed = os.environ.get(SEALED)
    if not sealed:
        return
    key = token()
    if key is None:
        raise UserError(f"{SEALED}: this node has no token. Give every node {TOKEN} or {TOKEN_PATH}.")
    os.environ.update(unseal(sealed, key))


def _derive(key: str, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=PURPOSE).derive(key.encode())

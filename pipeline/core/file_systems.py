"""The file system behind a URL: opened once a process, without caches of listings, and its errors in one sentence.

Credentials come from the environment's usual chain (variables, profiles, roles of the machine) and from nowhere else:
a URL that holds some is refused, and no message repeats what a client may have put into its error.
"""

from __future__ import annotations

import errno
import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTRAS = {
    "hf": "hub",
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
}
"""Scheme → the extra of bloomery that installs its library."""
# a connection that is not there is noticed in seconds; a slow one is waited for
CLIENTS = {"retries": {"max_attempts": 3, "mode": "standard"}, "connect_timeout": 5, "read_timeout": 30}
OPTIONS: dict[str, dict[str, object]] = {"s3": {"config_kwargs": CLIENTS}, "s3a": {"config_kwargs": CLIENTS}}
ENVIRONMENT = ("AWS_", "FSSPEC_", "GOOGLE_", "GCS", "STORAGE_EMULATOR_HOST", "AZURE_")
NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound",
                  "DefaultCredentialsError", "ClientAuthenticationError")  # fmt: skip
NO_ANSWER = ("EndpointConnectionError", "ConnectTimeoutError", "ConnectionError", "ClientConnectorError",
             "ConnectionClosedError", "ProxyConnectionError", "ServiceRequestError")  # fmt: skip
# trying these again changes nothing
PERMANENT = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError, ImportError,
             ValueError, TypeError, KeyError)  # fmt: skip
PERMANENT_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def scheme_of(url: str) -> str:
    return url.partition("://")[0]


def refuse_secrets(url: str) -> str | None:
    """What in a URL looks like a credential, by its name and never by its value; None if nothing does."""
    parts = urlsplit(url)
    if ":" in parts.netloc.rpartition("@")[0]:
        return "the URL holds a user and a password"
    if parts.query:
        names = [name for name, value in parse_qsl(parts.query) if value]
        return f"the URL holds the parameter {names[0]!r}" if names else "the URL holds parameters"
    return None


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, and the path in it.

    Raises: UserError when the scheme is unknown or its library is not installed.
    """
    scheme = scheme_of(url)
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith(ENVIRONMENT)))
    system = _open(scheme, url if scheme not in OPTIONS else "", os.getpid(), environment)
    return system, str(system._strip_protocol(url)).rstrip("/")


@lru_cache(maxsize=8)
def _open(scheme: str, url: str, pid: int, environment: tuple[tuple[str, str], ...]) -> AbstractFileSystem:
    """One client for all threads of a process: fsspec would make one for each of them."""
    import fsspec

    options = {"use_listings_cache": False, "skip_instance_cache": True, **OPTIONS.get(scheme, {})}
    try:
        if url:
            return fsspec.core.url_to_fs(url, **options)[0]
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise UserError(missing_library(scheme, error)) from error
    except ValueError as error:
        known = "s3://, gs://, abfs://, file://"
        raise UserError(f"{scheme}:// is no scheme that fsspec knows. Known are {known} and more.") from error


def missing_library(scheme: str, error: ImportError) -> str:
    """What to install for a scheme."""
    if extra := EXTRAS.get(scheme):
        return f"{scheme}:// needs the extra {extra}: pip install 'bloomery[{extra}]'"
    library = (getattr(error.__cause__ or error, "name", None) or scheme).partition(".")[0]
    return f"{scheme}:// needs {library}, which is not installed: pip install {library}"


def is_permanent(error: Exception) -> bool:
    """Whether trying again would change nothing."""
    if isinstance(error, OSError) and error.errno in PERMANENT_ERRNOS:
        return True
    return isinstance(error, PERMANENT) or type(error).__name__ in NO_CREDENTIALS


def already_exists(error: Exception) -> bool:
    """Whether a conditional put was refused: clients raise FileExistsError, or OSError 22 for the same answer."""
    if isinstance(error, FileExistsError):
        return True
    text = f"{type(error).__name__} {error} {error.__cause__}".lower()
    return isinstance(error, OSError) and error.errno == errno.EINVAL and ("precondition" in text or "412" in text)


def sentence_of(error: Exception, scheme: str) -> str:
    """Why an operation failed, without an address or a key that a client may have put into its message."""
    name = type(error).__name__
    if name in NO_CREDENTIALS:
        hint = " (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the machine's role)"
        return f"no credentials were found in the environment{hint if scheme.startswith('s3') else ''}"
    if isinstance(error, PermissionError):
        return "access is denied: the credentials of the environment may not do this, or are not known there"
    if name in NO_ANSWER or isinstance(error, ConnectionError | TimeoutError):
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        where = f" at {urlsplit(endpoint).hostname}" if endpoint and scheme.startswith("s3") else ""
        return f"nothing answers{where}"
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket or folder"
    return without_secrets(str(error).partition("\n")[0].rstrip(".") or name)


def without_secrets(text: str) -> str:
    """The text without users, passwords and parameters of the URLs in it."""
    text = re.sub(r"//[^/@\s]+@", "//", text)
    return re.sub(r"(://[^?\s]+)\?\S+", r"\1", text)

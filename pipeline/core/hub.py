"""Repositories of a Hugging Face hub as raw files: hf:// addresses, pinned to the commit that they mean.

A branch moves: what is listed, hashed and read in one run must be one commit. The token comes from HF_TOKEN alone, not
from a file that a login left, and stands in no message. HF_ENDPOINT names another hub.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from pipeline.core.errors import UserError

SCHEME = "hf"
TOKEN = "HF_TOKEN"
TIMEOUT_S = 20.0
ADDRESS = re.compile(
    r"hf://(?:(?P<kind>datasets|spaces|models)/)?(?P<name>(?!(?:datasets|spaces|models)/)[^/@]+/[^/@]+)"
    r"(?:@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+))?(?P<path>/.*)?"
)
COMMIT = re.compile(r"hf://(?P<repository>[^@]+)@(?P<commit>[0-9a-f]{40})(?:/|$)")


class Commit(NamedTuple):
    """A repository, as an address names it without its revision, and one of its commits."""

    repository: str
    commit: str


def is_hub(address: str) -> bool:
    """Whether an address is of a hub."""
    return address.startswith(f"{SCHEME}://")


def storage_options(address: str) -> dict[str, str | bool]:
    """What fsspec gives the file system of an address: the token of the environment, or none at all."""
    return {"token": os.environ.get(TOKEN) or False} if is_hub(address) else {}


def options_to_read(address: str) -> dict[str, str | bool]:
    """As `storage_options`, for a file that is read now.

    Stages run with the client of the hub offline, so that no library fetches a model unasked. Who names an hf://
    address has asked: from here on this process may read. Where the user is offline, `pinned` has refused before.
    """
    if is_hub(address):
        from huggingface_hub import constants

        constants.HF_HUB_OFFLINE = False
    return storage_options(address)


def pinned(address: str) -> str:
    """The address with the commit that its revision means now.

    Raises: UserError when it names no repository, or when the hub does not show it to us.
    """
    if address.startswith(f"{SCHEME}://buckets/"):
        raise UserError(f"{address}: a bucket has no commits, so nothing tells what was read. Name a dataset.")
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise UserError(f"{address}: names no repository. Write hf://datasets/OWNER/NAME/PATH.")
    kind, revision = parts["kind"] or "models", parts["revision"]
    commit = _commit(parts["name"], kind, unquote(revision) if revision else None)
    prefix = "" if kind == "models" else f"{kind}/"
    return f"{SCHEME}://{prefix}{parts['name']}@{quote(commit, safe='')}{parts['path'] or ''}"


def commit_of(address: str) -> Commit | None:
    """The repository and the commit of a pinned address; None for any other."""
    parts = COMMIT.match(address)
    return None if parts is None else Commit(f"{SCHEME}://{parts['repository']}", parts["commit"])


def _commit(name: str, kind: str, revision: str | None) -> str:
    from huggingface_hub import HfApi

    place = f"{SCHEME}://{'' if kind == 'models' else f'{kind}/'}{name}"
    api = HfApi(token=os.environ.get(TOKEN) or False)
    try:
        commit = api.repo_info(name, revision=revision, repo_type=kind.removesuffix("s"), timeout=TIMEOUT_S).sha
    except Exception as error:  # of huggingface_hub, and of the HTTP client below it
        raise UserError(f"{place}: {_reason(error, revision, kind.removesuffix('s'))}") from error
    if not commit:
        raise UserError(f"{place}: the hub names no commit of it. Name one: {place}@COMMIT.")
    return commit


def _reason(error: Exception, revision: str | None, kind: str) -> str:
    """Why the hub does not show a repository, and what to do; nothing of what a client put into its error."""
    names = {each.__name__ for each in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "RevisionNotFoundError" in names:
        return f"has no revision {revision!r}. Name a branch, a tag or a commit that it has."
    if "GatedRepoError" in names or status == 403:
        return f"access is not granted to this account. Ask for it on the page of the {kind}, and set {TOKEN}."
    if status == 401:
        if os.environ.get(TOKEN):
            return f"is private or does not exist: {TOKEN} does not open it. Check the name and the token."
        return f"is private or does not exist, and {TOKEN} is not set. Check the name, or set {TOKEN} to a token."
    if "RepositoryNotFoundError" in names or status == 404:
        return f"there is no such {kind}. Check the owner and the name."
    if "OfflineModeIsEnabled" in names:
        return "HF_HUB_OFFLINE is set, so nothing is asked. Unset it."
    if "HFValidationError" in names:
        return "is no name of a repository. Write OWNER/NAME."
    if status is not None:
        return f"the hub answers with status {status}. Try again later."
    host = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co").hostname
    return f"nothing answers at {host}. Check the network, or download the files and name their folder."

"""Raw files behind an address that fsspec knows: listed, with what tells one version of a file from another.

As on this machine, an address that is the very name of a file or folder means that; only otherwise is it a pattern.
"""

from __future__ import annotations

import glob
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.core import hub
from pipeline.core.errors import UserError
from pipeline.core.file_systems import missing_library
from pipeline.core.files import JsonValue, RawFile

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# what object stores call the identity of a file's content
VERSIONS = ("ETag", "etag", "e_tag", "VersionId", "version_id", "generation", "md5Hash", "content_md5", "blob_id")
TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")
Info = Mapping[str, JsonValue]


def match_remote(address: str) -> list[RawFile]:
    """The files that match, in no order.

    Raises: UserError when the scheme or its library is unknown here, or when the place cannot be listed.
    """
    if f"::{hub.SCHEME}://" in address:  # it would be pinned to no commit, and read with no token of the environment
        raise UserError(f"{address}: an hf:// address cannot stand behind another. Download the file and name it.")
    if hub.is_hub(address):
        _require(address, "huggingface_hub")
        address = hub.pinned(address)
    system, path = _open(address)
    try:
        matches, root = _listed(system, path)
    except FileNotFoundError:
        return []
    except Exception as error:  # every library raises errors of its own: no credentials, no network, no such bucket
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{address}: cannot be listed: {reason.rstrip('.')}. Check the address and the access."
        ) from error
    return [_raw_file(system, name, info, root) for name, info in matches.items() if info.get("type") == "file"]


def _require(address: str, library: str) -> None:
    if importlib.util.find_spec(library) is None:
        raise UserError(f"{address}: {missing_library(hub.SCHEME, ImportError(name=library))}")


def glob_root(pattern: str) -> str:
    """The folder above the first part that holds a wildcard; for a plain path, the folder it lies in."""
    parts = pattern.split("/")
    for index, part in enumerate(parts):
        if glob.has_magic(part):
            return "/".join(parts[:index])
    return "/".join(parts[:-1])


def _open(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address, and the path within it."""
    import fsspec

    scheme = address.partition("://")[0].rpartition("::")[2]
    try:
        system, path = fsspec.core.url_to_fs(address, **hub.storage_options(address))
    except ImportError as error:
        raise UserError(missing_library(scheme, error)) from error
    except ValueError as error:
        if scheme in fsspec.available_protocols():
            raise UserError(f"{address}: {str(error).rstrip('.')}. Check the address.") from error
        examples = "s3://, gs://, az://, https://, hf://"
        raise UserError(
            f"{scheme}:// is no scheme that fsspec knows ({address}). Known are {examples} and more."
        ) from error
    return system, str(path)


def _listed(system: AbstractFileSystem, path: str) -> tuple[dict[str, Info], str]:
    """Every file that matches by its path, and the folder that names are relative to."""
    try:
        info: Info = system.info(path)
    except FileNotFoundError:
        if not glob.has_magic(path):
            raise
        return dict(system.glob(path, detail=True)), glob_root(path)
    if info.get("type") != "directory":
        return {path: info}, path.rpartition("/")[0]
    root = path.rstrip("/")
    below = dict(system.find(path, detail=True))
    # as on this machine: no name that begins with a dot
    return {name: item for name, item in below.items() if "/." not in name[len(root) :]}, root


def _raw_file(system: AbstractFileSystem, path: str, info: Info, root: str) -> RawFile:
    relative = path[len(root) :].lstrip("/") if root and path.startswith(root) else path
    stamp = next((info[key] for key in TIMES if info.get(key)), 0.0)
    mtime = float(stamp.timestamp()) if hasattr(stamp, "timestamp") else _number(stamp)
    version = next((str(info[key]) for key in VERSIONS if info.get(key)), "") or (str(stamp) if stamp else "")
    return RawFile(system.unstrip_protocol(path), relative, int(info.get("size") or 0), mtime, version)


def _number(stamp: str | float) -> float:
    try:
        return float(stamp)
    except (TypeError, ValueError):  # a date in words, as HTTP gives it: `version` holds it
        return 0.0

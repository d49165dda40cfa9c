"""The network interface of a worker: the one with its node's own address.

By default gloo and NCCL take the address that the host's name resolves to, or the first interface. On Debian
and Ubuntu the name resolves to 127.0.1.1, at which no other host answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def interface_of(address: str, interfaces: Mapping[str, Sequence[str]]) -> str | None:
    """The name of the interface with this address; `interfaces` maps each name to its addresses."""
    plain = address.partition("%")[0].lower()  # an IPv6 address may name its zone
    for name, addresses in interfaces.items():
        if plain in (candidate.partition("%")[0].lower() for candidate in addresses):
            return name
    return None


def socket_settings(
    address: str, environment: Mapping[str, str], interfaces: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Environment variables for gloo and NCCL on a node with this address; variables that the user has set are kept."""
    name = interface_of(address, interfaces)
    if name is None:
        return {}
    # NCCL takes a bare name for a prefix: eth1 would stand for eth10 too
    settings = {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": f"={name}"}
    return {variable: value for variable, value in settings.items() if not environment.get(variable)}


def local_interfaces() -> dict[str, list[str]]:
    """Every interface of this host with its IPv4 and IPv6 addresses."""
    import psutil  # type: ignore[import-untyped]

    return {name: [entry.address for entry in entries] for name, entries in psutil.net_if_addrs().items()}

"""A worker talks through the interface of its node's address."""

from __future__ import annotations

import pytest

from cluster.launchers.network import interface_of, local_interfaces, socket_settings

INTERFACES = {
    "lo": ["127.0.0.1", "::1"],
    "eth1": ["10.0.0.7", "fe80::1%eth1"],
    "eth10": ["10.0.0.70", "2001:db8::70"],
}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("127.0.0.1", "lo"), ("10.0.0.7", "eth1"), ("10.0.0.70", "eth10"), ("2001:DB8::70", "eth10"),
        ("fe80::1", "eth1"), ("10.0.0.9", None), ("127.0.1.1", None),
    ],
)  # fmt: skip
def test_an_interface_is_found_by_its_address(address: str, name: str | None) -> None:
    assert interface_of(address, INTERFACES) == name


def test_gloo_and_nccl_get_the_interface_of_the_node() -> None:
    settings = {"GLOO_SOCKET_IFNAME": "eth1", "NCCL_SOCKET_IFNAME": "=eth1"}
    assert socket_settings("10.0.0.7", {}, INTERFACES) == settings


def test_the_setting_of_the_user_wins() -> None:
    own = {"GLOO_SOCKET_IFNAME": "eth10"}
    assert socket_settings("10.0.0.7", own, INTERFACES) == {"NCCL_SOCKET_IFNAME": "=eth1"}


def test_nothing_is_set_where_no_interface_has_the_address() -> None:
    assert socket_settings("192.0.2.1", {}, INTERFACES) == {}


def test_the_loopback_interface_of_this_host_is_found() -> None:
    name = interface_of("127.0.0.1", local_interfaces())
    assert name is not None
    assert name.startswith("lo")

"""What a bridge behind NAT says of its addresses."""

from __future__ import annotations

import pytest

from vestibule.bridge_addresses import mappings

BOTH = {"ipv4": "10.0.0.5", "ipv6": "2001:db8::5"}


@pytest.mark.parametrize(
    ("public", "own", "expected"),
    [
        pytest.param([], BOTH, [], id="none"),
        pytest.param(["203.0.113.7"], BOTH, [("10.0.0.5", "203.0.113.7")], id="NAT"),
        pytest.param(["10.0.0.5"], BOTH, [], id="its own"),
        pytest.param(["2001:db8:1::7"], BOTH, [("2001:db8::5", "2001:db8:1::7")], id="IPv6"),
        pytest.param(["2001:db8:1::7"], {**BOTH, "ipv6": ""}, [], id="no IPv6 there"),
        pytest.param(
            ["203.0.113.7", "198.51.100.7"],
            BOTH,
            [("10.0.0.5", "203.0.113.7"), ("10.0.0.5", "198.51.100.7")],
            id="two ways in",
        ),
    ],
)
def test_public_addresses_stand_for_those_of_the_host(
    public: list[str], own: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    found = [tuple(each.values()) for each in mappings(public, own)]
    assert found == expected

"""The filter packages_missing: what is to be installed."""

from __future__ import annotations

import pytest

from filter_plugins.packages_missing import packages_missing

THERE = {"nginx": "1.26.3-3", "openssl": "3.5.1-1"}


@pytest.mark.parametrize(
    ("versions", "missing"),
    [
        pytest.param({}, ["prosody"], id="any version will do"),
        pytest.param({"nginx": "1.26.3-3"}, ["prosody"], id="the version is there"),
        pytest.param({"nginx": "1.26.3-4"}, ["prosody", "nginx"], id="another version is there"),
        pytest.param({"lua-sec": "1.3.2-2"}, ["prosody"], id="a version of something else"),
    ],
)
def test_what_the_host_lacks(versions: dict[str, str], missing: list[str]) -> None:
    assert packages_missing(["prosody", "nginx", "openssl"], THERE, versions) == missing


def test_nothing_is_missing_of_nothing() -> None:
    assert packages_missing([], THERE) == []

"""The filter upstream_version: the number that a program's authors gave what a package brings."""

from __future__ import annotations

import pytest

from filter_plugins.upstream_version import upstream_version


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("13.0.1-1+deb13u1", "13.0.1"),
        ("0.12.3", "0.12.3"),
        ("1:1.28.0-1", "1.28.0"),
        ("13.0.2~nightly45-1~trixie", "13.0.2"),
    ],
)
def test_what_the_distribution_added_is_left_out(version: str, number: str) -> None:
    assert upstream_version("prosody", [{"prosody": version}]) == number


@pytest.mark.parametrize(
    ("known", "number"),
    [
        pytest.param([{"nginx": "1.22.1-9"}, {"nginx": "1.26.3-3"}], "1.22.1", id="the first"),
        pytest.param([{}, {"nginx": "1.26.3-3"}], "1.26.3", id="the only one"),
        pytest.param([{"openssl": "3.5"}, {}], "1.25.1", id="none"),
        pytest.param([{"nginx": "unknown"}], "1.25.1", id="no number"),
    ],
)
def test_of_what_is_known_the_first_counts(known: list[dict[str, str]], number: str) -> None:
    assert upstream_version("nginx", known, "1.25.1") == number


def test_a_package_that_nobody_has_has_no_version() -> None:
    assert upstream_version("prosody", [{}]) == ""

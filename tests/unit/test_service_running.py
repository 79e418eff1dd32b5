"""Module ``service_running``: what has to be done to a service, and what its log says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.module_utils.vestibule.services import Service

import service_running
from service_running import (
    NotUpError,
    describe,
    is_coming,
    refuse_impossible,
    steps,
    telling,
)

UP = Service(
    "jicofo", "loaded", "active", "running", "enabled", main=7, processes=(7,),
    listeners=frozenset({"127.0.0.1:8888"}),
)  # fmt: skip
# An init script that ended, and a process that listens nowhere
EXITED = Service("jicofo", "loaded", "active", "exited", "generated")
MUTE = Service("jicofo", "loaded", "active", "running", "enabled", main=7, processes=(7,))
DOWN = Service("jicofo", "loaded", "failed", "failed", "enabled")
OFF = Service("jicofo", "loaded", "inactive", "dead", "disabled")


@pytest.mark.parametrize(
    ("service", "state", "expected"),
    [
        pytest.param(UP, "started", [], id="it runs"),
        pytest.param(UP, "restarted", ["restarted"], id="it has to read its files"),
        pytest.param(UP, "reloaded", ["reloaded"], id="it can read its files"),
        pytest.param(EXITED, "started", ["restarted"], id="systemd believes that it runs"),
        pytest.param(MUTE, "started", ["restarted"], id="it listens nowhere"),
        pytest.param(EXITED, "reloaded", ["restarted"], id="there is nothing to reload"),
        pytest.param(DOWN, "started", ["started"], id="it failed"),
        pytest.param(DOWN, "reloaded", ["started"], id="it failed, so a reload is no help"),
        pytest.param(OFF, "started", ["enabled", "started"], id="somebody switched it off"),
    ],
)
def test_what_has_to_be_done(service: Service, state: str, expected: list[str]) -> None:
    assert steps(service, state) == expected


def test_what_has_just_been_started_is_left_to_come_up() -> None:
    assert is_coming(replace(MUTE, started=100.0), now=110.0)
    assert not is_coming(replace(MUTE, started=100.0), now=200.0)
    assert not is_coming(replace(EXITED, started=100.0), now=110.0)


def test_it_is_described_as_it_is() -> None:
    assert describe(EXITED) == "active (exited), no process, listens nowhere"
    assert describe(UP) == "active (running), process 7, listens on 127.0.0.1:8888"


def test_what_only_the_operator_can_decide_is_refused() -> None:
    with pytest.raises(NotUpError, match="Run `systemctl unmask jicofo` on the host"):
        refuse_impossible(Service("jicofo", "masked"))
    with pytest.raises(NotUpError, match="Install its package first"):
        refuse_impossible(Service("jicofo"))


def test_the_telling_lines_of_a_log_are_shown() -> None:
    log = "starting\nInvalid maximum heap size: -Xmxlots\nError: no JVM\n\x1b[31mbye\n"
    assert telling(log) == ["Invalid maximum heap size: -Xmxlots", "Error: no JVM"]
    assert telling("one\n\n\x1btwo\n") == ["one", "two"]
    assert telling("error eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.x") == ["error (token removed)"]
    assert all(len(line) <= service_running._WIDTH for line in telling("error " + "x" * 999))
    assert len(telling("".join(f"error {number}\n" for number in range(99)))) == 6

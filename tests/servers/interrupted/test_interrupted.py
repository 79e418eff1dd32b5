"""Runs that end half way: the next one brings the server where it would have come to.

Each test goes on with the server as the one before left it, as deployments take their time. The
points are other ones every day; VESTIBULE_INTERRUPTED has another seed than the date, or "all".
"""

from __future__ import annotations

import datetime
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from rig.podman import CONTAINER_PREFIX, Podman
from tests.servers.support import ROOT, Deployment, Server, differences, with_all

from .runs import FIRST, SECOND, Operator, faults, of_any_server, state_of

_WORD = os.environ.get("VESTIBULE_INTERRUPTED", "")
_ALL = _WORD == "all"
SEED = _WORD if _WORD and not _ALL else f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
_CHANGING = 2  # runs that are cut off while they change a server, on an ordinary day
_STEPS = 20  # of which some are played: shares of the tasks of a run
# Of a first run: a task, and seconds after which the controller is killed
_FRESH: list[tuple[str, float]] = [
    ("prosody : Packages | Install Prosody without starting it", 0),
    ("prosody : Packages | Install Prosody without starting it", 6),
    ("prosody : Packages | Install Prosody without starting it", 15),
    ("jitsi_tokens : Packages | Install the packages", 0),
    ("jitsi_tokens : Packages | Install the packages", 4),
    ("jitsi_tokens : Packages | Install the packages", 8),
    ("jicofo : Configure | Write jicofo.conf", 0),
    ("prosody : Start | Create the accounts and their contacts", 0),
    ("jitsi_web : Install | Install nginx without starting it", 3),
    ("coturn : Start | Enable and start TURN, or restart it where something changed", 0),
]
_PLACE = ROOT / "build" / "interrupted"
_INSTALL = "jitsi_tokens : Packages | Install the packages"


def sample(kind: str, points: list[Any], number: int) -> list[Any]:
    """Those of today, or all."""
    return points if _ALL else random.Random(f"{SEED} {kind}").sample(points, number)  # noqa: S311


def succeeds(run: Deployment) -> Deployment:
    assert run.returncode == 0, run.output[-5000:]
    return run


def note(kind: str, point: object, what: str) -> None:
    """Write down what was played, for the table of scripts/test interrupted --all."""
    _PLACE.mkdir(parents=True, exist_ok=True)
    with (_PLACE / "played.tsv").open("a", encoding="utf-8") as file:
        file.write(f"{kind}\t{point}\t{what}\n")


def is_played(kind: str, point: object) -> bool:
    """Whether an earlier session of --all has played it."""
    path = _PLACE / "played.tsv"
    return _ALL and path.exists() and f"{kind}\t{point}\t" in path.read_text(encoding="utf-8")


def rig(*words: str) -> None:
    """A command of the rig."""
    subprocess.run([sys.executable, "-m", "rig", *words], check=True, cwd=ROOT)


def boot(server: Server) -> None:
    """A server that is fresh, or one that was stopped."""
    rig("up", "--image=debian13", "--stocked", server.name)


@pytest.fixture(name="first", scope="module")
def _first(server: Server, operator: Operator, request: pytest.FixtureRequest) -> dict[str, str]:
    """The server after the first wish; with all points, its first run was cut off at each."""
    if not _ALL:
        succeeds(operator.deploy(FIRST))
        return state_of(server)
    calm: Future[dict[str, str]] = request.getfixturevalue("uninterrupted")
    for number, (task, after) in enumerate(_FRESH):
        if is_played("fresh", (task, after)) and number < len(_FRESH) - 1:
            continue
        if number:
            rig("down", server.name)
            boot(server)
            rig("serve", server.name)
        cut = operator.cut_off(FIRST, task, after)
        assert cut.returncode != 0, cut.output[-3000:]
        run = succeeds(operator.deploy(FIRST))
        assert "was cut off: root on " in " ".join(run.output.split()), task
        assert faults(server) == [], task
        found = differences(calm.result(), of_any_server(state_of(server)))
        assert found == [], task
        note("fresh", (task, after), "converged, and is as one that was not cut off")
    return state_of(server)


def test_the_first_run_leaves_nothing_unread(server: Server, first: Mapping[str, str]) -> None:
    assert first
    assert faults(server) == []


@pytest.fixture(name="states", scope="module")
def _states(
    server: Server, operator: Operator, first: dict[str, str]
) -> list[tuple[Mapping[str, Any], dict[str, str], int]]:
    """Both wishes, what the server is like with each, and how many tasks lead there."""
    succeeds(operator.deploy(SECOND))
    tasks = len(operator.tasks())
    assert faults(server) == []
    second = state_of(server)
    assert differences(first, second) != []
    succeeds(operator.deploy(FIRST))
    back = len(operator.tasks())
    assert differences(first, state_of(server)) == []
    return [(SECOND, second, tasks), (FIRST, first, back)]


@pytest.mark.parametrize(
    ("turn", "step"),
    list(enumerate(sample("changing", list(range(1, _STEPS)), _CHANGING))),
)
def test_a_change_that_was_cut_off_is_completed(
    server: Server,
    operator: Operator,
    states: list[tuple[Mapping[str, Any], dict[str, str], int]],
    turn: int,
    step: int,
) -> None:
    if all(is_played("changing", (way, step)) for way in range(len(states))):
        return
    # From one to the other, always both: the server has to be where the first of them begins
    for way in range(len(states)) if _ALL else [turn % 2]:
        wish, state, tasks = states[way]
        cut = operator.cut_off(wish, tasks * step // _STEPS)
        assert cut.returncode != 0
        succeeds(operator.deploy(wish))
        assert faults(server) == [], cut.tasks[-1]
        assert differences(state, state_of(server)) == [], cut.tasks[-1]
        note("changing", (way, step), f"{cut.tasks[-1]}: converged")


@with_all
def test_the_other_operator_is_named(server: Server, operator: Operator, other: Operator) -> None:
    """While one deploys, and after that one was killed. Its host notices, without anything else."""
    wish = {**FIRST, "jitsi_token_issuer": "two-at-once"}
    taken = "Let no other run change this host meanwhile"
    with operator.begin(wish) as process:
        while not server.run("grep -s holder /run/vestibule/lease.json || true"):
            assert process.poll() is None, taken
            time.sleep(0.2)
        refused = other.deploy(FIRST)
        output = process.communicate()[0]
    assert process.returncode == 0, output[-3000:]
    assert refused.returncode != 0
    assert refused.recap["changed"] == 0
    assert re.search(
        r"Another run deploys to interrupted: root on \S+, since [\d:]+ UTC \(\d+ s ago\)",
        " ".join(refused.messages[-1].split()),
    )
    # Given back, also to one that only looks
    assert "holder" not in server.run("cat /run/vestibule/lease.json")
    assert succeeds(other.deploy(wish, "--check", "--skip-tags=jitsi_verify")).recap["changed"] == 0
    assert "holder" not in server.run("cat /run/vestibule/lease.json")


def restart(server: Server) -> None:
    """Cut the power, and boot."""
    podman = Podman()
    podman("kill", "--signal=KILL", CONTAINER_PREFIX + server.name)
    boot(server)


_WAIT_FOR_DPKG = "timeout 300 sh -c 'until pgrep -x dpkg > /dev/null; do sleep 0.05; done'"


@pytest.mark.parametrize("what", ["power", "connection", "dpkg"] if _ALL else ["power"])
def test_an_installation_that_was_cut_off_is_finished(
    server: Server,
    operator: Operator,
    states: list[tuple[Mapping[str, Any], dict[str, str], int]],
    what: str,
) -> None:
    """By a power failure, a connection that is lost, and a dpkg that is killed, to and fro."""
    (second, state, _), (first, before, _) = states

    def act() -> None:
        server.run(_WAIT_FOR_DPKG)
        if what == "connection":
            server.run("pkill -KILL sshd-session")
        elif what == "dpkg":
            server.run("pkill -KILL apt-get; pkill -KILL dpkg", ok=(0, 1))
        else:
            restart(server)

    wish, wanted = (second, state) if what != "connection" else (first, before)
    cut = operator.interrupted(wish, lambda task: task == _INSTALL, act)
    assert cut.returncode != 0, cut.output[-3000:]
    succeeds(operator.deploy(wish))
    assert faults(server) == []
    assert differences(wanted, state_of(server)) == []
    note(what, _INSTALL, "converged")

"""One deployment to a host at a time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import lease, moments

import deployment_lease
from vestibule import deployments
from vestibule.deployments import holder, is_free, refusal

OTHER = {"who": "ada", "where": "laptop", "machine": "m", "process": 1, "began": "1", "run": "m1"}


def seen(**more: Any) -> dict[str, Any]:
    """What a look tells of the lease of another controller."""
    return {"mark": "7", "holder": OTHER, "since": 0.0, "age": 60.0, "connected": True, **more}


@pytest.mark.parametrize(
    ("found", "free"),
    [
        pytest.param(seen(), False, id="at work"),
        pytest.param(seen(holder={}), True, id="nobody"),
        pytest.param(seen(age=4000), False, id="long, and connected"),
        pytest.param(seen(age=22000), True, id="not for ever"),
        pytest.param(seen(connected=False), False, id="between two connections"),
        pytest.param(seen(connected=False, age=901), True, id="gone"),
    ],
)
def test_a_run_of_another_controller_ends_by_its_connection_and_its_time(
    found: dict[str, Any], free: bool
) -> None:
    assert is_free(found, holder()) is free


def test_a_run_of_this_controller_ends_with_its_process() -> None:
    own = holder()
    assert own["process"] == os.getpid()
    assert is_free(seen(holder=own), own)
    with subprocess.Popen(["sleep", "60"]) as process:
        other = {
            **own,
            "process": process.pid,
            "began": deployments._began(process.pid),
            "run": "another",
        }
        assert not is_free(seen(holder=other), own)
        # Another program has got its number
        assert is_free(seen(holder={**other, "began": "1"}), own)
        process.kill()
    assert is_free(seen(holder=other), own)


def test_the_refusal_names_who_and_since_when() -> None:
    said = refusal(seen(since=36000.0, age=300.0), "meet")
    assert "Another run deploys to meet: ada on laptop, since 10:00:00 UTC (5 min ago)." in said
    assert "rm /run/vestibule/lease.json on meet" in said


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lease is."""
    path = tmp_path / "run" / "lease.json"
    monkeypatch.setattr(lease, "PLACE", str(path))
    monkeypatch.setattr(moments, "remove", list)
    return path


def test_it_is_taken_where_nobody_took_it_since_the_look() -> None:
    mark = lease.look()["mark"]
    assert deployment_lease.run("taken", mark, OTHER)["held"]
    assert lease.look()["holder"] == OTHER
    # The same run once more, and another that had looked at the same time
    assert deployment_lease.run("taken", mark, OTHER)["held"]
    late = deployment_lease.run("taken", mark, {**OTHER, "run": "m2"})
    assert (late["held"], late["lease"]["holder"]) == (False, OTHER)
    # Nor can it be given back by another
    deployment_lease.run("released", "", {**OTHER, "run": "m2"})
    assert lease.look()["holder"] == OTHER
    deployment_lease.run("released", "", OTHER)
    assert lease.look()["holder"] == {}
    # Who had looked before that may not go by what it saw
    assert not deployment_lease.run("taken", mark, {**OTHER, "run": "m2"})["held"]
    assert deployment_lease.run("taken", lease.look()["mark"], {**OTHER, "run": "m2"})["held"]


def test_what_is_no_lease_counts_as_none(place: Path) -> None:
    place.parent.mkdir()
    place.write_text('{"mark": ')
    assert lease.look()["holder"] == {}


def test_its_connection_is_the_process_of_ssh() -> None:
    own = {"process": os.getpid(), "began": lease._stat(os.getpid())[2]}
    assert lease._lives(own)
    assert not lease._lives({**own, "began": 1})
    assert lease._lives({})  # nobody can say that it is gone

"""What a service runs, compared with what lies on the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.vestibule import services
from ansible.module_utils.vestibule.services import Service, outdated, parse_time

RUNS = Service("nginx", active="active", processes=(1,), began=100.0, read=200.0)
STAMP = "Sat 2026-11-21 08:49:57.364328 UTC"
MOMENT = 1795250997.364328


def test_the_time_of_a_start_is_read() -> None:
    assert parse_time(STAMP) == MOMENT
    assert parse_time("") == float("inf")


@pytest.mark.parametrize(
    ("service", "moment", "written", "expected"),
    [
        pytest.param(RUNS, 150.0, 150.0, ["nginx", "{path}"], id="both came later"),
        pytest.param(RUNS, 50.0, 50.0, [], id="it started later"),
        pytest.param(replace(RUNS, active="inactive"), 150.0, 150.0, [], id="it does not run"),
        pytest.param(replace(RUNS, processes=()), 150.0, 150.0, [], id="its process is gone"),
        pytest.param(replace(RUNS, has_other_unit=True), 50, 50, ["nginx.service"], id="its unit"),
    ],
)
def test_what_came_after_the_start_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    service: Service,
    moment: float,
    written: float,
    expected: list[str],
) -> None:
    monkeypatch.setattr(services, "replaced_programs", lambda _: [])
    path = tmp_path / "file"
    path.touch()
    os.utime(path, (written, written))
    found = outdated(service, {"nginx": moment}, [str(path), str(tmp_path / "gone")])
    assert found == sorted(each.format(path=path) for each in expected)


def test_a_program_that_was_replaced_is_told(tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"]) as process:
        assert services.replaced_programs([process.pid]) == []
        program.unlink()
        assert services.replaced_programs([process.pid]) == [str(program)]
        process.kill()


def test_workers_of_nginx_tell_when_it_was_reloaded_but_not_those_that_end() -> None:
    titles = ("nginx: worker process", "nginx: worker process is shutting down", "nginx: master x")
    programs = [
        subprocess.Popen(["bash", "-c", f'exec -a "{title}" cat'], stdin=subprocess.PIPE)
        for title in titles
    ]
    pids = [each.pid for each in programs]
    try:
        end = time.monotonic() + 20
        while any("bash" in Path(f"/proc/{pid}/cmdline").read_text() for pid in pids):
            assert time.monotonic() < end
            time.sleep(0.05)
        (began,) = services.workers([*pids, 2**22 + 1])
        assert abs(time.time() - began) < 30
    finally:
        for each in programs:
            each.communicate()


def shown(monkeypatch: pytest.MonkeyPatch, name: str, **properties: str) -> Service:
    """The service that systemd tells of."""
    text = "\n".join(f"{key}={value}" for key, value in properties.items())
    module = SimpleNamespace(
        get_bin_path=lambda _: "systemctl",
        run_command=lambda _: (0, f"Id={name}.service\nActiveState=active\n{text}\n", ""),
    )
    monkeypatch.setattr(services, "processes", dict)
    (found,) = services.look(module, [name])
    return found


def test_nginx_reads_at_a_reload_and_others_at_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"ExecMainStartTimestamp": STAMP, "StateChangeTimestamp": STAMP.replace("08:", "09:")}
    nginx = shown(monkeypatch, "nginx", **times)
    assert (nginx.began, nginx.read) == (MOMENT, MOMENT + 3600)
    # A worker from before: nginx could not use what it was told to read
    monkeypatch.setattr(services, "workers", lambda _: [MOMENT + 60])
    assert shown(monkeypatch, "nginx", **times).read == MOMENT + 60
    assert shown(monkeypatch, "jicofo", **times).read == MOMENT


@pytest.mark.parametrize("written", [MOMENT - 1, MOMENT + 1])
def test_a_unit_that_was_written_after_the_start_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: float
) -> None:
    monkeypatch.setattr(services, "_OWN_UNITS", str(tmp_path))
    path = tmp_path / "limits.conf"
    path.touch()
    os.utime(path, (written, written))
    told = {"ExecMainStartTimestamp": STAMP, "DropInPaths": f"/nonexistent {path}"}
    assert shown(monkeypatch, "prosody", **told).has_other_unit is (written > MOMENT)
    assert shown(monkeypatch, "prosody", **told, NeedDaemonReload="yes").has_other_unit

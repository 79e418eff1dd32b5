"""Services as they are: their processes and where these listen, beside what systemd believes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files, sockets

_PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "MainPID",
    "ControlGroup",
    "NRestarts",
    "Result",
    "ExecMainStartTimestampMonotonic",
    "ExecMainStartTimestamp",
    "StateChangeTimestamp",
    "NeedDaemonReload",
    "FragmentPath",
    "DropInPaths",
)
# Where people and this project put units; elsewhere they are as old as their package, or made anew
_OWN_UNITS = "/etc/systemd/"
_NEVER = float("inf")
STACK = ("prosody", "jicofo", "nginx", "coturn", "jitsi-videobridge2", "jitsi-videobridge")
_AT_BOOT = ("enabled", "generated", "static", "alias")
_HALTED = "TtZX"  # stopped by a signal or a debugger, or dead (proc(5))


@dataclass(frozen=True)
class Service:
    """A service, looked at from both sides."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    unit_file: str = ""
    result: str = ""
    restarts: int = 0
    started: float = 0.0  # seconds of the monotonic clock
    began: float = _NEVER  # the same in seconds since 1970, by the clock of then
    read: float = _NEVER  # when it last read its configuration, at its start or at a reload
    has_other_unit: bool = False  # its unit was written after it began, or is unknown to systemd
    main: int = 0
    processes: tuple[int, ...] = ()
    listeners: frozenset[str] = frozenset()

    @property
    def is_masked(self) -> bool:
        """Whether somebody made sure that nothing starts it."""
        return self.load == "masked"

    @property
    def starts_at_boot(self) -> bool:
        """Whether it comes with the host."""
        return self.unit_file in _AT_BOOT

    @property
    def is_up(self) -> bool:
        """Whether systemd calls it active, its processes live, and one of them listens."""
        return self.active == "active" and bool(self.processes) and bool(self.listeners)


def spell(address: str, port: int) -> str:
    """Address and port in one text: ``127.0.0.1:5222``, ``[::1]:5222``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def parse_time(text: str) -> float:
    """Seconds since 1970 of what systemd writes with ``--timestamp=us+utc``, infinite for never."""
    if not text:
        return _NEVER
    # Without the day of the week, which Python would read in the language of the host
    moment = text.partition(" ")[2].replace("UTC", "+0000")
    return datetime.strptime(moment, "%Y-%m-%d %H:%M:%S.%f %z").timestamp()


def parse_units(text: str) -> list[dict[str, str]]:
    """The stanzas of ``systemctl show``."""
    return [dict(re.findall(r"^(\w+)=(.*)$", each, re.M)) for each in text.split("\n\n")]


def look(module: AnsibleModule, names: Iterable[str]) -> list[Service]:
    """These services, in the order in which systemd tells of them."""
    systemctl = module.get_bin_path("systemctl")
    units = [f"{name}.service" for name in names]
    if systemctl is None or not units:
        return []
    properties = f"--property={','.join(_PROPERTIES)}"
    argv = [systemctl, "show", "--timestamp=us+utc", properties, "--", *units]
    stanzas = parse_units(module.run_command(argv)[1].strip())
    groups = processes()
    return [_service(each, groups) for each in stanzas if each.get("Id")]


def processes() -> dict[str, list[int]]:
    """Processes that are not halted, by the control group that systemd has them in."""
    found: dict[str, list[int]] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            lines = files.read(f"/proc/{pid}/cgroup").splitlines()
            state = files.read(f"/proc/{pid}/stat").rpartition(") ")[2][:1]
        except OSError:  # it ended meanwhile
            continue
        if lines and state and state not in _HALTED:
            # The one hierarchy of version 2, or systemd's own of version 1
            found.setdefault(lines[-1].rpartition(":")[2], []).append(pid)
    return found


def _service(unit: dict[str, str], groups: dict[str, list[int]]) -> Service:
    main = int(unit.get("MainPID") or 0)
    group = unit.get("ControlGroup", "")
    alive = [pid for path, pids in groups.items() if _below(path, group) for pid in pids]
    if main and main not in alive:  # whatever it left behind serves nobody
        alive = []
    began = parse_time(unit.get("ExecMainStartTimestamp", ""))
    return Service(
        name=unit["Id"].removesuffix(".service"),
        load=unit.get("LoadState", ""),
        active=unit.get("ActiveState", ""),
        sub=unit.get("SubState", ""),
        unit_file=unit.get("UnitFileState", ""),
        result=unit.get("Result", ""),
        restarts=int(unit.get("NRestarts") or 0),
        started=int(unit.get("ExecMainStartTimestampMonotonic") or 0) / 1e6,
        began=began,
        read=min([parse_time(unit.get("StateChangeTimestamp", "")), *workers(alive)])
        if unit["Id"] == "nginx.service"
        else began,
        has_other_unit=unit.get("NeedDaemonReload") == "yes"
        or any(
            path.startswith(_OWN_UNITS) and _written(path) > began
            for path in [unit.get("FragmentPath", ""), *unit.get("DropInPaths", "").split()]
        ),
        main=main,
        processes=tuple(alive),
        listeners=listeners(alive),
    )


def workers(pids: Iterable[int]) -> list[float]:
    """When the processes of nginx that serve people started, in seconds since 1970.

    A reload replaces them all. One that crashed is replaced alone, with the configuration of the
    others; so is a worker that is the only one, of which systemd's word of the last reload tells.
    """
    found = []
    for pid in pids:
        try:
            title = files.read(f"/proc/{pid}/cmdline").strip("\0 ")
            ticks = int(files.read(f"/proc/{pid}/stat").rpartition(") ")[2].split()[19])
        except (OSError, IndexError):  # it ended meanwhile
            continue
        if title == "nginx: worker process":
            up = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
            found.append(time.time() - up)
    return found


def _written(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def newer(paths: Iterable[str], moment: float) -> list[str]:
    """Which of these files and links were written after a moment, in seconds since 1970."""
    return [path for path in paths if _written(path) > moment]


def replaced_programs(pids: Iterable[int]) -> list[str]:
    """Programs that these processes run and that are no longer where they were (proc(5))."""
    found = set()
    for pid in pids:
        try:
            program = os.readlink(f"/proc/{pid}/exe")
        except OSError:  # it ended meanwhile
            continue
        if program.endswith(" (deleted)"):
            found.add(program[: -len(" (deleted)")])
    return sorted(found)


def outdated(service: Service, packages: dict[str, float], paths: Iterable[str]) -> list[str]:
    """What a service runs in a former state: packages, programs, files and its unit.

    ``packages`` are moments in which their files came, in seconds since 1970.
    """
    if service.active != "active" or not service.processes:
        return []
    later = [name for name, moment in packages.items() if moment > service.began]
    programs = [] if later else replaced_programs(service.processes)
    unit = [f"{service.name}.service"] if service.has_other_unit else []
    return sorted({*later, *programs, *newer(paths, service.began), *unit})


def _below(path: str, group: str) -> bool:
    return bool(group) and f"{path}/".startswith(f"{group}/")


def listeners(pids: Iterable[int]) -> frozenset[str]:
    """Where these processes take TCP connections."""
    found: set[str] = set()
    tables: dict[str, dict[int, tuple[str, int]]] = {}  # by network, which has all connections
    for pid in pids:
        try:
            network = os.readlink(f"/proc/{pid}/ns/net")
            if network not in tables:
                tables[network] = sockets.listening(f"/proc/{pid}")
        except OSError:  # it ended meanwhile
            continue
        open_ones = tables[network]
        own = open_ones.keys() & set(sockets.inodes(f"/proc/{pid}"))
        found |= {spell(*open_ones[inode]) for inode in own}
    return frozenset(found)


def running(module: AnsibleModule) -> dict[str, list[str]]:
    """Where each service of the stack that is up listens."""
    found = look(module, STACK)
    return {each.name: sorted(each.listeners) for each in found if each.is_up}

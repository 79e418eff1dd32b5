"""What the module ``prosody_health`` does."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import prosody_reloads, sockets
from ansible.module_utils.vestibule.services import parse_time

_SHOWN = 20  # lines in a message
_LAST = 12  # lines among them that a unit logged before it went down
_TAIL = 1000  # entries at the end of the journal that are read
_UNIT = "prosody"
_PATIENCE = 60  # seconds until Prosody has to serve
_STARTUP = 30  # seconds after the start in which errors count; later ones anybody may cause
_POLL = 0.1  # seconds between two looks at a unit that is not ready
_ANSWER_TIME = 1.0  # seconds until an HTTP answer has to begin

# First line of the message by kind of problem, the gravest kind first, and what to do about it.
_MEANING = {
    "inactive": (
        "Prosody does not run.",
        "Correct what the last lines of its log name, then run the playbook again.",
    ),
    "module_failed": (
        "Prosody runs, but modules did not load: the doors that they guard may be open.",
        "Install what the lines name as missing, then restart Prosody.",
    ),
    "configuration": (
        "Prosody runs, but with settings it cannot use: doors may be open.",
        "Correct the settings that the lines name, then restart Prosody.",
    ),
    "listener": (
        "Prosody runs, but does not listen exactly where it should.",
        "Close what is open to others, or free the port that is taken, then restart Prosody.",
    ),
    "traceback": (
        "Prosody runs, but its code failed while it started.",
        "Look for the module that the lines name, then restart Prosody.",
    ),
    "error": (
        "Prosody runs, but logged errors while it started: it goes on with something else than was"
        " asked for.",
        "Correct what the lines name, e.g. the setting of that module, then restart Prosody.",
    ),
}

# Kind of problem by source and beginning of a line that Prosody 0.12 or 13, or Jitsi's plugins, log
# at level error. Only the beginning: clients choose what stands further on.
_ERRORS = [
    (kind, re.compile(source), re.compile(text))
    for kind, source, text in (
        ("module_failed", r"modulemanager", r""),
        ("module_failed", r"(\S+:)?(mod_)?fail_closed", r"Unguarded door "),
        ("listener", r"portmanager", r""),
        ("listener", r"\S+:http", r"Not listening on any ports"),
        ("configuration", r"(storage|cert|host|config|stats)manager|startup|mod_posix", r""),
        ("configuration", r"\S+:tls", r"Error creating context"),
        (
            "configuration",
            r"\S+",
            r"'app_id'|'app_secret'|No \w+ specified|\w+ not specified|Failed to start"
            r"|no token configuration|requires a version of Prosody|Config option '",
        ),
        # What fails while somebody is served, whenever that happens
        ("request", r"\S+", r"Traceback\[\w+\]"),
    )
]
# Errors that a connection causes, whenever it comes, and that say nothing about the configuration:
# source, beginning of the text. All others before the first connection count.
_HARMLESS = [
    (re.compile(source), re.compile(text))
    for source, text in (
        # The session of somebody
        (r"(c2s|s2s|bosh|websocket|conn|jcp)[\da-f-]+", r""),
        # A token for another room, or none
        (r"\S+:token_verification", r"Token .* not allowed to join"),
        (r"\S+", r"Unable to get name of the MUC room"),
        # Stanzas that do not belong there
        (r"\S+:muc_(domain_mapper|filter_access)", r""),
        (r"\S+:component", r"Second component attempted to connect"),
        # Messages of Jitsi's own kind that somebody wrote wrongly, or that come too late
        (
            r"\S+",
            r"(Error|error) (en|de)coding|Invalid (JSON|poll)|Poll |Too many polls|skip sending",
        ),
        (r"\S+", r"Occupant |Cannot retrieve poll|Error missing required field|Bad actor"),
        (r"\S+", r"No main room ?\(|Main room not found|Room not found|Error (broad|enqueu)"),
    )
]
_SESSION = re.compile(r"(c2s|s2s|bosh|websocket|conn)[\da-f-]+")
_RECORD = re.compile(r"(\S+)\s+(debug|info|warn|error)\t(.*)")  # source, level, text
_GREETING = "Hello and welcome to Prosody"
_TOKEN = re.compile(r"eyJ[\w-]*(?:\.[\w-]*){0,2}")
_PROC = Path("/proc")


class HealthError(Exception):
    """Wrong parameters, or a host without Prosody: a sentence for the operator."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, with the line that shows it."""

    kind: str
    line: str


@dataclass
class Record:
    """What Prosody logged at once: a line and the indented lines after it."""

    time: int  # microseconds of the monotonic clock
    source: str
    level: str
    text: str
    has_stack: bool = False

    @property
    def line(self) -> str:
        """The first line without the padding between its columns, and without tokens."""
        return redact(" ".join(part for part in (self.source, self.level, self.text) if part))

    @property
    def is_telling(self) -> bool:
        """Whether it may be the reason of a stop. Level debug would also show secrets."""
        return self.level not in ("debug", "info") and bool(self.text.strip("* "))


@dataclass(frozen=True)
class Entry:
    """A line in the journal."""

    time: int  # microseconds of the monotonic clock
    message: str
    by_systemd: bool


@dataclass(frozen=True)
class Unit:
    """What systemd says about the unit."""

    load: str
    active: str
    job: str
    invocation: str
    cgroup: str
    started: int  # microseconds of the monotonic clock
    started_at: float  # seconds since 1970, infinite where it did not start

    @property
    def is_down(self) -> bool:
        """Whether it does not run and nothing is about to start it."""
        return self.active == "failed" or (self.active == "inactive" and self.job in ("", "0"))


def redact(line: str) -> str:
    """``line`` without tokens: a JWT begins with ``{"`` in base64 (RFC 7519)."""
    return _TOKEN.sub("(token removed)", line)


def parse_listener(text: str) -> str:
    """``text`` in one spelling: ``127.0.0.1:5222``, ``[::1]:5222``. Raises HealthError."""
    address, _, port = text.rpartition(":")
    try:
        ip = ipaddress.ip_address(address.strip("[]"))
        number = int(port)
    except ValueError as error:
        raise HealthError(
            f"{text!r} is no listener. Write address and port, e.g. 127.0.0.1:5222 or [::1]:5222."
        ) from error
    return spell(str(ip), number)


def spell(address: str, port: int) -> str:
    """Address and port as everything here has them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def newer_files(sources: Iterable[str], moment: float) -> list[str]:
    """Files and links in these places that were written after ``moment``, seconds since 1970."""
    found = []
    for source in map(Path, sources):
        for path in [source, *source.rglob("*")]:
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(status.st_mode) and status.st_mtime > moment:
                found.append(str(path))
    return sorted(found)


def parse_entry(line: str) -> Entry:
    """An entry of ``journalctl --output=json``. A message that is no UTF-8 is a list of bytes."""
    fields = json.loads(line)
    message = fields.get("MESSAGE") or ""
    if isinstance(message, list):
        message = bytes(message).decode("utf-8", "replace")
    return Entry(int(fields["__MONOTONIC_TIMESTAMP"]), message, fields.get("_PID") == "1")


def read_records(entries: Iterable[Entry]) -> list[Record]:
    """What Prosody logged, from one journal entry a line."""
    records: list[Record] = []
    for entry in entries:
        begins_stack = entry.message.strip() == "stack traceback:"
        if records and (begins_stack or entry.message.startswith(("\t", " "))):
            records[-1].has_stack |= begins_stack
            continue
        match = _RECORD.fullmatch(entry.message)
        source, level, text = match.groups() if match else ("", "", entry.message)
        records.append(Record(entry.time, source, level, text))
    return records


def classify(record: Record) -> str | None:
    """The kind of problem that ``record`` shows, ``request`` for one of a client, or None."""
    if record.level != "error":
        return None
    for kind, source, text in _ERRORS:
        if source.fullmatch(record.source) and text.match(record.text):
            return kind
    return "traceback" if record.has_stack else None


def is_unknown_error(record: Record) -> bool:
    """Whether it is an error of which nobody knows that it says nothing about the configuration."""
    return record.level == "error" and not any(
        source.fullmatch(record.source) and text.match(record.text) for source, text in _HARMLESS
    )


def judge_log(records: Iterable[Record], end: int) -> tuple[list[Problem], list[Problem]]:
    """Problems of the start-up, which ended at ``end``, and errors that came later.

    Prosody loads everything before it serves anybody, so errors of no known kind belong to the
    start until the first session: whoever comes then can cause some.
    """
    problems: list[Problem] = []
    later: list[Problem] = []
    served = False
    for record in records:
        served = served or bool(_SESSION.fullmatch(record.source))
        kind = classify(record)
        if kind is None and not served and record.time <= end and is_unknown_error(record):
            kind = "error"
        if kind == "request":
            later.append(Problem("traceback", record.line))
        elif kind:
            (problems if record.time <= end else later).append(Problem(kind, record.line))
    return problems, later


def judge_listeners(found: set[str], wanted: set[str]) -> list[Problem]:
    """Listeners where none belong, and missing ones."""
    return [
        *(Problem("listener", f"listens on {each}, unasked") for each in sorted(found - wanted)),
        *(Problem("listener", f"does not listen on {each}") for each in sorted(wanted - found)),
    ]


def warnings(records: Iterable[Record], end: int) -> list[str]:
    """What Prosody warned of while it started, which may explain an error."""
    lines = [each.line for each in records if each.level == "warn" and each.time <= end]
    return list(dict.fromkeys(lines))[:_SHOWN]


def render_message(problems: list[Problem], warned: Iterable[str] = ()) -> str:
    """The message for people: what it means, the lines, what to do."""
    kinds = [kind for kind in _MEANING if any(each.kind == kind for each in problems)]
    # The last lines of a unit that is down come last: the errors before them are the reason
    ordered = sorted(problems, key=lambda each: (each.kind == "inactive", kinds.index(each.kind)))
    lines = list(dict.fromkeys(each.line for each in ordered))
    message = [_MEANING[kinds[0]][0], *(f"  {line}" for line in lines[:_SHOWN])]
    if len(lines) > _SHOWN:
        message.append(f"  … and {len(lines) - _SHOWN} more")
    message += [_MEANING[kind][1] for kind in kinds]
    message += [f"It also warned:  {line}" for line in warned]
    message.append(f"The whole log: journalctl --unit={_UNIT}")
    return "\n".join(message)


class Host:
    """The target: systemd, the journal and the kernel's tables, read only."""

    def __init__(self, module: AnsibleModule) -> None:
        self._systemctl = module.get_bin_path("systemctl", required=True)
        self._journalctl = module.get_bin_path("journalctl", required=True)

    def unit(self) -> Unit:
        """The unit as systemd knows it now."""
        names = {
            "LoadState": "not-found",
            "ActiveState": "inactive",
            "Job": "",
            "InvocationID": "",
            "ControlGroup": "",
            "ExecMainStartTimestampMonotonic": "0",
            "ExecMainStartTimestamp": "",
        }
        argv = [self._systemctl, "show", "--timestamp=us+utc", f"--property={','.join(names)}"]
        argv += ["--", _UNIT]
        output = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout
        shown = dict(line.split("=", 1) for line in output.splitlines())
        load, active, job, invocation, cgroup, started, started_at = (
            shown.get(name, default) for name, default in names.items()
        )
        return Unit(load, active, job, invocation, cgroup, int(started), parse_time(started_at))

    def _journal(self, *arguments: str) -> Iterator[Entry]:
        argv = [self._journalctl, "--output=json", "--all", "--quiet", "--no-pager"]
        argv += ["--output-fields=MESSAGE,_PID", *arguments]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield from map(parse_entry, process.stdout or ())
            finally:
                process.terminate()

    def start_log(self, unit: Unit, end: int) -> list[Entry]:
        """What systemd and Prosody logged until ``end`` since the unit started."""
        subprocess.run([self._journalctl, "--sync"], check=False)  # what is on its way, too
        entries = []
        for entry in self._journal(*_matches(unit)):
            if entry.time > end:
                break
            entries.append(entry)
        return entries

    def later_log(self, unit: Unit, start: int) -> list[Entry]:
        """The last of what Prosody logged after ``start``."""
        entries = self._journal(f"--lines={_TAIL}", *_matches(unit))
        return [entry for entry in entries if entry.time > start]

    def last_log(self, unit: Unit) -> list[Entry]:
        """The last entries about a unit that does not run."""
        matches = _matches(unit) if unit.invocation else ["--boot", f"--unit={_UNIT}"]
        return list(self._journal(f"--lines={_TAIL}", *matches))

    def listeners(self, unit: Unit) -> set[str]:
        """Where the processes of the unit take TCP connections."""
        found: set[str] = set()
        for process in _PROC.glob("[0-9]*"):
            try:
                groups = (process / "cgroup").read_text(encoding="utf-8").split()
                if not unit.cgroup or not any(line.endswith(f":{unit.cgroup}") for line in groups):
                    continue
                listening = sockets.listening(str(process))
            except (FileNotFoundError, ProcessLookupError):
                continue  # the process ended meanwhile
            own = listening.keys() & set(sockets.inodes(str(process)))
            found |= {spell(*listening[inode]) for inode in own}
        return found


def _matches(unit: Unit) -> list[str]:
    return [
        f"_SYSTEMD_INVOCATION_ID={unit.invocation}",
        "+",
        f"INVOCATION_ID={unit.invocation}",
        "_PID=1",
    ]


def answers_http(listener: str) -> bool:
    """Whether an HTTP server answers at ``listener``, whatever it says."""
    address, _, port = listener.rpartition(":")
    try:
        with socket.create_connection((address.strip("[]"), int(port)), _ANSWER_TIME) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(5).startswith(b"HTTP/")
    except OSError:
        return False


def wait_until_ready(host: Host, listener: str, seconds: float) -> bool:
    """Whether the unit is active and answers within ``seconds``; ends early when it is down."""
    end = time.monotonic() + seconds
    while True:
        unit = host.unit()
        if unit.active == "active" and answers_http(listener):
            return True
        if unit.is_down or time.monotonic() >= end:
            return False
        time.sleep(_POLL)


def judge_start(
    entries: list[Entry], end: int, greeting: bool
) -> tuple[list[Problem], list[Problem]]:
    """Like `judge_log`, and a problem where Prosody's own words are missing."""
    records = read_records(entry for entry in entries if not entry.by_systemd)
    problems, later = judge_log(records, end)
    greeted = any(record.text.startswith(_GREETING) for record in records)
    # Without systemd's line about the start the journal was cut, long after a start that was fine
    if greeting and not greeted and any(entry.by_systemd for entry in entries):
        problems.append(
            Problem(
                "configuration",
                "Prosody's greeting is not in the journal, so failed modules would not be seen:"
                ' set log = { info = "*console" }',
            )
        )
    return problems, later


def run(module: AnsibleModule) -> dict[str, Any]:
    """Waits, reads and judges. Raises HealthError for wrong parameters."""
    params = module.params
    http = parse_listener(params["http_listener"])
    wanted = {http, *map(parse_listener, params["listeners"])}
    host = Host(module)

    unit = host.unit()
    if unit.load == "not-found":
        if not module.check_mode:
            raise HealthError(f"There is no unit {_UNIT}. Install Prosody first.")
        return {"problems": [], "later": [], "warned": [], "unread": [], "listeners": []}
    unread: list[str] = []
    if unit.active == "active":
        unread = newer_files(params["sources"], unit.started_at)
        unread = prosody_reloads.unread(unread, unit.started / 1e6)
    if unread:
        return {"problems": [], "later": [], "warned": [], "unread": unread, "listeners": []}

    ready = wait_until_ready(host, http, 0 if module.check_mode else _PATIENCE)
    unit = host.unit()
    end = unit.started + _STARTUP * 1_000_000
    problems: list[Problem] = []
    later: list[Problem] = []
    found: set[str] = set()
    warned: list[str] = []
    if unit.invocation:
        greeting = params["greeting"] and unit.active == "active"
        log = host.start_log(unit, end)
        problems, later = judge_start(log, end, greeting)
        warned = warnings(read_records(each for each in log if not each.by_systemd), end)
        later += judge_log(read_records(host.later_log(unit, end)), end)[1]
    if unit.active == "active":
        found = host.listeners(unit)
        problems += judge_listeners(found, wanted)
        if not ready and http in found:
            problems.append(Problem("listener", f"does not answer on {http} within {_PATIENCE} s"))
    else:
        problems.append(Problem("inactive", f"the unit {_UNIT} is {unit.active}"))
        lines = [each.line for each in read_records(host.last_log(unit)) if each.is_telling]
        problems += [Problem("inactive", line) for line in lines[-_LAST:]]
    return {
        "problems": [{"kind": each.kind, "line": each.line} for each in problems],
        "later": [{"kind": each.kind, "line": each.line} for each in later[-_SHOWN:]],
        "warned": warned,
        "unread": [],
        "listeners": sorted(found),
    }


SPEC: dict[str, Any] = {
    "http_listener": {"type": "str", "required": True},
    "listeners": {"type": "list", "elements": "str", "default": []},
    "sources": {"type": "list", "elements": "path", "default": []},
    "greeting": {"type": "bool", "default": True},
}


def main() -> None:
    """Ansible's shell around `run`."""
    module = AnsibleModule(
        argument_spec=SPEC,
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except HealthError as error:
        module.fail_json(msg=str(error))
    problems = [Problem(**each) for each in result["problems"]]
    if result["later"]:
        module.warn(
            "Prosody logged errors of its own code after its start, the last one:"
            f" {result['later'][-1]['line']}"
        )
    if problems and module.check_mode:
        module.warn(render_message(problems, result["warned"]))
    elif problems:
        module.fail_json(msg=render_message(problems, result["warned"]), **result)
    module.exit_json(changed=False, **result)

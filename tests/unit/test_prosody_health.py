"""Module ``prosody_health``: a Prosody without its guards fails, and an odd request does not."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.vestibule import prosody_health, prosody_reloads
from ansible.module_utils.vestibule.prosody_health import (
    Entry,
    HealthError,
    Host,
    Problem,
    Unit,
    classify,
    judge_listeners,
    judge_log,
    judge_start,
    newer_files,
    parse_entry,
    parse_listener,
    read_records,
    redact,
    render_message,
)

RunModule = Callable[..., dict[str, Any]]

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb29tIjoiKiJ9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
STACK = [
    "\tstack traceback:",
    "\t[C]: in function 'error'",
    "\t/usr/lib/prosody/util/async.lua:144: in function </usr/lib/prosody/util/async.lua:142>",
]
GREETING = "startup             info\tHello and welcome to Prosody version 13.0.1"
NO_MODULE = "modulemanager       error\tUnable to load module 'x': /x: No such file or directory"

# What Prosody 0.12.3 and 13.0.1 with Jitsi's plugins of August 2026 log at level error: kind of
# fault, source, text
FAULTS = [
    ("module_failed", "modulemanager", "Unable to load module 'x': /x: No such file or directory"),
    ("module_failed", "modulemanager", "Unable to load module 'x': /x.lua:1: unexpected symbol"),
    (
        "module_failed",
        "modulemanager",
        "Error initializing module 'auth_token' on 'm.example.org':"
        " /usr/lib/prosody/util/startup.lua:203: module 'basexx' not found:",
    ),
    ("module_failed", "mod_fail_closed", "Unguarded door on m.example.org: mod_x is not loaded"),
    ("configuration", "conf-1.example.org:token_verification", "'app_id' must not be empty"),
    (
        "configuration",
        "m.example.org:auth_token",
        "'app_secret', 'asap_key_server or 'cacheKeysUrl' must be specified",
    ),
    (
        "configuration",
        "polls.m.example.org:polls_component",
        "No muc_component specified. No muc to operate on!",
    ),
    (
        "configuration",
        "storagemanager",
        "Failed to load storage driver plugin x on m.example.org: /x: No such file or directory",
    ),
    (
        "configuration",
        "certmanager",
        "SSL/TLS: Failed to load '/x.key': Check that the file exists and the permissions are"
        " correct (for c.m.example.org)",
    ),
    (
        "configuration",
        "c.m.example.org:tls",
        "Error creating context for c2s: error loading private key ((null))",
    ),
    (
        "configuration",
        "m.example.org:smacks",
        "Config option 'smacks_hibernation_time' not understood, expecting a number",
    ),
    (
        "listener",
        "portmanager",
        "Failed to open server port 5280 on 127.0.0.1, check that Prosody or a BOSH connection"
        " manager is not already running",
    ),
    ("listener", "portmanager", "Invalid port number specified for service 'c2s': abc"),
    (
        "listener",
        "portmanager",
        "Multiple services configured to listen on the same port ([127.0.0.1]:5280): c2s, http",
    ),
    (
        "listener",
        "m.example.org:http",
        "Not listening on any ports, 'bosh' will be unreachable",
    ),
]
HARMLESS_LINES = [
    GREETING,
    "certmanager         info\tNo certificate present in SSL/TLS configuration for a.example.org.",
    "portmanager         info\tActivated service 'https' on no ports",
    "storagemanager      warn\tFalling back to null driver for roles storage on a.example.org",
    "startup             warn\tReceived SIGTERM",
    "modulemanager error without a tab",
    # Clients choose what stands in these
    f"conference.example.org:token_verification  error\tToken {JWT} not allowed to join: 'app_id'",
    "conference.m.example.org:muc_filter_access error\tFiltering unauthorized presence: <presence"
    " id='Unable to load module'/>",
    "c2s55d0c1a7  error\tmodulemanager error\tUnable to load module 'x'",
]


def entries(*lines: str, moment: int = 0) -> list[Entry]:
    return [Entry(moment, line, by_systemd=False) for line in lines]


# The log


@pytest.mark.parametrize(("kind", "source", "text"), FAULTS)
def test_a_fault_at_the_start_is_seen(kind: str, source: str, text: str) -> None:
    (record,) = read_records(entries(f"{source:<18}  error\t{text}"))
    assert classify(record) == kind


@pytest.mark.parametrize("line", HARMLESS_LINES)
def test_what_is_no_fault_is_none(line: str) -> None:
    (record,) = read_records(entries(line))
    assert classify(record) is None


def test_a_traceback_at_the_start_is_seen() -> None:
    log = entries("server_epoll  error\tError in timer: /x.lua:1: attempt to index nil", *STACK)
    assert judge_log(read_records(log), end=0) == (
        [Problem("traceback", "server_epoll error Error in timer: /x.lua:1: attempt to index nil")],
        [],
    )


def test_prosody_13_warns_with_a_stack_and_that_is_no_fault() -> None:
    log = entries(
        "usermanager  warn\tUsage of legacy is_admin() API, which will be disabled:", *STACK
    )
    assert judge_log(read_records(log), end=0) == ([], [])


@pytest.mark.parametrize("handler", ["httpserver", "c2s", "component"])
def test_a_traceback_of_a_request_never_counts_as_start(handler: str) -> None:
    log = entries(f"http.server  error\tTraceback[{handler}]: /x.lua:1: attempt to index", *STACK)
    problems, later = judge_log(read_records(log), end=0)
    assert problems == []
    assert [each.kind for each in later] == ["traceback"]


def test_the_same_fault_is_a_problem_until_the_start_is_over() -> None:
    for moment, expected in ((30, (1, 0)), (31, (0, 1))):
        problems, later = judge_log(read_records(entries(NO_MODULE, moment=moment)), end=30)
        assert (len(problems), len(later)) == expected


LIMITS = 'mod_limits  error\tError parsing rate for c2s: "lots", using default rate (3000 bytes/s)'


def test_an_error_that_nobody_knows_counts_until_somebody_is_served() -> None:
    problems, later = judge_log(read_records(entries(LIMITS)), end=30)
    assert (problems, later) == ([Problem("error", " ".join(LIMITS.split()))], [])
    served = entries("c2s55d6b6f20670  info\tClient connected", LIMITS)
    assert judge_log(read_records(served), end=30) == ([], [])
    assert "goes on with something else than was asked for" in render_message(problems)


@pytest.mark.parametrize(
    "line",
    [
        "c2s55d6b6f20670  error\tanything",
        "conference.m.example.org:token_verification  error\tToken (verified, not kept) not allowed"
        " to join: a@conference.m.example.org/b err: nil reason: Room and token mismatched",
        "internal.auth.m.example.org:muc_filter_access  error\tFiltering unauthorized presence: x",
        "polls.m.example.org:polls_component  error\tPoll payload too large, discarding.",
    ],
)
def test_an_error_that_a_client_causes_is_harmless(line: str) -> None:
    assert judge_log(read_records(entries(line)), end=30) == ([], [])


def test_warnings_of_the_start_stand_below_its_errors() -> None:
    log = read_records(entries("a  warn\tdeprecated", "a  info\tfine", moment=1))
    assert prosody_health.warnings(log, end=30) == ["a warn deprecated"]
    assert prosody_health.warnings(log, end=0) == []
    message = render_message([Problem("error", "x")], ["a warn deprecated"])
    assert "It also warned:  a warn deprecated" in message


def test_a_stack_belongs_to_the_line_before_it() -> None:
    log = entries("a  info\tfine", "b  error\tfailed", *STACK, "raw words", "c  info\tfine")
    records = read_records(log)
    assert [(each.line, each.has_stack) for each in records] == [
        ("a info fine", False),
        ("b error failed", True),
        ("raw words", False),
        ("c info fine", False),
    ]


def test_a_start_without_greeting_was_logged_elsewhere() -> None:
    started = Entry(0, "Started prosody.service", by_systemd=True)
    greeting = Entry(1, GREETING, by_systemd=False)
    assert judge_start([started, greeting], 30, greeting=True) == ([], [])
    assert judge_start([started], 30, greeting=False) == ([], [])
    (problem,) = judge_start([started], 30, greeting=True)[0]
    assert "greeting is not in the journal" in problem.line
    # The journal was cut since: nothing can be said about the start, and it was seen back then
    assert judge_start([], 30, greeting=True) == ([], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Token {JWT} refused", "Token (token removed) refused"),
        (f"?token={JWT}&room=a", "?token=(token removed)&room=a"),
        ("eyJhbGciOiJIUzI1NiJ9", "(token removed)"),
        ("eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", "(token removed)"),
        ("no token at all", "no token at all"),
    ],
)
def test_tokens_are_removed(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_a_journal_entry_is_read() -> None:
    fields: dict[str, Any] = {"__MONOTONIC_TIMESTAMP": "17", "_PID": "1", "MESSAGE": "Started"}
    assert parse_entry(json.dumps(fields)) == Entry(17, "Started", by_systemd=True)
    fields |= {"_PID": "4711", "MESSAGE": [97, 255, 98]}  # journald's form of what is no UTF-8
    assert parse_entry(json.dumps(fields)) == Entry(17, "a\ufffdb", by_systemd=False)
    fields["MESSAGE"] = None
    assert parse_entry(json.dumps(fields)).message == ""


# Listeners

# Columns of /proc/net/tcp up to the inode, of sshd and Prosody
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 94334
   1: 0100007F:14A0 00000000:0000 0A 00000000:00000000 00:00000000 00000000   100        0 195518
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:5222", "127.0.0.1:5222"),
        ("[::1]:5222", "[::1]:5222"),
        ("::1:5222", "[::1]:5222"),
        ("[0:0::1]:05222", "[::1]:5222"),
    ],
)
def test_a_listener_has_one_spelling(text: str, expected: str) -> None:
    assert parse_listener(text) == expected


@pytest.mark.parametrize("text", ["", "5222", ":5222", "localhost:5222", "127.0.0.1:xmpp", "::1"])
def test_what_is_no_listener_is_refused(text: str) -> None:
    with pytest.raises(HealthError, match="is no listener"):
        parse_listener(text)


def test_listeners_are_exactly_those_that_belong_there() -> None:
    wanted = {"127.0.0.1:5222"}
    assert judge_listeners(wanted, wanted) == []
    assert [each.line for each in judge_listeners({"[::]:5269"}, wanted)] == [
        "listens on [::]:5269, unasked",
        "does not listen on 127.0.0.1:5222",
    ]


def test_listeners_are_those_of_the_processes_of_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid, group, inode in (("7", "prosody", "195518"), ("8", "ssh", "94334")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "net").mkdir()
        (tmp_path / pid / "cgroup").write_text(f"0::/system.slice/{group}.service\n")
        (tmp_path / pid / "fd/3").symlink_to(f"socket:[{inode}]")
        (tmp_path / pid / "fd/1").symlink_to("/dev/null")
        (tmp_path / pid / "net/tcp").write_text(TCP)
    monkeypatch.setattr(prosody_health, "_PROC", tmp_path)
    host = Host.__new__(Host)
    unit = Unit("loaded", "active", "", "abc", "/system.slice/prosody.service", 0, 0.0)
    assert host.listeners(unit) == {"127.0.0.1:5280"}


# What was written after the start


def test_newer_files_are_found_in_files_folders_and_links(tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    for name, moment in (("old", 100), ("new", 300), ("conf.d/old", 100), ("conf.d/new", 300)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (moment, moment))
    (folder / "link").symlink_to("nowhere")
    os.utime(folder / "link", (300, 300), follow_symlinks=False)
    sources = [str(tmp_path / name) for name in ("old", "new", "conf.d", "missing")]
    assert newer_files(sources, 200) == [
        str(tmp_path / name) for name in ("conf.d/link", "conf.d/new", "new")
    ]
    assert newer_files(sources, 300) == []


# The message


def test_the_message_says_what_it_means_and_what_to_do() -> None:
    problems = [Problem("listener", "listens on [::]:5269, unasked"), Problem("module_failed", "m")]
    assert render_message(problems).splitlines() == [
        "Prosody runs, but modules did not load: the doors that they guard may be open.",
        "  m",
        "  listens on [::]:5269, unasked",
        "Install what the lines name as missing, then restart Prosody.",
        "Close what is open to others, or free the port that is taken, then restart Prosody.",
        "The whole log: journalctl --unit=prosody",
    ]


def test_the_reason_of_a_stop_stands_before_the_last_lines() -> None:
    problems = [Problem("inactive", "the unit prosody is failed"), Problem("module_failed", "m")]
    assert render_message(problems).splitlines()[:3] == [
        "Prosody does not run.",
        "  m",
        "  the unit prosody is failed",
    ]


def test_a_long_message_is_cut_and_counted() -> None:
    problems = [Problem("module_failed", f"m{number % 25}") for number in range(50)]
    lines = render_message(problems).splitlines()
    assert [line for line in lines if line.startswith("  m")] == [f"  m{n}" for n in range(20)]
    assert "  … and 5 more" in lines


# The module, with stand-ins for systemd's programs


@pytest.fixture(name="http")
def _http() -> Iterator[str]:
    """An HTTP server that knows nothing, at the address that is given."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Server:
    """A server with a unit ``prosody``, whose state, log and listeners a test decides."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.listeners: set[str] = set()
        self.unit()
        self.log()

    def unit(self, load: str = "loaded", active: str = "active", start: str = "") -> None:
        (self._folder / "unit").write_text(
            f"LoadState={load}\nActiveState={active}\nInvocationID=abc\nJob=\n"
            "ControlGroup=/system.slice/prosody.service\nExecMainStartTimestampMonotonic=1000\n"
            f"ExecMainStartTimestamp={start}\n"
        )

    def log(self, *lines: str, later: str | None = None) -> None:
        texts = [("1", 1000, "Started prosody.service"), ("7", 1001, GREETING)]
        texts += [("7", 1002, line) for line in lines]
        texts += [("7", 40_000_000, later)] if later else []
        lines_of_json = (
            json.dumps({"_PID": pid, "__MONOTONIC_TIMESTAMP": str(moment), "MESSAGE": text})
            for pid, moment, text in texts
        )
        (self._folder / "journal").write_text("\n".join(lines_of_json))


@pytest.fixture(name="server")
def _server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    for name, file in (("systemctl", "unit"), ("journalctl", "journal")):
        (tmp_path / name).write_text(
            f'#!/bin/sh\n[ "$1" = --sync ] || exec /bin/cat "{tmp_path}/{file}"\n'
        )
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(
        basic.AnsibleModule, "get_bin_path", lambda self, name, required: str(tmp_path / name)
    )
    server = Server(tmp_path)
    monkeypatch.setattr(Host, "listeners", lambda self, unit: server.listeners)
    return server


def test_a_healthy_prosody_passes(server: Server, http: str, run_module: RunModule) -> None:
    server.listeners = {http, "127.0.0.1:5222"}
    result = run_module(prosody_health, http_listener=http, listeners=["127.0.0.1:5222"])
    assert result["changed"] is False
    assert (result["problems"], result["later"]) == ([], [])
    assert result["listeners"] == sorted(server.listeners)


def test_a_module_that_did_not_load_fails_without_showing_a_token(
    server: Server, http: str, run_module: RunModule
) -> None:
    server.listeners = {http}
    server.log(f"modulemanager error\tError initializing module 'x' on 'y': {JWT}", *STACK)
    result = run_module(prosody_health, http_listener=http)
    assert result["failed"]
    assert result["problems"] == [
        {
            "kind": "module_failed",
            "line": "modulemanager error Error initializing module 'x' on 'y': (token removed)",
        }
    ]
    assert result["msg"].startswith("Prosody runs, but modules did not load")
    assert "eyJ" not in json.dumps(result)


def test_a_start_before_its_files_were_written_is_not_judged(
    server: Server, http: str, run_module: RunModule, tmp_path: Path
) -> None:
    source = tmp_path / "prosody.cfg.lua"
    source.touch()
    server.unit(start="Sat 2020-11-21 08:49:57.364328 UTC")
    server.log("modulemanager error\tUnable to load module 'x'")
    result = run_module(prosody_health, http_listener=http, sources=[str(source)])
    assert not result.get("failed")
    assert (result["unread"], result["problems"]) == ([str(source)], [])

    server.unit(start="Sat 2099-11-21 08:49:57.364328 UTC")
    result = run_module(prosody_health, http_listener=http, sources=[str(source)])
    assert result["failed"]
    assert result["unread"] == []


def test_a_start_before_its_files_were_read_again_is_judged(
    server: Server,
    http: str,
    run_module: RunModule,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prosody_reloads, "PLACE", str(tmp_path / "run/note.json"))
    source = tmp_path / "prosody.cfg.lua"
    source.touch()
    server.unit(start="Sat 2020-11-21 08:49:57.364328 UTC")
    server.listeners = {http}
    prosody_reloads.note(0.001, {str(source): prosody_reloads.digest(str(source))})
    result = run_module(prosody_health, http_listener=http, sources=[str(source)])
    assert (result["unread"], result["listeners"]) == ([], [http])
    source.write_text("other")
    result = run_module(prosody_health, http_listener=http, sources=[str(source)])
    assert result["unread"] == [str(source)]


def test_a_later_traceback_is_a_warning(server: Server, http: str, run_module: RunModule) -> None:
    server.listeners = {http}
    server.log(later="modulemanager error\tUnable to load module 'x'")
    result = run_module(prosody_health, http_listener=http)
    assert not result.get("failed")
    assert [each["kind"] for each in result["later"]] == ["module_failed"]
    assert "the last one: modulemanager error Unable to load" in str(result["warnings"])


def test_a_listener_where_none_belongs_fails(
    server: Server, http: str, run_module: RunModule
) -> None:
    server.listeners = {http, "[::]:5269"}
    result = run_module(prosody_health, http_listener=http)
    assert result["failed"]
    assert "listens on [::]:5269, unasked" in result["msg"]


def test_a_required_listener_that_is_missing_fails(
    server: Server, http: str, run_module: RunModule
) -> None:
    server.listeners = {http}
    required = run_module(prosody_health, http_listener=http, listeners=["127.0.0.1:5222"])
    assert required["failed"]
    assert "does not listen on 127.0.0.1:5222" in required["msg"]


def test_an_http_server_that_is_silent_fails_in_time(
    server: Server, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prosody_health, "_PATIENCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        listener = f"127.0.0.1:{silent.getsockname()[1]}"
        server.listeners = {listener}
        result = run_module(prosody_health, http_listener=listener)
    assert result["failed"]
    assert f"does not answer on {listener} within 1 s" in result["msg"]


def test_a_unit_that_failed_shows_its_last_lines_at_once(
    server: Server, run_module: RunModule
) -> None:
    server.unit(active="failed")
    server.log("Error: /etc/prosody/conf.d/m.cfg.lua:15: unexpected symbol", "x  debug\tSECRET")
    begin = time.monotonic()
    result = run_module(prosody_health, http_listener="127.0.0.1:5280")
    assert time.monotonic() - begin < 30
    assert result["failed"]
    assert result["msg"].startswith("Prosody does not run.\n  the unit prosody is failed\n")
    assert "  Error: /etc/prosody/conf.d/m.cfg.lua:15: unexpected symbol\n" in result["msg"]
    assert "SECRET" not in json.dumps(result)


def test_check_mode_warns_and_does_not_wait(server: Server, run_module: RunModule) -> None:
    server.unit(active="activating")
    begin = time.monotonic()
    result = run_module(prosody_health, http_listener="127.0.0.1:5280", _ansible_check_mode=True)
    assert time.monotonic() - begin < 30
    assert not result.get("failed")
    assert result["problems"][0] == {
        "kind": "inactive",
        "line": "the unit prosody is activating",
    }
    assert "Prosody does not run." in str(result["warnings"])


def test_without_the_unit_only_check_mode_goes_on(server: Server, run_module: RunModule) -> None:
    server.unit(load="not-found", active="inactive")
    result = run_module(prosody_health, http_listener="127.0.0.1:5280")
    assert result["failed"]
    assert "There is no unit prosody" in result["msg"]
    check = run_module(prosody_health, http_listener="127.0.0.1:5280", _ansible_check_mode=True)
    assert not check.get("failed")
    assert check["problems"] == []

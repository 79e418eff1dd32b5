"""Module ``host_probe``: it tells what is there, and says nothing about what is not."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.vestibule import managers, services, sources
from ansible.modules import setup

import host_probe

RunModule = Callable[..., dict[str, Any]]

POLICY = """\
prosody:
  Installed: (none)
  Candidate: 13.0.1-1+deb13u1
  Version table:
     13.0.1-1+deb13u1 500
        500 http://deb.example.org trixie/main amd64 Packages
gone:
  Installed: 1.0
  Candidate: (none)
  Version table:
     1.0 100
        100 /var/lib/dpkg/status
jicofo:
  Installed: (none)
  Candidate: 1.0-1120-1
  Version table:
     1.0-1120-1 500
"""
PACMAN_INFO = """\
Repository      : extra
Name            : prosody
Version         : 1:13.0.2-1
Description     : Lightweight XMPP server

Repository      : extra
Name            : lua-basexx
Version         : 0.4.1-2
"""


@pytest.fixture
def bare_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs, and no other program anywhere."""
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, "pacman-conf", "")  # comes with pacman, and nobody looks for it
    monkeypatch.setattr(
        basic.AnsibleModule,
        "get_bin_path",
        lambda module, name: str(path) if (path := tmp_path / Path(name).name).exists() else None,
    )
    return tmp_path


def program(folder: Path, name: str, prints: str) -> Path:
    """A program that writes down its arguments, one call a line, and prints a text."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "$@" >>"$0.calls"\n/bin/cat <<"END"\n{prints}\nEND\n')
    path.chmod(0o755)
    return path


def debian(folder: Path, packages: str) -> None:
    """A host with apt, which has these packages: name, version, status and what is wanted."""
    program(folder, "dpkg-query", packages)
    program(folder, "apt-cache", "")
    program(folder, "apt-get", "")


def install_prosody(folder: Path, shebang: str, version: str | None = "13.0.1\n") -> None:
    library = folder / "lib"
    library.mkdir()
    if version is not None:
        (library / "prosody.version").write_text(version)
    (folder / "prosody").write_text(f"{shebang}\n-- Prosody\nCFG_SOURCEDIR='{library}';\n")


def probe(run_module: RunModule, **options: Any) -> dict[str, Any]:
    result = run_module(host_probe, **options)
    assert result["changed"] is False
    facts: dict[str, Any] = result["ansible_facts"]["vestibule"]
    return facts


def test_a_bare_host_is_no_error(bare_host: Path, run_module: RunModule) -> None:
    facts = probe(run_module, candidates=["prosody"])
    assert facts["uid"] == os.geteuid()
    assert (facts["packages"], facts["candidates"]) == ({}, {})
    assert (facts["lua"], facts["prosody_version"]) == (None, None)
    assert facts["clock_offset"] is None


def test_it_knows_the_system_by_the_names_of_ansible(
    bare_host: Path, run_module: RunModule
) -> None:
    debian(bare_host, "")
    facts = run_module(host_probe)["ansible_facts"]
    ansible = run_module(setup, gather_subset=["min"])["ansible_facts"]
    names = {name for name in facts if name.startswith("distribution")}
    assert len(names) > 3
    for name in {*names, "os_family", "user_id"}:
        assert facts[name] == ansible[f"ansible_{name}"]
    assert facts["pkg_mgr"] == "apt"
    assert facts["vestibule_settled"] == []


def test_installed_packages_of_debian(bare_host: Path, run_module: RunModule) -> None:
    debian(
        bare_host,
        "prosody\t13.0.1-1\tinstalled\tinstall\nnginx\t1.26\tconfig-files\tdeinstall\n"
        "lua5.4\t5.4.7\tinstalled\tinstall",
    )
    assert probe(run_module)["packages"] == {"prosody": "13.0.1-1", "lua5.4": "5.4.7"}


def test_packages_that_are_held_and_by_whom(
    bare_host: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = bare_host / "held"
    ours.write_text("jicofo\nprosody\n")
    monkeypatch.setattr(managers, "HELD_BY_US", str(ours))
    debian(
        bare_host,
        "jicofo\t1.0\tinstalled\thold\nnginx\t1.26\tinstalled\thold\n"
        "prosody\t13.0.1-1\tinstalled\tinstall\ngone\t1\tconfig-files\thold",
    )
    assert probe(run_module)["held"] == {"jicofo": True, "nginx": False}


def test_installed_packages_of_arch(bare_host: Path, run_module: RunModule) -> None:
    program(bare_host, "pacman", "prosody 1:13.0.2-1\nlua 5.4.8-1")
    assert probe(run_module)["packages"] == {"prosody": "1:13.0.2-1", "lua": "5.4.8-1"}


def test_packages_that_pacman_ignores_and_who_had_it_do_so(
    bare_host: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = bare_host / "held"
    ours.write_text("prosody\nnginx\n")
    monkeypatch.setattr(managers, "HELD_BY_US", str(ours))
    program(bare_host, "pacman", "prosody 1:13.0.2-1\nlua 5.4.8-1\nnginx 1.28-1")
    program(bare_host, "pacman-conf", "prosody\nlua\ngone")
    assert probe(run_module)["held"] == {"prosody": True, "lua": False}


def test_candidates_are_asked_for_once_and_for_missing_packages_only(
    bare_host: Path, run_module: RunModule
) -> None:
    debian(bare_host, "nginx\t1.26\tinstalled\tinstall")
    apt_cache = program(bare_host, "apt-cache", POLICY)
    facts = probe(run_module, candidates=["nginx", "prosody", "gone", "jicofo"])
    assert facts["candidates"] == {"prosody": "13.0.1-1+deb13u1", "jicofo": "1.0-1120-1"}
    assert Path(f"{apt_cache}.calls").read_text() == "policy -- prosody gone jicofo\n"


def apt_get_that_finds_prosody(folder: Path) -> Path:
    """A fresh host: apt-cache knows nothing before ``apt-get update``."""
    debian(folder, "")
    program(folder, "apt-cache.later", POLICY)
    program(folder, "apt-cache", "")
    apt_get = program(folder, "apt-get", "")
    apt_get.write_text(
        f'{apt_get.read_text()}/bin/mv "{folder}/apt-cache.later" "{folder}/apt-cache"\n'
    )
    return apt_get


def test_lists_are_fetched_where_a_candidate_is_unknown(
    bare_host: Path, run_module: RunModule
) -> None:
    apt_get = apt_get_that_finds_prosody(bare_host)
    result = run_module(host_probe, candidates=["prosody"], refresh=True)
    assert result["changed"] is True
    facts = result["ansible_facts"]["vestibule"]
    assert facts["candidates"]["prosody"] == "13.0.1-1+deb13u1"
    again = run_module(host_probe, candidates=["prosody"], refresh=True)
    assert again["changed"] is False
    (call,) = Path(f"{apt_get}.calls").read_text().splitlines()
    assert call.startswith("update ")


@pytest.mark.parametrize("options", [{}, {"refresh": True, "_ansible_check_mode": True}])
def test_no_lists_are_fetched_unasked_or_in_check_mode(
    bare_host: Path, run_module: RunModule, options: dict[str, Any]
) -> None:
    apt_get = apt_get_that_finds_prosody(bare_host)
    assert probe(run_module, candidates=["prosody"], **options)["candidates"] == {}
    assert not Path(f"{apt_get}.calls").exists()


def test_no_candidates_are_asked_for_where_nothing_is_missing(
    bare_host: Path, run_module: RunModule
) -> None:
    debian(bare_host, "nginx\t1.26\tinstalled\tinstall")
    apt_cache = program(bare_host, "apt-cache", POLICY)
    assert probe(run_module, candidates=["nginx"])["candidates"] == {}
    assert not Path(f"{apt_cache}.calls").exists()


def test_candidates_of_arch(bare_host: Path, run_module: RunModule) -> None:
    """Where a name is unknown, pacman prints the others and fails."""
    program(bare_host, "pacman", PACMAN_INFO)
    (bare_host / "pacman").write_text((bare_host / "pacman").read_text() + '[ "$1" = -Q ]\n')
    facts = probe(run_module, candidates=["prosody", "lua-basexx", "jicofo"])
    assert facts["candidates"] == {"prosody": "1:13.0.2-1", "lua-basexx": "0.4.1-2"}


def test_a_broken_package_manager_is_no_empty_host(bare_host: Path, run_module: RunModule) -> None:
    debian(bare_host, "")
    broken = bare_host / "dpkg-query"
    broken.write_text("#!/bin/sh\necho 'dpkg-query: error: database is locked' >&2\nexit 2\n")
    broken.chmod(0o755)
    result = run_module(host_probe)
    assert result["failed"] and "database is locked" in result["msg"]


@pytest.mark.parametrize(
    "shebang",
    ["#!/usr/bin/env lua5.4", "#!/usr/bin/lua5.4", "#! /usr/bin/env -S lua5.4"],
)
def test_lua_is_the_one_that_prosody_starts_with(
    shebang: str, bare_host: Path, run_module: RunModule
) -> None:
    install_prosody(bare_host, shebang)
    interpreter = program(bare_host, "lua5.4", "Lua 5.4")
    facts = probe(run_module)
    assert facts["lua"] == {"version": "5.4", "interpreter": str(interpreter)}
    assert facts["prosody_version"] == "13.0.1"


@pytest.mark.parametrize("shebang", ["#!/usr/bin/env lua5.4", "-- no shebang", "#!/usr/bin/env"])
def test_lua_is_null_where_it_cannot_be_known(
    shebang: str, bare_host: Path, run_module: RunModule
) -> None:
    install_prosody(bare_host, shebang, version=None)
    facts = probe(run_module)
    assert (facts["lua"], facts["prosody_version"]) == (None, None)


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_a_listening_socket_is_found_with_its_process(
    family: socket.AddressFamily, address: str, run_module: RunModule
) -> None:
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        with socket.create_connection(server.getsockname()[:2]):
            found = own_listeners(run_module, server)
        # One, though the accepting end of the connection has the same address and port.
        assert found == [
            {
                "address": address,
                "port": server.getsockname()[1],
                "process": Path("/proc/self/comm").read_text().strip(),
                "pid": os.getpid(),
            }
        ]


def own_listeners(run_module: RunModule, server: socket.socket) -> list[dict[str, Any]]:
    port = server.getsockname()[1]
    return [listener for listener in probe(run_module)["listeners"] if listener["port"] == port]


def test_an_unknown_owner_is_null(run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> None:
    def listdir(path: str) -> list[str]:
        if path.endswith("/fd"):
            raise PermissionError(path)
        return real(path)

    real: Callable[[str], list[str]] = os.listdir
    monkeypatch.setattr(os, "listdir", listdir)
    with socket.create_server(("127.0.0.1", 0)) as server:
        (listener,) = own_listeners(run_module, server)
    assert (listener["process"], listener["pid"]) == (None, None)


def test_a_shared_socket_belongs_to_its_oldest_process(run_module: RunModule) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        held, release = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(release)
            os.read(held, 1)
            os._exit(0)
        try:
            (listener,) = own_listeners(run_module, server)
            assert listener["pid"] == min(os.getpid(), child)
        finally:
            os.close(release)
            os.close(held)
            os.waitpid(child, 0)


def test_the_clock_is_compared_with_the_controller(run_module: RunModule) -> None:
    began = time.time()
    facts = probe(run_module, controller_time=began - 3600)
    assert began <= facts["epoch"] <= time.time()
    assert 3600 <= facts["clock_offset"] <= time.time() - began + 3600


def test_check_mode_tells_the_same(run_module: RunModule) -> None:
    facts = probe(run_module, _ansible_check_mode=True)
    assert facts["uid"] == os.geteuid()


def show_units(folder: Path, units: list[dict[str, object]]) -> Path:
    """A systemctl that knows these units, as systemd 257 prints them."""
    stanzas = [
        "".join(f"{name}={value}\n" for name, value in unit.items() if value != "")
        for unit in units
    ]
    return program(folder, "systemctl", "\n".join(stanzas))


@pytest.fixture(name="own_group")
def _own_group() -> str:
    """The control group that the tests run in."""
    return Path("/proc/self/cgroup").read_text().splitlines()[-1].rpartition(":")[2]


def test_services_are_those_that_serve_and_start_at_boot(
    bare_host: Path, run_module: RunModule, own_group: str
) -> None:
    """Of those that systemd calls active, some have no process, or one that serves nobody."""
    gone = 2**22 + 1  # Linux has no such process
    shown = [
        ("nginx", "active", "enabled", os.getpid()),
        ("jicofo", "active", "generated", os.getpid()),
        ("prosody", "inactive", "enabled", os.getpid()),
        ("cron", "active", "disabled", os.getpid()),
        ("killed", "active", "enabled", gone),
    ]
    units: list[dict[str, object]] = [
        {
            "Id": f"{name}.service",
            "ActiveState": active,
            "UnitFileState": enabled,
            "ControlGroup": own_group,
            "MainPID": pid,
        }
        for name, active, enabled, pid in shown
    ]
    # An init script that has ended, as systemd sees it
    units.append({**units[1], "Id": "exited.service", "ControlGroup": "", "MainPID": 0})
    units.append({"Id": "gone.service", "ActiveState": "inactive"})
    systemctl = show_units(bare_host, units)
    with socket.create_server(("127.0.0.1", 0)):
        assert probe(run_module, services=["nginx", "gone"])["services"] == ["jicofo", "nginx"]
    call = Path(f"{systemctl}.calls").read_text().splitlines()[0]
    assert call.endswith(" -- nginx.service gone.service")


def test_a_halted_process_serves_nobody(
    bare_host: Path, run_module: RunModule, own_group: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        try:
            unit: dict[str, object] = {
                "Id": "nginx.service",
                "ActiveState": "active",
                "UnitFileState": "enabled",
                "ControlGroup": own_group,
                "MainPID": child,
            }
            show_units(bare_host, [unit])
            assert probe(run_module, services=["nginx"])["services"] == ["nginx"]
            os.kill(child, signal.SIGSTOP)
            os.waitpid(child, os.WUNTRACED)
            assert probe(run_module, services=["nginx"])["services"] == []
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_masked_services_are_told(bare_host: Path, run_module: RunModule) -> None:
    show_units(bare_host, [{"Id": "nginx.service", "LoadState": "masked"}])
    assert probe(run_module, services=["nginx"])["masked"] == ["nginx"]


def test_units_that_are_not_ours_are_told(
    run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "etc", tmp_path / "usr"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(host_probe, "_UNIT_FOLDERS", tuple(map(str, folders)))
    (folders[0] / "jicofo.service").write_text("# Made by Vestibule, role jicofo.\n")
    assert probe(run_module)["unit_files"] == {}
    (folders[1] / "jicofo.service").write_text("[Unit]\n")
    assert probe(run_module)["unit_files"] == {"jicofo": str(folders[1] / "jicofo.service")}
    (folders[0] / "jicofo.service").write_text("[Unit]\n")
    assert probe(run_module)["unit_files"] == {"jicofo": str(folders[0] / "jicofo.service")}


def test_modules_of_prosody_are_found_below_folders(
    bare_host: Path, run_module: RunModule, tmp_path: Path
) -> None:
    for name in ("mod_one.lua", "mod_two/mod_two.lua", "util.lib.lua"):
        (tmp_path / "plugins" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plugins" / name).touch()
    folders = [str(tmp_path / "plugins"), str(tmp_path / "gone")]
    assert probe(run_module, plugin_paths=folders)["prosody_modules"] == [
        str(tmp_path / "plugins" / name) for name in ("mod_one.lua", "mod_two/mod_two.lua")
    ]


def test_options_that_modules_read_are_found(
    bare_host: Path, run_module: RunModule, tmp_path: Path
) -> None:
    (tmp_path / "mod_one.lua").write_text(
        "local a = module:get_option_boolean('first', false);\n"
        'local b = module:get_option(\n\t"second", { third = true });\n-- "fourth"\n'
    )
    found = probe(run_module, plugin_paths=[str(tmp_path)])["prosody_options"]
    assert found == ["one.first", "one.second"]


@pytest.mark.parametrize(
    ("depends", "package"),
    [
        pytest.param("lua  lua-sec  lua-socket  openssl", "lua", id="the newest Lua"),
        pytest.param("lua54  lua54-sec  libidn", "lua54", id="another Lua"),
        pytest.param("lua-sec  luajit  openssl", "lua", id="none of its own"),
        pytest.param("None", "lua", id="no dependency"),
    ],
)
def test_the_lua_that_prosody_depends_on_names_its_libraries(
    bare_host: Path, run_module: RunModule, depends: str, package: str
) -> None:
    program(
        bare_host, "pacman", f"Name : prosody\nDepends On      : {depends}\nOptional Deps : lua52"
    )
    assert probe(run_module)["lua_package"] == package


def test_debian_has_one_name_for_a_library_of_all_lua(
    bare_host: Path, run_module: RunModule
) -> None:
    debian(bare_host, "prosody\t13.0.1-1\tinstalled\tinstall")
    assert probe(run_module)["lua_package"] == "lua"


@pytest.mark.parametrize(
    ("plugins", "jicofo", "bridge"),
    [
        pytest.param(
            "/usr/share/jitsi-meet/prosody-plugins",
            "/etc/jitsi/jicofo",
            "/etc/jitsi/videobridge",
            id="Debian",
        ),
        pytest.param(
            "/usr/lib/jitsi-meet-prosody",
            "/etc/jicofo",
            "/etc/jitsi-videobridge",
            id="AUR, from source",
        ),
        pytest.param(
            "/usr/share/jitsi-meet-prosody-plugins",
            "/etc/jitsi/jicofo",
            "/etc/jitsi/videobridge",
            id="AUR, binaries",
        ),
    ],
)
def test_the_package_manager_says_where_the_packages_have_their_things(
    plugins: str, jicofo: str, bridge: str
) -> None:
    files = [
        *("/etc", "/etc/jitsi", f"{plugins}/token/util.lib.lua", f"{plugins}/mod_auth_token.lua"),
        *(f"{jicofo}", f"{jicofo}/logging.properties", "/etc/logrotate.d/jicofo"),
        "/etc/init.d/jicofo",
        *(bridge, f"{bridge}/logging.properties", "/etc/logrotate.d/jitsi-videobridge"),
    ]
    assert host_probe.jitsi_places(files) == {
        "plugins": plugins,
        "jicofo": jicofo,
        "videobridge": bridge,
    }


def test_places_are_null_where_no_package_has_them(bare_host: Path, run_module: RunModule) -> None:
    program(bare_host, "pacman", "prosody 1:13.0.2-1")
    assert probe(run_module)["jitsi"] == {"plugins": None, "jicofo": None, "videobridge": None}


def test_a_port_of_udp_that_another_program_has_is_told(
    bare_host: Path, run_module: RunModule
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        wanted = {
            "unit": "bridge*",
            "addresses": ["0.0.0.0", "::"],
            "ports": [],
            "udp_ports": [port],
        }
        [taken] = probe(run_module, listens=[wanted])["in_the_way"]["bridge*"]["taken"]
        assert (taken["port"], taken["pid"]) == (port, os.getpid())
        # Neither a port of TCP with the same number nor a program that is the wanted one
        tcp = {**wanted, "ports": [port], "udp_ports": []}
        own = {**wanted, "processes": [taken["process"]]}
        for each in (tcp, own):
            assert probe(run_module, listens=[each])["in_the_way"]["bridge*"]["taken"] == []


def test_a_port_of_udp_is_free_once_its_program_is_gone(
    bare_host: Path, run_module: RunModule
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    wanted = {"unit": "bridge*", "addresses": ["0.0.0.0"], "ports": [], "udp_ports": [port]}
    assert probe(run_module, listens=[wanted])["in_the_way"]["bridge*"]["taken"] == []


def test_memory_is_in_megabytes() -> None:
    assert host_probe.memory("MemTotal:        2048000 kB\nMemFree: 5 kB\n") == 2000
    assert host_probe.memory("") == 0


def test_own_addresses_are_those_by_which_packets_leave(
    bare_host: Path, run_module: RunModule
) -> None:
    addresses = probe(run_module)["addresses"]
    assert addresses.keys() == {"ipv4", "ipv6"}
    for version, address in addresses.items():
        if address:
            assert f"ipv{ipaddress.ip_address(address).version}" == version


SOURCE = {
    "name": "jitsi",
    "role": "jitsi_tokens",
    "url": "https://packages.example.org",
    "suite": "stable/",
    "fingerprint": "0123456789ABCDEF0123456789ABCDEF01234567",
    "packages": "jitsi-* jicofo",
    "priority": 500,
    "key": "the\r\nkey",
}


@pytest.fixture(name="apt")
def _apt(bare_host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The files of a source that is named to apt, by the folder that each is in."""
    debian(bare_host, "")
    monkeypatch.setattr(sources, "APT", f"{tmp_path}/apt")
    for name, text in sources.render_apt(SOURCE).items():
        Path(name).parent.mkdir(parents=True)
        Path(name).write_bytes(text.encode())
        Path(name).chmod(0o644)
    return {path.parent.name: path for path in tmp_path.glob("apt/*/*")}


@pytest.mark.parametrize("suite", ["stable/", "trixie"])
def test_a_source_is_told_as_it_was_named(
    apt: dict[str, Path], run_module: RunModule, suite: str
) -> None:
    source = {**SOURCE, "suite": suite}
    for name, text in sources.render_apt(source).items():
        Path(name).write_bytes(text.encode())
    assert probe(run_module)["sources"] == {"jitsi": source}


@pytest.mark.parametrize("folder", ["keyrings", "preferences.d", "sources.list.d"])
@pytest.mark.parametrize("change", ["away", "empty", "more", "mode"])
def test_a_source_that_somebody_changed_is_told_without_what_it_says(
    apt: dict[str, Path], run_module: RunModule, folder: str, change: str
) -> None:
    path = apt[folder]
    if change == "away":
        path.unlink()
    elif change == "mode":
        path.chmod(0o666)
    else:
        path.write_text("" if change == "empty" else f"{path.read_text()}\nTrusted: yes\n")
    found = probe(run_module)["sources"]
    if (folder, change) == ("keyrings", "more"):
        found["jitsi"].pop("key")  # which is compared with the one that has to be there
        assert found["jitsi"].items() <= SOURCE.items()
    else:
        assert found == {"jitsi": {}}


def test_a_host_without_sources_of_ours_has_none(bare_host: Path, run_module: RunModule) -> None:
    assert probe(run_module)["sources"] == {}


def test_a_run_that_was_cut_off_while_it_installed_is_told(
    bare_host: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managers, "POLICY", str(bare_host / "policy-rc.d"))
    assert probe(run_module)["installation_cut_off"] is False
    (bare_host / "policy-rc.d").write_text(f"#!/bin/sh\n{managers._MARK}\nexit 101\n")
    assert probe(run_module)["installation_cut_off"] is True


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        pytest.param("", "", id="no file"),
        pytest.param("Name: jitsi-videobridge/jvb-hostname\nOwners: jicofo\n\n", "", id="no value"),
        pytest.param(
            "Name: jitsi-meet-prosody/jvb-hostname\nValue: old\n\n"
            "Name: jitsi-videobridge/jvb-hostname\nTemplate: x\nValue: new\nOwners: jicofo\n\n",
            "new",
            id="a value",
        ),
        pytest.param(
            "Name: jitsi-videobridge/jvb-hostname\nTemplate: x\n\nName: other\nValue: theirs\n",
            "",
            id="the value of another question",
        ),
    ],
)
def test_an_answer_is_read_of_its_question_alone(text: str, answer: str) -> None:
    assert host_probe.debconf_answer(text, "jitsi-videobridge/jvb-hostname") == answer


def test_what_services_run_in_a_former_state_is_told_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []

    class Manager:
        @staticmethod
        def changed(names: list[str]) -> dict[str, float]:
            asked.append(names)
            return dict.fromkeys(names, 200.0)

    monkeypatch.setattr(services, "replaced_programs", lambda _: [])
    before, after = (
        services.Service(name, active="active", processes=(1,), began=began)
        for name, began in (("jitsi-videobridge2", 100.0), ("prosody", 300.0))
    )
    reads = [
        {"unit": "jitsi-videobridge*", "packages": ["jitsi-videobridge*"], "files": []},
        {"unit": "prosody", "packages": ["prosody", "lua-*"], "files": []},
        {"unit": "coturn", "packages": ["coturn"], "files": []},
    ]
    installed = ["jitsi-videobridge2", "lua-sec", "prosody", "vim"]
    found = host_probe.outdated(reads, [before, after], Manager(), installed)  # type: ignore[arg-type]
    assert found == {"jitsi-videobridge2": ["jitsi-videobridge2"], "prosody": []}
    assert asked == [["jitsi-videobridge2", "lua-sec", "prosody"]]


def test_apt_and_pacman_tell_when_packages_came(
    bare_host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Module:
        @staticmethod
        def run_command(argv: list[str], **_: Any) -> tuple[int, str, str]:
            assert argv[-2:] == ["--", "prosody"]
            return 0, "prosody\t1795250997\n", ""

    assert managers.Apt(Module()).changed(["prosody"]) == {"prosody": 1795250997.0}
    assert managers.Apt(Module()).changed([]) == {}
    monkeypatch.setattr(managers, "_DATABASE", str(tmp_path))
    for name in ("jitsi-meet-prosody-1.0-2", "jitsi-meet-prosody-bin-1.0-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "desc").touch()
        os.utime(tmp_path / name / "desc", (7, 7))
    assert managers.Pacman(Module()).changed(["jitsi-meet-prosody", "prosody"]) == {
        "jitsi-meet-prosody": 7.0
    }

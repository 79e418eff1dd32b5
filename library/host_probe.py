#!/usr/bin/python
"""Ansible module ``host_probe``: what a deployment must know of a host, in one round trip."""

from __future__ import annotations

import fnmatch
import getpass
import glob
import os
import re
import time
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import (
    certificates,
    files,
    former,
    lease,
    lua,
    managers,
    moments,
    package_locks,
    sockets,
    system,
)
from ansible.module_utils.vestibule import services as units
from ansible.module_utils.vestibule.programs import program

DOCUMENTATION = r"""
module: host_probe
short_description: Look at a host in one round trip
description:
  - Reads who we are, the clock, the packages, the listening TCP sockets and Prosody's Lua, and
    returns them as the fact C(vestibule), beside those of M(ansible.builtin.setup) that roles need.
  - Where a run of ours was cut off and what it installs is still being installed, waits for that.
  - Needs no package on the host. Where something is not installed, its value is empty or null.
options:
  candidates:
    description: Packages of which to tell the version that an installation would bring.
    type: list
    elements: str
    default: []
  refresh:
    description:
      - Fetch the lists of packages where the host neither has nor knows a candidate, as on a fresh
        host. That is the one change this module makes, and not in check mode.
    type: bool
    default: false
  plugin_paths:
    description: Folders in which to look for modules of Prosody.
    type: list
    elements: path
    default: []
  folders:
    description: Folders of which to tell where they are in truth, behind all symbolic links.
    type: list
    elements: path
    default: []
  services:
    description: Services of systemd of which to tell whether they run and start at boot.
    type: list
    elements: str
    default: [prosody, jicofo, nginx, coturn, jitsi-videobridge2, jitsi-videobridge]
  reads:
    description: What services read when they start, to tell where that has changed since.
    type: list
    elements: dict
    default: []
    suboptions:
      unit:
        description: Service of systemd. C(*) stands for the rest of its name.
        type: str
        required: true
      packages:
        description: Packages of which it runs files, with C(*) likewise.
        type: list
        elements: str
        default: []
      files:
        description: Files that it reads.
        type: list
        elements: str
        default: []
  paths:
    description: Paths of which to tell what stands there.
    type: list
    elements: str
    default: []
  resolve:
    description: Names of which to tell the addresses that this host finds for them.
    type: list
    elements: str
    default: []
  listens:
    description: Where programs are to listen.
    type: list
    elements: dict
    default: []
    suboptions:
      unit:
        description: >-
          Service of systemd that is to listen there, and may do so already. C(*) stands for the
          rest of its name.
        type: str
        required: true
      processes:
        description: Names of its processes, which count as it, however they were started.
        type: list
        elements: str
        default: []
      addresses:
        description: Addresses of this host. What is none, such as a name, is not looked at.
        type: list
        elements: str
        required: true
      ports:
        description: Ports.
        type: list
        elements: int
        required: true
      udp_ports:
        description: UDP ports.
        type: list
        elements: int
        default: []
  certificates:
    description: Certificates to look at, each with the options of M(certificates).
    type: list
    elements: dict
    default: []
    suboptions:
      names:
        description: Names of servers, of which each has a certificate.
        type: list
        elements: str
        required: true
      more_names:
        description: Further names that an operator's certificate has to be for.
        type: list
        elements: str
        default: []
      directory:
        description: Where they are, as C(NAME.crt) and C(NAME.key).
        type: str
      path:
        description: File with the certificate and those of the authorities in between, instead.
        type: str
      key:
        description: File with its key.
        type: str
      variable:
        description: Variable of the operator that names I(path), empty where we made it.
        type: str
        default: ""
      authority:
        description: File with the certificate of a private authority that signed it.
        type: str
      address:
        description: Where a program shows the certificate.
        type: str
      port:
        description: TCP port of that program.
        type: int
      xmpp:
        description: Whether TLS has to be asked for in a stream of XMPP first.
        type: bool
        default: false
      java:
        description: Store of Java that should have the certificate.
        type: str
  controller_time:
    description:
      - Time on the controller in seconds since 1970, from which C(clock_offset) follows.
      - It is read when the task starts, so the time to reach the host counts into the offset.
    type: float
  settled:
    description:
      - Wishes that C(vestibule_settled) still names afterwards, as no reason to ask again touches
        what they are about.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Reads only, and fetches no lists.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Ask the host what it has
  host_probe:
    candidates: [prosody, jicofo]
    controller_time: "{{ now().timestamp() }}"

- name: Refuse a port that is taken
  ansible.builtin.assert:
    that: ansible_facts['vestibule'].listeners | selectattr('port', 'eq', 443) | length == 0
"""

RETURN = r"""
ansible_facts:
  description: >-
    The fact C(vestibule), and of M(ansible.builtin.setup) C(user_id), C(pkg_mgr), C(os_family),
    C(distribution), C(distribution_version), C(distribution_major_version) and
    C(distribution_release).
  returned: always
  type: complex
  contains:
    vestibule_settled:
      description: >-
        What I(settled) names. The rest of what M(look) found may be otherwise since there is a
        reason to ask again.
      returned: always
      type: list
    vestibule:
      description: What the host is like.
      returned: always
      type: complex
      contains:
        uid:
          description: Number of the user whom the tasks run as, 0 for root.
          type: int
          returned: always
        epoch:
          description: Time on the host in seconds since 1970.
          type: float
          returned: always
        clock_offset:
          description: Seconds by which the host is ahead of the controller, negative if behind.
          type: float
          returned: always, null without I(controller_time)
        packages:
          description: Version of every installed package, by name.
          type: dict
          returned: always
          sample: {prosody: 13.0.1-1+deb13u1}
        held:
          description: >-
            Packages that somebody keeps from changing, by name, and whether it was Vestibule.
          type: dict
          returned: always
          sample: {jicofo: true}
        sources:
          description: >-
            Repositories that Vestibule has named to apt or pacman, by name, each with the options
            of the module M(package_source), empty where a file of it was changed or is missing,
            or pacman does not trust its key.
          type: dict
          returned: always
        installation_cut_off:
          description: Whether a run was cut off while it installed packages.
          type: bool
          returned: always
        candidates:
          description: >-
            Version that an installation would bring, of every package asked for that is not
            installed and that the host's repositories have.
          type: dict
          returned: always
        listeners:
          description: >-
            TCP sockets that wait for connections. Process and pid are null where the user may not
            see them. IPv4 addresses of IPv6 sockets are written as IPv4.
          type: list
          elements: dict
          returned: always
          sample: [{address: 127.0.0.1, port: 5280, process: lua5.4, pid: 812}]
        public_addresses:
          description: Addresses of this host that are in no private network.
          type: list
          elements: str
          returned: always
          sample: [192.0.2.10, "2001:db8::10"]
        in_the_way:
          description: >-
            By the units in I(listens), C(missing) with those of their addresses that this host does
            not have and the reasons, and C(taken) with the sockets of other programs, as in
            C(listeners).
          type: dict
          returned: always
        kinds:
          description: What stands at I(paths), file, directory, other, dangling or nothing.
          type: dict
          returned: always
          sample: {/usr/share/jitsi-meet: directory}
        resolved:
          description: Addresses of each of I(resolve), by name; an empty list where there is none.
          type: dict
          returned: always
          sample: {meet.example.org: [192.0.2.1]}
        certificates:
          description: What M(certificates) tells of each of I(certificates), by its path.
          type: dict
          returned: always
        services:
          description: >-
            Those of I(services) that run, have a process that lives and listens, and start at boot.
          type: list
          elements: str
          returned: always
          sample: [nginx, prosody]
        up:
          description: Those of I(services) that run.
          type: list
          elements: str
          returned: always
        alive:
          description: Those of I(services) that have a process or start at boot.
          type: list
          elements: str
          returned: always
        masked:
          description: Those of I(services) that somebody masked.
          type: list
          elements: str
          returned: always
        unit_files:
          description: >-
            Where those of I(services) have a unit that is not of Vestibule's making, by name. A
            service with an init script alone has none.
          type: dict
          returned: always
          sample: {nginx: /usr/lib/systemd/system/nginx.service}
        addresses:
          description: >-
            Own addresses by which packets to everywhere leave, C(ipv4) and C(ipv6), empty where
            none do.
          type: dict
          returned: always
          sample: {ipv4: 192.0.2.10, ipv6: ""}
        memory:
          description: Megabytes of memory, 0 where the kernel does not tell.
          type: int
          returned: always
        outdated:
          description: >-
            What each service of I(reads) runs in a former state, if it runs: packages and programs
            that were replaced, files and units that were written since it started. By service.
          type: dict
          returned: always
          sample: {nginx: [], prosody: [jitsi-meet-prosody], jicofo: []}
        lease:
          description: >-
            Who deploys to this host: C(holder), empty for nobody, C(since) in seconds since 1970,
            its C(age) in seconds, whether it is still C(connected), and C(mark), which every
            deployment changes.
          type: dict
          returned: always
        left_behind:
          description: What is meant for a moment alone, and was left by a run that was cut off.
          type: list
          elements: str
          returned: always
        former_kept:
          description: >-
            Whether a run wrote files and was cut off before it knew that they are good, so that the
            former ones are kept.
          type: bool
          returned: always
        change_undecided:
          description: >-
            Whether an upgrade or the way back from one was cut off, so that nobody knows whether
            what is there is good.
          type: bool
          returned: always
        lua:
          description: The Lua that Prosody runs on, null without Prosody.
          type: dict
          returned: always
          sample: {version: "5.4", interpreter: /usr/bin/lua5.4}
        lua_package:
          description: >-
            Package of the Lua that Prosody depends on, installed or not, C(lua) where the names of
            Lua libraries do not depend on the version. Their names begin with it.
          type: str
          returned: always
          sample: lua54
        jitsi:
          description: >-
            Where Jitsi's packages have their things, as the package manager says: C(plugins) is the
            folder with C(mod_auth_token.lua), C(jicofo) the one of Jicofo's configuration,
            C(videobridge) the one of the bridge's. Null where no package has them.
          type: dict
          returned: always
          sample: {plugins: /usr/lib/jitsi-meet-prosody, jicofo: /etc/jicofo, videobridge: null}
        jitsi_answer:
          description: >-
            Domain that debconf knows for Jitsi's packages, of which their next version makes files.
            Empty where nobody told it.
          type: str
          returned: always
          sample: meet.example.org
        real_folders:
          description: Paths of I(folders) without symbolic links, by the path that was given.
          type: dict
          returned: always
          sample: {/srv/client: /usr/share/jitsi-meet}
        prosody_modules:
          description: >-
            Paths of the modules of Prosody in I(plugin_paths), in the folder of the package with
            Jitsi's plugins, and in the folders below.
          type: list
          elements: str
          returned: always
        prosody_options:
          description: Options that these modules read, as C(module.option). Older ones know fewer.
          type: list
          elements: str
          returned: always
          sample: [muc_wait_for_host.wait_for_host_disable_auto_owners]
        prosody_version:
          description: The version that Prosody itself names, null without Prosody.
          type: str
          returned: always
          sample: 13.0.1
"""

_PATIENCE = 600  # seconds for an installation that a run began
_DEBCONF = "/var/cache/debconf/config.dat"
# Documentation addresses, which a route to everywhere leads to as well (RFC 5737, RFC 3849)
_ELSEWHERE = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}
# The administrator's comes first, as with systemd (systemd.unit(5))
_UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_READS: dict[str, Any] = {
    "unit": {"type": "str", "required": True},
    "packages": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "list", "elements": "str", "default": []},
}
_LISTENS: dict[str, Any] = {
    "unit": {"type": "str", "required": True},
    "processes": {"type": "list", "elements": "str", "default": []},
    "addresses": {"type": "list", "elements": "str", "required": True},
    "ports": {"type": "list", "elements": "int", "required": True},
    "udp_ports": {"type": "list", "elements": "int", "default": []},
}


def listeners(protocol: str = "tcp") -> list[dict[str, Any]]:
    """The sockets of this network namespace that wait for anybody, by port."""
    found = []
    waiting = sockets.listening("/proc/self", protocol)
    owners = socket_owners(set(waiting))
    for inode, (address, port) in waiting.items():
        pid = owners.get(inode)
        process = files.read(f"/proc/{pid}/comm").strip() or None
        found.append({"address": address, "port": port, "process": process, "pid": pid})
    return sorted(found, key=lambda listener: (listener["port"], listener["address"]))


def socket_owners(wanted: set[int]) -> dict[int, int]:
    """Process of every socket, the oldest one where several share it (a master and its workers)."""
    owners: dict[int, int] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        if len(owners) == len(wanted):
            break
        for inode in sockets.inodes(f"/proc/{pid}"):
            if inode in wanted:
                owners.setdefault(inode, pid)
    return owners


def in_the_way(
    wanted: list[dict[str, Any]],
    found: list[dict[str, Any]],
    found_udp: list[dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    """What keeps programs from listening where they are told to, by their unit."""
    answers: dict[str, dict[str, Any]] = {}
    for each in wanted:
        answer = answers.setdefault(each["unit"], {"missing": {}, "taken": []})
        addresses = {text: sockets.numeric(text) for text in each["addresses"]}
        tried = {text: sockets.why_not(address) for text, address in addresses.items() if address}
        answer["missing"].update({text: reason for text, reason in tried.items() if reason})
        answer["taken"] += [
            other
            for ports, others in ((each["ports"], found), (each["udp_ports"], found_udp))
            for other in others
            if other["port"] in ports
            and any(sockets.overlap(other["address"], one) for one in addresses.values() if one)
            and other["process"] not in each["processes"]
            and not fnmatch.fnmatchcase(sockets.unit(f"/proc/{other['pid']}"), each["unit"])
        ]
    return answers


def outdated(
    reads: list[dict[str, Any]],
    looked_at: list[units.Service],
    manager: managers.Apt | managers.Pacman | None,
    installed: Iterable[str],
) -> dict[str, list[str]]:
    """What services run in a former state, by their names."""

    def are_of(each: dict[str, Any], name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in each["packages"])

    names = sorted(name for name in installed if any(are_of(each, name) for each in reads))
    changed = manager.changed(names) if manager else {}
    found: dict[str, list[str]] = {}
    for service in looked_at:
        for each in reads:
            if fnmatch.fnmatchcase(service.name, each["unit"]):
                packages = {name: when for name, when in changed.items() if are_of(each, name)}
                words = units.outdated(service, packages, each["files"])
                found[service.name] = sorted({*found.get(service.name, []), *words})
    return found


def memory(text: str) -> int:
    """Megabytes of memory in /proc/meminfo, which names kilobytes."""
    found = re.search(r"^MemTotal: +(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) // 1024 if found else 0


def kinds(paths: list[str]) -> dict[str, str]:
    """What stands at paths: file, directory, other, dangling (a link to nothing) or nothing."""
    return {path: _kind(path) for path in paths}


def _kind(path: str) -> str:
    if not os.path.exists(path):
        return "dangling" if os.path.lexists(path) else "nothing"
    if os.path.isdir(path):
        return "directory"
    return "file" if os.path.isfile(path) else "other"


def wait_for_ours(manager: managers.Apt | managers.Pacman | None) -> None:
    """Until an installation has ended that a run of ours began, though its controller is gone.

    What is seen before would be wrong by the time at which it is used.
    """
    package_locks.wait([package_locks.OURS], _PATIENCE)
    if manager and managers.installation_was_cut_off():
        package_locks.wait(manager.locks, _PATIENCE)


def refresh(
    module: AnsibleModule, manager: managers.Apt | managers.Pacman, names: list[str]
) -> bool:
    """Whether the lists of packages were fetched, as they lacked one of these packages."""
    if not module.params["refresh"] or module.check_mode:
        return False
    if manager.candidates(names).keys() >= set(names):
        return False
    manager.fetch_lists()
    return True


def lua_package(module: AnsibleModule, installed: bool) -> str:
    """Package of the Lua that Arch's Prosody depends on."""
    source = "-Qi" if installed else "-Si"
    return parse_lua_dependency(module.run_command(["pacman", source, "--", "prosody"])[1])


def parse_lua_dependency(text: str) -> str:
    """The package ``lua``, or ``lua`` with digits, in what ``pacman -Si`` prints of a package."""
    depends = re.search(r"^Depends On +: (.*)$", text, re.MULTILINE)
    names = re.findall(r"(?<!\S)lua\d*(?!\S)", depends.group(1)) if depends else []
    return names[0] if names else "lua"


def jitsi_places(paths: list[str]) -> dict[str, str | None]:
    """Folders of the plugins and of configurations among the files of Jitsi's packages."""

    def folder(pattern: str) -> str | None:
        found = sorted(os.path.dirname(path) for path in paths if re.fullmatch(pattern, path))
        return found[0] if found else None

    return {
        "plugins": folder(r"/.*/mod_auth_token\.lua"),
        "jicofo": folder(r"/etc/(.*/)?jicofo/[^/]+"),
        "videobridge": folder(r"/etc/(.*/)?(jitsi-)?videobridge/[^/]+"),
    }


def debconf_answer(text: str, question: str) -> str:
    """What debconf knows, in its file of stanzas (debconf-devel(7)). Empty where it does not."""
    asked = rf"^Name: {re.escape(question)}\n(?:\S.*\n)*?Value: (.*)$"
    found = re.search(asked, text, re.MULTILINE)
    return found[1].strip() if found else ""


def prosody_modules(folders: list[str]) -> list[str]:
    """Paths of files that are modules, ``mod_*.lua``."""
    return sorted(
        os.path.join(place, name)
        for folder in folders
        for place, _, names in os.walk(folder)
        for name in names
        if lua.is_module(name)
    )


def prosody_options(paths: list[str]) -> list[str]:
    """Options that modules read, as ``module.option``."""
    found = (lua.options(os.path.basename(path), files.read(path)) for path in paths)
    return sorted(set().union(*found))


def unit_files(names: list[str]) -> dict[str, str]:
    """Unit files that packages or people brought, by service."""
    found: dict[str, str] = {}
    for name in names:
        for folder in _UNIT_FOLDERS:
            path = f"{folder}/{name}.service"
            if os.path.isfile(path) and files.MADE_BY not in files.read(path):
                found.setdefault(name, path)
    return found


def drop_ins(names: list[str]) -> dict[str, list[str]]:
    """Files of the administrator beside ours that change units, by service (systemd.unit(5))."""
    found: dict[str, list[str]] = {}
    for name in names:
        for path in sorted(glob.glob(f"{_UNIT_FOLDERS[0]}/{name}.service.d/*.conf")):
            if files.MADE_BY not in files.read(path):
                found.setdefault(name, []).append(path)
    return found


def lua_of(module: AnsibleModule, script: str) -> dict[str, str] | None:
    """The interpreter that the first line of Prosody's start script names, and its version.

    ``prosodyctl about`` says the same, twenty times slower.
    """
    interpreter = program(script)
    path = module.get_bin_path(interpreter) if interpreter else None
    if path is None:
        return None
    version = module.run_command([path, "-e", "print(_VERSION)"], check_rc=True)[1]
    return {"version": version.replace("Lua", "").strip(), "interpreter": path}


def prosody_version(script: str) -> str | None:
    """The version in the file that Prosody reads it from (upstream: util/startup.lua)."""
    folder = re.search(r"^CFG_SOURCEDIR='([^']+)'", script, re.MULTILINE)
    return files.read(f"{folder.group(1)}/prosody.version").strip() or None if folder else None


def platform(module: AnsibleModule) -> dict[str, Any]:
    """Facts of Ansible's own, by its names: which system this is, and who asks."""
    manager = managers.find(module)
    return {
        **system.facts(),
        "pkg_mgr": type(manager).__name__.lower() if manager else "unknown",
        "user_id": getpass.getuser(),
    }


def run(module: AnsibleModule) -> tuple[bool, dict[str, Any]]:
    """Whether lists of packages were fetched, and everything about this host."""
    epoch = time.time()
    controller_time = module.params["controller_time"]
    manager = managers.find(module)
    wait_for_ours(manager)
    packages = manager.packages() if manager else {}
    ours = managers.recorded()
    missing = [name for name in module.params["candidates"] if name not in packages]
    refreshed = manager is not None and refresh(module, manager, missing)
    jitsi = [name for name in packages if name.startswith(("jitsi", "jicofo"))]
    places = jitsi_places(manager.files_of(jitsi) if manager else [])
    # Prosody knows them by another path, which need not lead there yet
    plugins = [places["plugins"]] if places["plugins"] else []
    modules = prosody_modules([*module.params["plugin_paths"], *plugins])
    start_script = files.read(module.get_bin_path("prosody") or "")
    looked_at = units.look(module, module.params["services"])
    waiting = listeners()
    return refreshed, {
        "uid": os.geteuid(),
        "epoch": epoch,
        "clock_offset": None if controller_time is None else epoch - controller_time,
        "packages": {name: version for name, (version, _) in packages.items()},
        "held": {name: name in ours for name, (_, held) in packages.items() if held},
        "sources": manager.sources() if manager else {},
        "installation_cut_off": manager.was_cut_off()
        if manager
        else managers.installation_was_cut_off(),
        "candidates": manager.candidates(missing) if manager else {},
        "public_addresses": sockets.public_addresses(),
        "listeners": waiting,
        "in_the_way": in_the_way(
            module.params["listens"],
            waiting,
            listeners("udp") if any(each["udp_ports"] for each in module.params["listens"]) else [],
        ),
        "addresses": {name: sockets.leaving(each) for name, each in _ELSEWHERE.items()},
        "memory": memory(files.read("/proc/meminfo")),
        "kinds": kinds(module.params["paths"]),
        "resolved": {name: sockets.addresses_of(name) for name in module.params["resolve"]},
        "certificates": certificates.look(module.params["certificates"]),
        "services": sorted(each.name for each in looked_at if each.is_up and each.starts_at_boot),
        "up": sorted(each.name for each in looked_at if each.is_up),
        "alive": sorted(each.name for each in looked_at if each.processes or each.starts_at_boot),
        "at_boot": sorted(each.name for each in looked_at if each.starts_at_boot),
        "drop_ins": drop_ins(module.params["services"]),
        "masked": sorted(each.name for each in looked_at if each.is_masked),
        "unit_files": unit_files(module.params["services"]),
        "outdated": outdated(module.params["reads"], looked_at, manager, packages),
        "lease": lease.look(),
        "left_behind": moments.left(),
        "former_kept": former.is_kept(),
        "change_undecided": os.path.exists(former.UNDECIDED),
        "lua": lua_of(module, start_script),
        # Debian has one name for all versions
        "lua_package": lua_package(module, "prosody" in packages)
        if isinstance(manager, managers.Pacman)
        else "lua",
        "jitsi": places,
        "jitsi_answer": debconf_answer(files.read(_DEBCONF), "jitsi-videobridge/jvb-hostname"),
        "real_folders": {path: os.path.realpath(path) for path in module.params["folders"]},
        "prosody_modules": modules,
        "prosody_options": prosody_options(modules),
        "prosody_version": prosody_version(start_script),
    }


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "candidates": {"type": "list", "elements": "str", "default": []},
            "refresh": {"type": "bool", "default": False},
            "plugin_paths": {"type": "list", "elements": "path", "default": []},
            "folders": {"type": "list", "elements": "path", "default": []},
            "services": {"type": "list", "elements": "str", "default": list(units.STACK)},
            "reads": {"type": "list", "elements": "dict", "default": [], "options": _READS},
            "paths": {"type": "list", "elements": "str", "default": []},
            "resolve": {"type": "list", "elements": "str", "default": []},
            "listens": {"type": "list", "elements": "dict", "default": [], "options": _LISTENS},
            "certificates": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": certificates.SPEC,
            },
            "controller_time": {"type": "float"},
            "settled": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    try:
        refreshed, facts = run(module)
    except managers.PackageError as error:
        module.fail_json(msg=str(error))
    known = {**platform(module), "vestibule": facts, "vestibule_settled": module.params["settled"]}
    module.exit_json(changed=refreshed, ansible_facts=known)


if __name__ == "__main__":
    main()

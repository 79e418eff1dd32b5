#!/usr/bin/python
"""Ansible module ``host_probe``: what a deployment must know of a host, in one round trip."""

from __future__ import annotations

import glob
import ipaddress
import os
import re
import shlex
import sys
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_probe
short_description: Look at a host in one round trip
description:
  - Reads who we are, the clock, the packages, the listening TCP sockets and Prosody's Lua, and
    returns them as the fact C(vestibule).
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
  controller_time:
    description:
      - Time on the controller in seconds since 1970, from which C(clock_offset) follows.
      - It is read when the task starts, so the time to reach the host counts into the offset.
    type: float
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
  description: The one fact C(vestibule).
  returned: always
  type: complex
  contains:
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
        apt_files:
          description: >-
            What is in the files by which Vestibule names repositories to apt, by path (sources,
            pins and keys).
          type: dict
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
        services:
          description: Services of systemd that are active and start at boot, without C(.service).
          type: list
          elements: str
          returned: always
          sample: [nginx, prosody]
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
            folder with C(mod_auth_token.lua), C(jicofo) the one of Jicofo's configuration. Null
            where no package has them.
          type: dict
          returned: always
          sample: {plugins: /usr/lib/jitsi-meet-prosody, jicofo: /etc/jicofo}
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

# The column C(st) of /proc/net/tcp for a listening socket (Linux: include/net/tcp_states.h).
LISTEN = "0A"
_OPTION = re.compile(r"""get_option[a-z_]*\s*\(\s*["'](\w+)["']""")
# Where the role jitsi_lock remembers its own holds
HELD_BY_US = "/var/lib/vestibule/held"
# What the filter apt_source makes
APT_FILES = "/etc/apt/*/vestibule-*"


def parse_sockets(table: str) -> dict[int, tuple[str, int]]:
    """Address and port of the listening sockets of a /proc/net/tcp or tcp6, by inode."""
    sockets = {}
    for line in table.splitlines()[1:]:
        columns = line.split()
        if columns[3] == LISTEN:
            address, port = columns[1].split(":")
            sockets[int(columns[9])] = (parse_address(address), int(port, 16))
    return sockets


def parse_address(digits: str) -> str:
    """An address as the kernel prints it: hexadecimal words of 32 bits in the host's byte order."""
    words = (int(digits[start : start + 8], 16) for start in range(0, len(digits), 8))
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def socket_owners(inodes: set[int]) -> dict[int, int]:
    """Process of every socket, the oldest one where several share it (a master and its workers)."""
    owners: dict[int, int] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        if len(owners) == len(inodes):
            break
        for inode in _socket_inodes(pid):
            if inode in inodes:
                owners.setdefault(inode, pid)
    return owners


def _socket_inodes(pid: int) -> list[int]:
    """Inodes of the sockets that a process holds, none where it is gone or not ours to look at."""
    folder = f"/proc/{pid}/fd"
    inodes = []
    try:
        for descriptor in os.listdir(folder):
            try:
                target = os.readlink(f"{folder}/{descriptor}")
            except FileNotFoundError:  # closed meanwhile
                continue
            if target.startswith("socket:["):
                inodes.append(int(target[8:-1]))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return inodes


def listeners() -> list[dict[str, Any]]:
    """The listening TCP sockets of this network namespace, by port."""
    sockets: dict[int, tuple[str, int]] = {}
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        sockets.update(parse_sockets(_text(path) or "\n"))  # no tcp6 where IPv6 is switched off
    owners = socket_owners(set(sockets))
    found = []
    for inode, (address, port) in sockets.items():
        pid = owners.get(inode)
        name = _text(f"/proc/{pid}/comm") if pid is not None else None
        process = name.strip() if name is not None else None
        found.append({"address": address, "port": port, "process": process, "pid": pid})
    return sorted(found, key=lambda listener: (listener["port"], listener["address"]))


def parse_apt_policy(text: str) -> dict[str, str]:
    """Candidate versions from what ``apt-cache policy`` prints in the C locale."""
    pairs = re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (\S+)$", text, re.MULTILINE)
    return {name: version for name, version in pairs if version != "(none)"}


def parse_pacman_info(text: str) -> dict[str, str]:
    """Candidate versions from what ``pacman -Si`` prints in the C locale."""
    return dict(re.findall(r"^Name +: (\S+)\nVersion +: (\S+)$", text, re.MULTILINE))


def packages(module: AnsibleModule) -> tuple[dict[str, str], dict[str, bool]]:
    """Versions of everything installed, and who holds what of it (C(held) above)."""
    ours = (_text(HELD_BY_US) or "").split()
    if module.get_bin_path("dpkg-query"):
        form = r"${Package}\t${Version}\t${db:Status-Status}\t${db:Status-Want}\n"
        lines = _output(module, ["dpkg-query", "-W", "-f", form]).splitlines()
        rows = [row for row in (line.split("\t") for line in lines) if row[2] == "installed"]
        held = {name: name in ours for name, _, _, want in rows if want == "hold"}
        return {name: version for name, version, _, _ in rows}, held
    if module.get_bin_path("pacman"):
        pairs = re.findall(r"^(\S+) (\S+)$", _output(module, ["pacman", "-Q"]), re.MULTILINE)
        ignored = _output(module, ["pacman-conf", "IgnorePkg"]).split()
        return dict(pairs), {name: name in ours for name, _ in pairs if name in ignored}
    return {}, {}


def apt_files() -> dict[str, str]:
    """What is in the files that are ours, with line breaks as they are."""
    found = {}
    for path in sorted(glob.glob(APT_FILES)):
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            found[path] = file.read()
    return found


def candidates(module: AnsibleModule, names: list[str]) -> dict[str, str]:
    """Versions that the repositories of the host have."""
    if not names:
        return {}
    if module.get_bin_path("apt-cache"):
        return parse_apt_policy(_output(module, ["apt-cache", "policy", "--", *names]))
    if module.get_bin_path("pacman"):
        # It prints the packages it knows, and exits with 1 when it does not know them all.
        return parse_pacman_info(module.run_command(["pacman", "-Si", "--", *names])[1])
    return {}


def refresh(module: AnsibleModule, names: list[str]) -> bool:
    """Whether the lists of packages were fetched, as they lacked one of these packages."""
    if not module.params["refresh"] or module.check_mode:
        return False
    if candidates(module, names).keys() >= set(names):
        return False
    for program, *options in (["apt-get", "update", "--quiet"], ["pacman", "-Sy", "--noconfirm"]):
        path = module.get_bin_path(program)
        if path:
            _output(module, [path, *options])
            return True
    return False


def lua_package(module: AnsibleModule, installed: dict[str, str]) -> str:
    """Package of the Lua that Prosody depends on. Debian has one name for all versions."""
    if not module.get_bin_path("pacman"):
        return "lua"
    source = "-Qi" if "prosody" in installed else "-Si"
    return parse_lua_dependency(module.run_command(["pacman", source, "--", "prosody"])[1])


def parse_lua_dependency(text: str) -> str:
    """The package ``lua``, or ``lua`` with digits, in what ``pacman -Si`` prints of a package."""
    depends = re.search(r"^Depends On +: (.*)$", text, re.MULTILINE)
    names = re.findall(r"(?<!\S)lua\d*(?!\S)", depends.group(1)) if depends else []
    return names[0] if names else "lua"


def package_files(module: AnsibleModule, names: list[str]) -> list[str]:
    """Paths of everything in some installed packages."""
    for program, option in (("dpkg-query", "--listfiles"), ("pacman", "-Qlq")):
        path = module.get_bin_path(program)
        if path and names:
            return _output(module, [path, option, *names]).splitlines()
    return []


def jitsi_places(files: list[str]) -> dict[str, str | None]:
    """Folders of the plugins and of Jicofo's configuration among the files of Jitsi's packages."""

    def folder(pattern: str) -> str | None:
        found = sorted(os.path.dirname(path) for path in files if re.fullmatch(pattern, path))
        return found[0] if found else None

    return {
        "plugins": folder(r"/.*/mod_auth_token\.lua"),
        "jicofo": folder(r"/etc/(.*/)?jicofo/[^/]+"),
    }


def prosody_modules(folders: list[str]) -> list[str]:
    """Paths of files that are modules, ``mod_*.lua``."""
    return sorted(
        os.path.join(place, name)
        for folder in folders
        for place, _, names in os.walk(folder)
        for name in names
        if name.startswith("mod_") and name.endswith(".lua")
    )


def prosody_options(paths: list[str]) -> list[str]:
    """Options that modules read, as ``module.option`` (Prosody: moduleapi, ``get_option``)."""
    found = set()
    for path in paths:
        module = os.path.basename(path)[len("mod_") : -len(".lua")]
        for option in _OPTION.findall(_text(path) or ""):
            found.add(f"{module}.{option}")
    return sorted(found)


def parse_units(text: str) -> set[str]:
    """Names of the services in a list of ``systemctl``, which stand in the first column."""
    return {line.split()[0].removesuffix(".service") for line in text.splitlines() if line.strip()}


def services(module: AnsibleModule) -> list[str]:
    """Services that run now and start at boot, as far as systemd knows.

    Of a service with an init script it only knows that it was started (``active (exited)``).
    """
    if module.get_bin_path("systemctl") is None:
        return []
    form = ["--type=service", "--plain", "--no-legend", "--no-pager"]
    running = module.run_command(["systemctl", "list-units", "--state=active", *form])[1]
    enabled = module.run_command(
        ["systemctl", "list-unit-files", "--state=enabled,generated", *form]
    )[1]
    return sorted(parse_units(running) & parse_units(enabled))


def lua(module: AnsibleModule, script: str) -> dict[str, str] | None:
    """The interpreter that the first line of Prosody's start script names, and its version.

    ``prosodyctl about`` says the same, twenty times slower.
    """
    interpreter = parse_shebang(script)
    path = module.get_bin_path(interpreter) if interpreter else None
    if path is None:
        return None
    version = _output(module, [path, "-e", "print(_VERSION)"])
    return {"version": version.replace("Lua", "").strip(), "interpreter": path}


def parse_shebang(script: str) -> str | None:
    """Name or path of the program that a script runs on."""
    first = script.split("\n", 1)[0]
    if not first.startswith("#!"):
        return None
    words = shlex.split(first[2:])
    if os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    return words[0] if words else None


def prosody_version(script: str) -> str | None:
    """The version in the file that Prosody reads it from (upstream: util/startup.lua)."""
    folder = re.search(r"^CFG_SOURCEDIR='([^']+)'", script, re.MULTILINE)
    version = _text(f"{folder.group(1)}/prosody.version") if folder else None
    return version.strip() if version is not None else None


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _output(module: AnsibleModule, argv: list[str]) -> str:
    """What a program prints. The task fails with its words where the program does."""
    output: str = module.run_command(argv, check_rc=True)[1]
    return output


def run(module: AnsibleModule) -> tuple[bool, dict[str, Any]]:
    """Whether lists of packages were fetched, and everything about this host."""
    epoch = time.time()
    controller_time = module.params["controller_time"]
    installed, held = packages(module)
    missing = [name for name in module.params["candidates"] if name not in installed]
    refreshed = refresh(module, missing)
    jitsi = [name for name in installed if name.startswith(("jitsi", "jicofo"))]
    places = jitsi_places(package_files(module, jitsi))
    # Prosody knows them by another path, which need not lead there yet
    plugins = [places["plugins"]] if places["plugins"] else []
    modules = prosody_modules([*module.params["plugin_paths"], *plugins])
    start_script = _text(module.get_bin_path("prosody") or "") or ""
    return refreshed, {
        "uid": os.geteuid(),
        "epoch": epoch,
        "clock_offset": None if controller_time is None else epoch - controller_time,
        "packages": installed,
        "held": held,
        "apt_files": apt_files(),
        "candidates": candidates(module, missing),
        "listeners": listeners(),
        "services": services(module),
        "lua": lua(module, start_script),
        "lua_package": lua_package(module, installed),
        "jitsi": places,
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
            "controller_time": {"type": "float"},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    refreshed, facts = run(module)
    module.exit_json(changed=refreshed, ansible_facts={"vestibule": facts})


if __name__ == "__main__":
    main()

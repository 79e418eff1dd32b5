"""What the module ``lua_libraries`` does."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import before, former, managers
from ansible.module_utils.vestibule.programs import interpreter, reason

# Prints the version, the search path, and a line for each module named on standard input.
_LUA = r"""
print(_VERSION);
print(package.path);
for name in io.lines() do
    local ok, err = pcall(require, name);
    print(ok and "loads" or "fails", name, (tostring(err):gsub("%s+", " ")));
end
"""
_DIRECTORY = "/usr/local/share/lua/{}"  # for links, by version
_SHIPPED = re.compile(r".*/share/lua/(?P<version>\d+\.\d+)/(?P<file>.+\.lua)")
_VERSION = re.compile(r"Lua (\d+\.\d+)")


class LibraryError(Exception):
    """What the operator has to know, as sentences."""


@dataclass(frozen=True)
class Answer:
    """What the interpreter said: its version, search path, and reason by failing module."""

    version: str
    path: str
    failures: dict[str, str]


def parse_answer(output: str, modules: list[str]) -> Answer | None:
    """What the Lua program printed, None where anything is missing."""
    lines = output.splitlines()
    version = _VERSION.fullmatch(lines[0]) if lines else None
    if version is None:
        return None
    fields = [line.split("\t") for line in lines[2:]]
    results = {field[1]: field for field in fields if field[0] in ("loads", "fails")}
    if not results.keys() >= set(modules):
        return None
    failures = {name: results[name][2] for name in modules if results[name][0] == "fails"}
    return Answer(version[1], lines[1], failures)


def shipped_file(files: list[str], module: str) -> tuple[str, str] | None:
    """Path and place below the version's folder of ``module`` among the files of a package.

    ``("/usr/share/lua/5.3/inspect.lua", "inspect.lua")``: the one for the newest Lua, or None.
    """
    name = module.replace(".", "/")
    found = []
    for path in files:
        match = _SHIPPED.fullmatch(path)
        if match and match["file"] in (f"{name}.lua", f"{name}/init.lua"):
            version = tuple(int(part) for part in match["version"].split("."))
            found.append((version, path, match["file"]))
    return max(found)[1:] if found else None


def place_link(link: Path, target: str) -> None:
    """Makes ``link`` point to ``target``, over a link but never over anything else."""
    if link.exists() and not link.is_symlink():
        raise LibraryError(
            f"{link} is in the way: it is no link, and the library in it does not load. Move it"
            " away and run again."
        )
    os.umask(0o022)  # Prosody is not root and has to reach the link
    link.parent.mkdir(parents=True, exist_ok=True)
    scratch = link.with_name(f".{link.name}.new")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(target)
    scratch.replace(link)


def _missing_folders(links: Iterable[Path]) -> list[str]:
    """Folders that links need and that are not there, the outer ones first."""
    folders = {str(folder) for link in links for folder in link.parents if not folder.exists()}
    return sorted(folders)


class Host:
    """The target: its Prosody, its interpreter and its packages."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self.interpreter: list[str] = []
        prosody = module.get_bin_path("prosody")
        if prosody:
            # The unit starts this very file, so its first line decides; `prosodyctl about` only
            # knows the Lua of prosodyctl.
            self.interpreter = interpreter(Path(prosody).read_text(encoding="utf-8"))
            if not self.interpreter:
                raise LibraryError("prosody does not name its interpreter in the first line.")

    def ask(self, modules: list[str]) -> Answer:
        """Tries every module in one process, without the environment of the caller."""
        done = subprocess.run(
            [*self.interpreter, "-E", "-e", _LUA],
            input="".join(f"{name}\n" for name in modules),
            capture_output=True,
            check=False,
            text=True,
        )
        answer = parse_answer(done.stdout, modules)
        if done.returncode != 0 or answer is None:
            raise LibraryError(
                f"The interpreter of Prosody, {' '.join(self.interpreter)}, did not answer as Lua"
                f" 5.2 and later do (it ended with {done.returncode}). Install such a Lua, and let"
                f" that command start it. It said: {reason(done.stderr or done.stdout)}"
            )
        return answer

    def files_of(self, package: str) -> list[str]:
        """Paths that ``package`` installed, none where it is not installed."""
        return managers.of(self._module).files_of([package])


def render_failures(answer: Answer, interpreter: str, libraries: list[dict[str, Any]]) -> str:
    """The message for libraries that do not load."""

    def reason(name: str) -> str:
        # After this text Lua lists every place where it looked
        return answer.failures[name].partition(": no field package.preload")[0][:300]

    lines = [
        f"  {each['module']}: {reason(each['module'])}. Install or repair the package"
        f" {each['package']}."
        for each in libraries
        if each["module"] in answer.failures
    ]
    return "\n".join(
        [
            f"Prosody would start without the modules that guard its doors: these Lua"
            f" libraries do not load in Lua {answer.version} ({interpreter}).",
            *lines,
        ]
    )


def run(module: AnsibleModule) -> dict[str, Any]:
    """Asks, links what needs a link, and asks again."""
    libraries = module.params["libraries"]
    names = [each["module"] for each in libraries]
    host = Host(module)
    if not host.interpreter:
        if not module.check_mode:
            raise LibraryError("Prosody is not installed: there is no prosody. Install it first.")
        answer = Answer("", "", dict.fromkeys(names, "Prosody is not installed"))
        return _result(host, libraries, answer, {})

    answer = host.ask(names)
    links: dict[str, tuple[Path, str]] = {}
    if answer.failures:
        directory = _DIRECTORY.format(answer.version)
        for each in libraries:
            shipped = None
            if each["pure"] and each["module"] in answer.failures:
                shipped = shipped_file(host.files_of(each["package"]), each["module"])
            if shipped and Path(shipped[0]).exists():  # a package may have lost it
                links[each["module"]] = (Path(directory, shipped[1]), shipped[0])
        if links and f"{directory}/?.lua" not in answer.path.split(";"):
            raise LibraryError(
                f"{directory}, where links to libraries belong, is not in the search path of"
                f" {' '.join(host.interpreter)}. Install a Lua that looks there. This one looks in"
                f" {answer.path}"
            )
        if links and not module.check_mode:
            before.note(
                module,
                {
                    str(link): former.digest_of("link", os.fsencode(target))
                    for link, target in links.values()
                },
                _missing_folders(link for link, _ in links.values()),
            )
            for link, target in links.values():
                place_link(link, target)
            answer = host.ask(names)
        if answer.failures and not module.check_mode:
            raise LibraryError(render_failures(answer, " ".join(host.interpreter), libraries))
    return _result(host, libraries, answer, links)


def _result(
    host: Host,
    libraries: list[dict[str, Any]],
    answer: Answer,
    links: dict[str, tuple[Path, str]],
) -> dict[str, Any]:
    def state(name: str) -> str:
        if name in links:
            return "linked"
        return "missing" if name in answer.failures else "loads"

    states = [
        {"module": each["module"], "package": each["package"], "state": state(each["module"])}
        for each in libraries
    ]
    return {
        "changed": bool(links),
        "lua_version": answer.version,
        "interpreter": " ".join(host.interpreter),
        "libraries": states,
        "missing": [each["module"] for each in states if each["state"] == "missing"],
        "diff": {
            "before": "",
            "after": "".join(f"{link} -> {target}\n" for link, target in links.values()),
        },
    }


SPEC: dict[str, Any] = {
    "libraries": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "module": {"type": "str", "required": True},
            "package": {"type": "str", "required": True},
            "pure": {"type": "bool", "default": False},
        },
    },
}


def main() -> None:
    """Ansible's shell around `run`."""
    module = AnsibleModule(
        argument_spec=SPEC,
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except (LibraryError, managers.PackageError) as error:
        module.fail_json(msg=str(error))

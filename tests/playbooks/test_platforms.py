"""What differs between platforms is data, and the same names on each of them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.facts.system.distribution import Distribution
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

import host_probe

ROLES = Path(__file__).parents[2] / "roles"
PLATFORMS = ("Debian", "Archlinux")


def data(role: str, platform: str) -> dict[str, Any]:
    """What a role includes on a platform, with templates that may be rendered."""

    def trust(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: trust(each) for name, each in value.items()}
        if isinstance(value, list):
            return [trust(each) for each in value]
        return trust_as_template(value) if isinstance(value, str) else value

    text = (ROLES / role / "vars" / f"{platform}.yml").read_text(encoding="utf-8")
    content: dict[str, Any] = trust(yaml.safe_load(text))
    return content


def library_packages(platform: str, lua: dict[str, Any]) -> tuple[list[str], set[str]]:
    """Lua libraries that are installed, and those that a missing module is said to be in."""
    variables = {
        **data("jitsi_tokens", platform),
        "ansible_facts": {"vestibule": lua},
        "jitsi_tokens_plugins_package": "jitsi-meet-prosody",
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    installed = templar.template(variables["__jitsi_tokens_packages"])["archive"]
    needed = templar.template(variables["__jitsi_tokens_libraries"])
    return list(installed), {each["package"] for each in needed}


# Debian and Ubuntu have one package for every Lua that they support. Arch has one for each, and
# the one for its newest Lua has no number.
@pytest.mark.parametrize(
    ("distribution", "version", "depends", "prefix"),
    [
        pytest.param("Debian", "5.2", "", "lua", id="Debian, Lua 5.2 of upstream's Prosody"),
        pytest.param("Debian", "5.3", "", "lua", id="Debian, Lua 5.3 of upstream's Prosody"),
        pytest.param("Debian", "5.4", "", "lua", id="Debian, Lua 5.4"),
        pytest.param("Ubuntu", "5.2", "", "lua", id="Ubuntu, Lua 5.2 of upstream's Prosody"),
        pytest.param("Ubuntu", "5.3", "", "lua", id="Ubuntu, Lua 5.3 of upstream's Prosody"),
        pytest.param("Ubuntu", "5.4", "", "lua", id="Ubuntu, Lua 5.4"),
        pytest.param("Archlinux", "5.4", "lua lua-sec", "lua", id="Arch, Lua 5.4 as the newest"),
        pytest.param("Archlinux", "5.4", "lua54 lua54-sec", "lua54", id="Arch, Lua 5.4 as older"),
        pytest.param("Archlinux", "5.5", "lua lua-sec", "lua", id="Arch, Lua 5.5 as the newest"),
        pytest.param("Archlinux", "5.5", "lua55 lua55-sec", "lua55", id="Arch, Lua 5.5 as older"),
        pytest.param("Archlinux", "5.3", "lua53 lua53-sec", "lua53", id="Arch, Lua 5.3"),
        pytest.param("Archlinux", "5.2", "lua52 lua52-sec", "lua52", id="Arch, Lua 5.2"),
    ],
)
def test_the_interpreter_decides_on_the_names_of_the_libraries(
    distribution: str, version: str, depends: str, prefix: str
) -> None:
    platform = Distribution.OS_FAMILY.get(distribution, distribution)
    package = host_probe.parse_lua_dependency(f"Depends On      : glibc {depends}\n")
    lua = {"lua_package": package, "lua": {"version": version}}
    installed, needed = library_packages(platform, lua)
    names = {f"{prefix}-{name}" for name in ("basexx", "cjson", "inspect", "luaossl", "sec")}
    assert set(installed) == needed == names


@pytest.mark.parametrize("version", ["lua52", "lua53", "lua54"])
def test_our_modules_are_written_in_every_lua_that_may_run_them(version: str) -> None:
    """Their syntax; luacheck looks at what they call."""
    runtime = importlib.import_module(f"lupa.{version}").LuaRuntime()
    refusal = runtime.eval("function (code, name) return (select(2, load(code, name, 't'))) end")
    paths = list((ROLES / "jitsi_tokens/files").rglob("*.lua"))
    assert paths
    refusals = [refusal(path.read_text(encoding="utf-8"), f"={path}") for path in paths]
    assert [each for each in refusals if each is not None] == []


@pytest.mark.parametrize(
    ("repository", "helper", "missing", "words"),
    [
        pytest.param({}, {}, "lua-inspect", "a repository that has lua-inspect,", id="neither"),
        pytest.param({}, {}, "jicofo", "a repository that has jicofo,", id="neither, for Jicofo"),
        pytest.param({}, {}, "lua-cjson", None, id="nothing but what Arch has"),
        pytest.param({"name": "jitsi"}, {}, "lua-inspect", None, id="a repository"),
        pytest.param({}, {"program": "paru", "user": "builder"}, "jicofo", None, id="a helper"),
        pytest.param({}, {"program": "paru", "user": "root"}, "jicofo", "not root", id="root"),
    ],
)
def test_nothing_of_the_aur_comes_unasked_or_through_root(
    repository: dict[str, str], helper: dict[str, str], missing: str, words: str | None
) -> None:
    variables: dict[str, Any] = {
        **data("jitsi_tokens", "Archlinux"),
        "ansible_facts": {"vestibule": {"lua_package": "lua"}},
        "inventory_hostname": "meet",
        "jitsi_tokens_source": "package",
        "jitsi_tokens_wanted": True,
        "jitsi_tokens_plugins_package": "jitsi-meet-prosody",
        "jitsi_tokens_extra_packages": ["jicofo"],
        "jitsi_tokens_versions": {},
        "jitsi_tokens_pacman_repository": repository,
        "jitsi_tokens_aur_helper": helper,
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    needed = {*templar.template(variables["__jitsi_tokens_packages"])["package"], "jicofo"}
    assert missing in needed
    variables["ansible_facts"]["vestibule"]["packages"] = dict.fromkeys(needed - {missing}, "1-1")
    sentence = templar.template(variables["__jitsi_tokens_source_fault"])
    assert sentence == "" if words is None else words in sentence
    assert templar.template(variables["__jitsi_tokens_to_build"]) == ([missing] if helper else [])


@pytest.mark.parametrize(
    "role", ["prosody", "jitsi_tokens", "jicofo", "jitsi_videobridge", "jitsi_web"]
)
def test_tasks_find_what_they_need_on_every_platform(role: str) -> None:
    tasks = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("tasks", "handlers", "templates", "vars")
        for path in (ROLES / role / folder).glob("*")
        if path.stem not in PLATFORMS
    )
    names = [set(data(role, platform)) for platform in PLATFORMS]
    used = {name for name in names[0] | names[1] if name in tasks}
    assert used
    assert used - names[0] == used - names[1] == set()

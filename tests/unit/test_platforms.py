"""What differs between platforms is data, and the same names on each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

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


def library_packages(platform: str, lua: str) -> tuple[list[str], set[str]]:
    """Lua libraries that are installed, and those that a missing module is said to be in."""
    variables = {
        **data("jitsi_tokens", platform),
        "ansible_facts": {"vestibule": {"lua_package": lua}},
        "jitsi_tokens_plugins_package": "jitsi-meet-prosody",
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    installed = templar.template(variables["__jitsi_tokens_packages"])["archive"]
    needed = templar.template(variables["__jitsi_tokens_libraries"])
    return list(installed), {each["package"] for each in needed}


# Debian's packages hold the files for every Lua that they support, under one name.
@pytest.mark.parametrize(
    ("platform", "lua", "prefix"),
    [
        pytest.param("Debian", "lua", "lua", id="Debian, Lua 5.4"),
        pytest.param("Debian", "lua", "lua", id="Debian with upstream's Prosody, Lua 5.2"),
        pytest.param("Archlinux", "lua", "lua", id="Arch, the newest Lua"),
        pytest.param("Archlinux", "lua54", "lua54", id="Arch, Lua 5.4 beside a newer one"),
        pytest.param("Archlinux", "lua52", "lua52", id="Arch, Lua 5.2"),
    ],
)
def test_the_interpreter_decides_on_the_names_of_the_libraries(
    platform: str, lua: str, prefix: str
) -> None:
    installed, needed = library_packages(platform, lua)
    names = {f"{prefix}-{name}" for name in ("basexx", "cjson", "inspect", "luaossl", "sec")}
    assert set(installed) == needed == names


@pytest.mark.parametrize(
    ("repository", "helper", "missing", "words"),
    [
        pytest.param({}, {}, ["lua-inspect"], "Set one of two", id="neither"),
        pytest.param({}, {}, ["lua-cjson"], None, id="nothing but what Arch has"),
        pytest.param({"name": "jitsi"}, {}, ["lua-inspect"], None, id="a repository"),
        pytest.param(
            {}, {"program": "paru", "user": "builder"}, ["lua-inspect"], None, id="a helper"
        ),
        pytest.param(
            {"name": "jitsi"}, {"program": "paru"}, ["lua-inspect"], "Set one of two", id="both"
        ),
        pytest.param({}, {"program": "paru"}, ["lua-inspect"], "not root", id="no user"),
        pytest.param(
            {}, {"program": "paru", "user": "root"}, ["lua-inspect"], "not root", id="root"
        ),
        pytest.param({}, {"user": "builder"}, ["lua-inspect"], "not root", id="no program"),
    ],
)
def test_nothing_of_the_aur_comes_unasked_or_through_root(
    repository: dict[str, str], helper: dict[str, str], missing: list[str], words: str | None
) -> None:
    variables = {
        **data("jitsi_tokens", "Archlinux"),
        "ansible_facts": {"vestibule": {"lua_package": "lua"}},
        "inventory_hostname": "meet",
        "jitsi_tokens_pacman_repository": repository,
        "jitsi_tokens_aur_helper": helper,
        "__jitsi_tokens_missing": missing,
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    sentence = templar.template(variables["__jitsi_tokens_source_fault"])
    assert sentence == "" if words is None else words in sentence


@pytest.mark.parametrize("role", ["prosody", "jitsi_tokens", "jicofo", "jitsi_web"])
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
    # A task that is skipped elsewhere may have data of its own
    own = {
        "__jitsi_tokens_pacman_source",
        "__jitsi_tokens_repository_files",
        "__jitsi_tokens_find_helper",
    }
    assert used - names[0] - own == used - names[1] - own == set()

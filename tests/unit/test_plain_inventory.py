"""An inventory that is read without Ansible says what Ansible says of it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.playbooks.test_bad_inventories import WRONG, inventory_of, keep_secrets
from vestibule.command import CommandError, ansible_inventory, deployment, plain_inventory
from vestibule.command.plain_inventory import NotPlain

ROOT = Path(__file__).resolve().parents[2]
MAGIC = {"groups", "group_names", "inventory_dir", "inventory_file", "inventory_hostname"}


@pytest.fixture(autouse=True, scope="module")
def _configured() -> Iterator[None]:
    """Ansible with the configuration of the checkout, as the command has it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ANSIBLE_")]:
            patch.delenv(name)
        patch.setenv("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
        yield


def by_ansible(path: Path) -> dict[str, dict[str, Any]]:
    """The variables that come from files, by host in the order of Ansible."""
    hosts, variables_of = ansible_inventory.read(path, ROOT)
    found = {}
    for host in hosts:
        variables, unknown = variables_of(host)
        assert not unknown
        assert "inventory_hostname" in variables
        found[host] = {
            name: value
            for name, value in variables.items()
            if name not in MAGIC
            and name not in ("omit", "playbook_dir", "ansible_playbook_python", "hostvars")
            and not name.startswith(
                ("ansible_version", "inventory_hostname_short", "ansible_facts")
            )
            and name not in ("ansible_local", "ansible_config_file")
        }
    return found


def typed(value: Any) -> Any:
    """The value with the types of its parts, as 1, 1.0 and True are equal."""
    if isinstance(value, dict):
        return {str(key): typed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [typed(each) for each in value]
    kind = next(kind for kind in (bool, int, float, str, type(None)) if isinstance(value, kind))
    return kind.__name__, value


def same(path: Path) -> bool:
    """Whether it was read; where it was, then as Ansible does."""
    try:
        folder, hosts = plain_inventory.read(path, ROOT)
    except NotPlain:
        return False
    other = by_ansible(path)
    assert folder == (path if path.is_dir() else path.parent)
    assert sorted(hosts) == sorted(other)
    assert len(hosts) != 1 or list(hosts) == list(other)
    for host, variables in hosts.items():
        assert typed(variables) == typed(other[host])
    return True


# As people write them

NAMES = ["jitsi_domain", "jitsi_features", "prosody_x", "ansible_user", "other", "jitsi_tenants"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1000, 10**12),
    st.sampled_from(
        ["meet.example.org", "yes", "0100", "1e3", "1:30", "~", "", " x ", "é日本", "=", "!x"]
    ),
    st.floats(-100, 100, allow_nan=False).map(lambda each: round(each, 2)),
    st.text(max_size=6),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc_", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
VARIABLES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)
HOSTS = st.dictionaries(st.sampled_from(["meet", "a.example.org", "b-1"]), VARIABLES, max_size=3)
GROUP_NAMES = ["rig", "north", "south", "meetings"]


def group(depth: int) -> st.SearchStrategy[Any]:
    below = (
        st.dictionaries(st.sampled_from(GROUP_NAMES), group(depth - 1), max_size=2)
        if depth
        else st.just({})
    )
    return st.fixed_dictionaries(
        {}, optional={"hosts": HOSTS | st.none(), "vars": VARIABLES, "children": below}
    )


INVENTORIES = st.fixed_dictionaries(
    {
        "all": group(2),
    },
    optional={"rig": group(1), "north": group(0)},
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    INVENTORIES,
    st.dictionaries(st.sampled_from(["all", *GROUP_NAMES]), VARIABLES, max_size=3),
    st.dictionaries(st.sampled_from(["meet", "b-1"]), VARIABLES, max_size=2),
)
def test_any_inventory_is_read_as_ansible_reads_it(
    inventory: dict[str, Any], groups: dict[str, Any], hosts: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for place, files in (("group_vars", groups), ("host_vars", hosts)):
            (folder / place).mkdir()
            for each, variables in files.items():
                text = yaml.safe_dump(variables, allow_unicode=True)
                (folder / place / f"{each}.yml").write_text(text, encoding="utf-8")
        (folder / "hosts.yml").write_text(
            yaml.safe_dump(inventory, allow_unicode=True), encoding="utf-8"
        )
        try:
            COUNTED[same(folder)] += 1
        except CommandError:
            COUNTED[False] += 1


COUNTED = {True: 0, False: 0}


def test_most_of_them_were_read() -> None:
    """Or nothing was compared."""
    assert COUNTED[True] > COUNTED[False] > 0


PECULIAR = {
    "octal": "all: {hosts: {meet: {jitsi_x: 0100}}}",
    "sexagesimal": "all: {hosts: {meet: {jitsi_x: 1:30}}}",
    "underscores": "all: {hosts: {meet: {jitsi_x: 1_000}}}",
    "plus": "all: {hosts: {meet: {jitsi_x: +5}}}",
    "exponent": "all: {hosts: {meet: {jitsi_x: 1.5e+3}}}",
    "infinity": "all: {hosts: {meet: {jitsi_x: .inf}}}",
    "date": "all: {hosts: {meet: {jitsi_x: 2026-01-01}}}",
    "words of truth": "all: {hosts: {meet: {a: yes, b: No, c: on, d: OFF, e: y, f: ~, g: Null}}}",
    "doubled key": "all: {hosts: {meet: {jitsi_x: 1, jitsi_x: 2}}}",
    "number as key": "all: {hosts: {meet: {jitsi_x: {1: 2}}}}",
    "number as host": "all: {hosts: {1: {}}}",
    "merge": "all: {vars: &v {jitsi_x: 1}, hosts: {meet: {<<: *v}}}",
    "anchor": "all: {vars: {jitsi_x: &v [1]}, hosts: {meet: {jitsi_y: *v}}}",
    "template": "all: {hosts: {meet: {jitsi_x: '{{ 1 }}'}}}",
    "template in a list": "all: {hosts: {meet: {jitsi_x: [a, '{% if x %}']}}}",
    "template of others": "all: {hosts: {meet: {other: '{{ 1 }}', jitsi_x: 1}}}",
    "vault": "all: {hosts: {meet: {jitsi_x: !vault x}}}",
    "unsafe": "all: {hosts: {meet: {jitsi_x: !unsafe x}}}",
    "range": "all: {hosts: {'meet[1:3]': {}}}",
    "port": "all: {hosts: {'meet:22': {}}}",
    "address": "all: {hosts: {192.0.2.10: {jitsi_x: 1}}}",
    "IPv6": "all: {hosts: {'2001:db8::1': {}}}",
    "plugin": "plugin: constructed\nall: {hosts: {meet: {}}}",
    "ungrouped": "ungrouped: {hosts: {meet: {jitsi_x: 1}}}",
    "no all": "rig: {hosts: {meet: {jitsi_x: 1}}, vars: {jitsi_x: 2, jitsi_y: 3}}",
    "priority": "all: {children: {a: {vars: {ansible_group_priority: 9}, hosts: {meet: {}}}}}",
    "hosts as text": "all: {hosts: meet}",
    "other parts": "all: {hosts: {meet: {}}, host: {x: {}}}",
    "two documents": "all: {hosts: {meet: {}}}\n---\nall: {}",
    "JSON": '{"all": {"hosts": {"meet": {"jitsi_x": 1e3}}}}',
    "empty": "",
    "a list": "[meet]",
    "a loop": "a: {children: {b: {children: {a: {}}}}, hosts: {meet: {}}}",
    "a host like a group": "meet: {hosts: {meet: {jitsi_x: 1}}}",
    "group with a hyphen": "all: {children: {a-b: {hosts: {meet: {}}, vars: {jitsi_x: 1}}}}",
    "variable with a hyphen": "all: {hosts: {meet: {jitsi-x: 1}}}",
    "block texts": "all:\n hosts:\n  meet:\n   a: >-\n    b\n    c\n   d: |\n    e\n",
    "diamond": (
        "all: {children: {x: {children: {z: {}}, vars: {jitsi_x: 1}}, y: {children: {w: {children:"
        " {z: {hosts: {meet: {}}}}, vars: {jitsi_x: 3}}}, vars: {jitsi_x: 2}}}}"
    ),
    "twice": "all: {hosts: {meet: {jitsi_x: 1}}}\nrig: {hosts: {meet: {jitsi_x: 2}}}",
    "a byte order mark": "\ufeffall: {hosts: {meet: {jitsi_x: 1}}}",
    "windows": "all:\r\n  hosts:\r\n    meet: {jitsi_x: a}\r\n",
    "nul": "all: {hosts: {meet: {jitsi_x: \0}}}",
    "long integer": f"all: {{hosts: {{meet: {{jitsi_x: {'9' * 30}}}}}}}",
    "minus zero": "all: {hosts: {meet: {a: -0, b: -0.0, c: 0.10}}}",
}


@pytest.mark.parametrize("name", PECULIAR)
def test_peculiar_ones(name: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_bytes(PECULIAR[name].encode())
    try:
        same(tmp_path)
    except CommandError as error:
        pytest.fail(f"Ansible does not read it: {error}")


def test_files_beside_the_inventory_come_after_what_stands_in_it(tmp_path: Path) -> None:
    for file, text in {
        "hosts.yml": (
            "all:\n  vars: {a: all, b: all, c: all, d: all}\n  children:\n    rig:\n"
            "      vars: {a: rig, b: rig, c: rig}\n      hosts: {meet: {e: meet, f: meet}}\n"
        ),
        "group_vars/all.yml": "b: file of all\nc: file of all\nd: file of all\n",
        "group_vars/rig.yml": "c: file of rig\nf: file of rig\n",
        "host_vars/meet.yml": "f: file of meet\n",
    }.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    assert same(tmp_path)


NOT_PLAIN = {
    "ini": {"hosts": "meet jitsi_x=1"},
    "two files": {"hosts.yml": "all: {hosts: {meet: }}", "more.yml": "all: {hosts: {other: }}"},
    "a folder of variables": {
        "hosts.yml": "all: {hosts: {meet: }}",
        "group_vars/all/main.yml": "jitsi_x: 1",
    },
    "two endings": {
        "hosts.yml": "all: {hosts: {meet: }}",
        "group_vars/all.yml": "jitsi_x: 1",
        "group_vars/all.yaml": "jitsi_x: 2",
    },
    "no ending": {"hosts.yml": "all: {hosts: {meet: }}", "host_vars/meet": "jitsi_x: 1"},
    "a vault": {
        "hosts.yml": "all: {hosts: {meet: }}",
        "group_vars/all.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
    },
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain_is_left_to_ansible(name: str, tmp_path: Path) -> None:
    for file, text in NOT_PLAIN[name].items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(NotPlain):
        plain_inventory.read(tmp_path, ROOT)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ANSIBLE_HASH_BEHAVIOUR", "merge"), ("ANSIBLE_INVENTORY_ENABLED", "ini")],
)
def test_another_environment_is_left_to_ansible(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {meet: }}")
    assert plain_inventory.read(tmp_path, ROOT)
    monkeypatch.setenv(variable, value)
    with pytest.raises(NotPlain, match=variable):
        plain_inventory.read(tmp_path, ROOT)


@pytest.mark.parametrize("line", ["hash_behaviour = merge", "precedence = all_inventory"])
def test_another_configuration_is_left_to_ansible(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {meet: }}")
    text = (ROOT / "ansible.cfg").read_text(encoding="utf-8")
    (tmp_path / "ansible.cfg").write_text(text.replace("forks = 20", line))
    monkeypatch.setenv("ANSIBLE_CONFIG", str(tmp_path / "ansible.cfg"))
    with pytest.raises(NotPlain):
        plain_inventory.read(tmp_path, ROOT)


def test_the_example_is_plain() -> None:
    assert same(ROOT / "inventory/example")


# Refusals of the whole: with what Ansible reads they are the same


def find(folder: Path, host: str) -> str:
    """The sentence that refuses it, or an empty text."""
    try:
        deployment.find(str(folder), host, lambda _: None)
    except CommandError as error:
        return str(error)
    return ""


def test_wrong_inventories_get_the_sentence_that_playbooks_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = {host: entry["variables"] for host, entry in WRONG.items()}
    folder = inventory_of(tmp_path, {**hosts, "right": "jitsi_domain: meet.example.org\n"})
    keep_secrets(folder, [*hosts, "right"])
    found, variables_of = ansible_inventory.read(folder, ROOT)
    inventory = yaml.safe_dump({"all": {"hosts": {"x": {}}}})
    plain, same_sentence = 0, []
    for host in found:
        own = tmp_path / f"only-{host}"
        (own / "host_vars").mkdir(parents=True)
        (own / "hosts.yml").write_text(inventory.replace("x:", f"{host}:"))
        text = (folder / "host_vars" / f"{host}.yml").read_text(encoding="utf-8")
        (own / "host_vars" / f"{host}.yml").write_text(text, encoding="utf-8")
        try:
            _, read = plain_inventory.read(own, ROOT)
        except NotPlain:
            continue
        plain += 1
        variables, unknown = variables_of(host)
        sentences = []
        for each in (read[host], variables):
            try:
                deployment._compile(host, folder, each, unknown, ROOT)
                sentences.append("")
            except CommandError as error:
                sentences.append(str(error))
        assert sentences[0] == sentences[1], host
        assert bool(sentences[0]) == (host != "right"), host
        same_sentence.append(host)
    assert "right" in same_sentence
    assert plain > len(hosts) / 2
    assert "ansible" in sys.modules

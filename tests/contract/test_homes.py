"""Each kind of code has one home, as docs/development.md says under "What lives where"."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTROLLER = ("vestibule",)
SHELLS = ("filter_plugins", "lookup_plugins", "plugins")
SERVERS = ("library", "module_utils")
PRODUCT = (*CONTROLLER, *SHELLS, *SERVERS, "features", "playbooks", "roles")
# What of Ansible the package needs: its client for addresses, what our modules share, its Vault,
# where values were written, and how it reads inventories that are more than plain YAML
ANSIBLE = {
    "vestibule/access/certificates.py": {"ansible.module_utils.vestibule.certificates"},
    "vestibule/backup_file.py": {"ansible.errors", "ansible.parsing.vault"},
    "vestibule/backups.py": {"ansible.module_utils.vestibule", "ansible.parsing.vault"},
    "vestibule/command/ansible_inventory.py": {
        "ansible",
        "ansible._internal._datatag._tags",
        "ansible.cli",
        "ansible.errors",
        "ansible.inventory.manager",
        "ansible.parsing.dataloader",
        "ansible.parsing.vault",
        "ansible.plugins.loader",
        "ansible.template",
        "ansible.utils.collection_loader",
        "ansible.vars.manager",
    },
    "vestibule/closed_sources.py": {
        "ansible._internal._datatag._tags",
        "ansible._internal._errors._error_utils",
    },
    "vestibule/module_answers.py": {"ansible.errors"},
    "vestibule/numbers.py": {"ansible._internal._datatag._tags"},
    "vestibule/set_variables.py": {"ansible.errors"},
    "vestibule/archives.py": {"ansible.module_utils.urls", "ansible.module_utils.vestibule"},
    "vestibule/secret_store.py": {"ansible", "ansible.errors", "ansible.parsing.vault"},
}
FOR_SHELLS = {"__future__", "base64", "collections", "pathlib", "typing", "ansible", "vestibule"}
LOOPS = (ast.For, ast.While, ast.comprehension)
# What does not count as lines of a shell, with its imports, and how many others it may have
DATA = {"DOCUMENTATION", "EXAMPLES", "RETURN", "_ARGUMENTS"}
MOST_LINES = {"filter_plugins": 40, "lookup_plugins": 30, "plugins": 75}


def python(*folders: str) -> list[Path]:
    """The files of these folders, of which none is empty."""
    found = {folder: sorted((ROOT / folder).rglob("*.py")) for folder in folders}
    assert all(found.values()), found
    return [path for files in found.values() for path in files]


def text(*folders: str) -> dict[str, str]:
    """What people read in these folders, by path."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return {
        of(path): path.read_text(encoding="utf-8")
        for path in files
        if path.is_file() and path.suffix != ".pyc"
    }


def of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports by their whole name, anywhere in it."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


@pytest.mark.parametrize("path", python(*CONTROLLER), ids=of)
def test_the_package_needs_no_ansible_but_where_it_is_said(path: Path) -> None:
    needed = {name for name in imports(path) if name.partition(".")[0] == "ansible"}
    assert needed == ANSIBLE.get(of(path), set())


@pytest.mark.parametrize("path", python(*SHELLS), ids=of)
def test_a_shell_hands_on_what_it_is_given(path: Path) -> None:
    assert {name.partition(".")[0] for name in imports(path)} <= FOR_SHELLS
    assert any(name.startswith("vestibule.") for name in imports(path))
    tree = parse(path)
    assert not [node for node in ast.walk(tree) if isinstance(node, LOOPS)]
    code = [
        node
        for node in tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)
        and DATA.isdisjoint(name.id for name in ast.walk(node) if isinstance(name, ast.Name))
    ]
    lines = sum((node.end_lineno or 0) - node.lineno + 1 for node in code)
    assert lines <= MOST_LINES[path.relative_to(ROOT).parts[0]]


@pytest.mark.parametrize("path", python(*SERVERS), ids=of)
def test_code_of_the_servers_needs_what_every_server_has(path: Path) -> None:
    for name in imports(path):
        known = f"{name}.".startswith("ansible.module_utils.")
        assert known or name.partition(".")[0] in sys.stdlib_module_names, name


def test_what_people_extend_is_at_the_top() -> None:
    assert len(text("features")) > 20
    assert (ROOT / "contradictions.yml").is_file()
    assert [name for name in text("roles") if re.search("features/|contradictions", name)] == []


def test_roles_hold_no_python() -> None:
    assert [name for name in text("roles") if name.endswith(".py")] == []


def test_nothing_edits_the_path_by_which_python_finds_modules() -> None:
    found = text(*PRODUCT, "scripts")
    assert len(found) > 200
    edits = re.compile(r"sys\.path|PYTHONPATH|addsitedir")
    assert [name for name in found if edits.search(found[name])] == []


def test_the_product_knows_neither_rig_nor_tests() -> None:
    assert python("rig")
    assert [name for name in text("molecule") if name.endswith(".py")] == []
    found = text(*PRODUCT)
    words = re.compile(r"\b(rig|molecule|tests)\b")
    assert [name for name in found if words.search(found[name])] == []


def test_a_name_is_of_one_kind() -> None:
    kinds = {
        "roles": [path.name for path in (ROOT / "roles").iterdir()],
        "actions": [path.stem for path in (ROOT / "plugins/action").glob("*.py")],
        "filters": [path.stem for path in (ROOT / "filter_plugins").glob("*.py")],
        "lookups": [path.stem for path in (ROOT / "lookup_plugins").glob("*.py")],
        "modules": [path.stem for path in (ROOT / "library").glob("*.py")],
        "packages": [path.stem for path in (ROOT / "vestibule").iterdir()],
    }
    assert all(kinds.values())
    names = [name for group in kinds.values() for name in group]
    assert sorted(name for name in {*names} if names.count(name) > 1) == []

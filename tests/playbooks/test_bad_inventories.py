"""Wrong inventories are refused without a host, by a sentence that names the variable."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret

from vestibule.model import ModelError
from vestibule.model.compiler import compile_model
from vestibule.model.role_variables import CHECKS, fault, specs

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/bad_inventories"
# How hosts of an inventory are made of what is wrong with each: file name of its variables
SUBJECTS = ["domain", "features", "options", "names", "extras", "secrets", "misspelt"]


def entries(file: str) -> list[dict[str, Any]]:
    """What a file of wrong inventories has."""
    found = yaml.safe_load((FOLDER / f"{file}.yml").read_text(encoding="utf-8"))
    assert found
    return list(found)


WRONG = {
    f"{subject}-{number}": {**entry, "subject": subject}
    for subject in SUBJECTS
    for number, entry in enumerate(entries(subject))
}
WRONG |= {
    f"roles-{number}": {**entry, "subject": "roles"}
    for number, entry in enumerate(entries("roles"))
}
# Which go the whole way, through a playbook: what only that can tell, and some of the others
PLAYED = {
    host: entry
    for number, (host, entry) in enumerate(WRONG.items())
    if "unnamed" in entry
    or "worked out" in str(entry["name"])
    or "{{" in entry["variables"]
    or number % 12 == 0
}
MINTS = {f"mint-{number}": entry for number, entry in enumerate(entries("mint"))}
STORES = {f"store-{number}": entry for number, entry in enumerate(entries("secret_files"))}


def play(playbook: str, inventory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A playbook as people call it, with a result that programs read."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "NO_COLOR": "1",
    }
    return subprocess.run(
        ["ansible-playbook", "-i", str(inventory), *arguments, f"playbooks/{playbook}.yml"],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


def keep_secrets(inventory: Path, hosts: Iterable[str]) -> None:
    """What deployments of these hosts would have made."""
    (inventory / ".secrets").mkdir(mode=0o700)
    for host in hosts:
        path = inventory / ".secrets" / f"{host}.yml"
        path.write_text("token_secret: 4Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5SgQe\n", encoding="utf-8")
        path.chmod(0o600)


def refusals(playbook: str, inventory: Path, *arguments: str) -> dict[str, str]:
    """The sentence by host; hosts that were taken are not in it."""
    output = play(playbook, inventory, *arguments).stdout
    sentences = {}
    for part in output.split("\nfatal: [")[1:]:
        host, _, rest = part.partition("]")
        text = rest.partition("=> ")[2]
        result, _ = json.JSONDecoder().raw_decode(text)
        sentences[host] = result["msg"]
    return sentences


def inventory_of(folder: Path, hosts: dict[str, str]) -> Path:
    """An inventory of these hosts, each with its variables as somebody typed them."""
    (folder / "host_vars").mkdir()
    for host, text in hosts.items():
        (folder / "host_vars" / f"{host}.yml").write_text(text, encoding="utf-8")
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": dict.fromkeys(hosts)}}))
    return folder


@pytest.fixture(name="explained", scope="module")
def _explained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    hosts = {host: entry["variables"] for host, entry in PLAYED.items()}
    hosts["right"] = "jitsi_domain: meet.example.org\n"
    return refusals("explain", inventory_of(tmp_path_factory.mktemp("wrong"), hosts))


def names_of(hosts: dict[str, dict[str, Any]]) -> list[str]:
    """Names of tests."""
    return [f"{entry['subject']}: {entry['name']}" for entry in hosts.values()]


@pytest.mark.parametrize("host", PLAYED, ids=names_of(PLAYED))
def test_a_wrong_inventory_is_refused_by_the_name_of_its_variable(
    host: str, explained: dict[str, str]
) -> None:
    assert host in explained, "It was taken."
    if "unnamed" in WRONG[host]:
        # Ansible's own check of arguments comes first, and names what all variables are in
        assert "jitsi_access_given" in explained[host]
    else:
        assert WRONG[host]["says"] in explained[host]


def said_of(path: Path) -> str:
    """What the playbooks say of a file of variables, without a playbook."""
    given = DataLoader().load_from_file(str(path))
    # Variables of roles are no options of features
    names = {name for name in given if name.startswith("jitsi_")} - specs().keys()
    own = {name: given[name] for name in names}
    try:
        compile_model(own, list(given), "")
    except ModelError as error:
        return str(error)
    return fault(given)


ALONE = {host: entry for host, entry in WRONG.items() if host not in PLAYED}


@pytest.mark.parametrize("host", ALONE, ids=names_of(ALONE))
def test_what_a_playbook_asks_refuses_it_by_that_name(host: str, tmp_path: Path) -> None:
    path = tmp_path / "host.yml"
    path.write_text(ALONE[host]["variables"], encoding="utf-8")
    said = said_of(path)
    assert said, "It was taken."
    assert ALONE[host]["says"] in said


def test_the_same_way_takes_what_is_right(tmp_path: Path) -> None:
    path = tmp_path / "host.yml"
    path.write_text("jitsi_domain: meet.example.org\nprosody_c2s_port: 6222\n", encoding="utf-8")
    assert said_of(path) == ""


def test_every_variable_of_a_role_has_wrong_values_here() -> None:
    assert {entry["says"] for entry in entries("roles")} >= set(CHECKS)


def test_there_are_enough_of_them_and_a_right_one_is_taken(explained: dict[str, str]) -> None:
    assert len(WRONG) >= 150
    assert "right" not in explained


@pytest.mark.parametrize(
    ("other", "says"),
    [
        pytest.param("far.1", "The bridges far-1 and far.1 would both be called far-1", id="name"),
        pytest.param("lost", "lost is in the group bridges, and no host for", id="domain"),
    ],
)
def test_bridges_that_belong_nowhere_are_refused_by_name(
    other: str, says: str, tmp_path: Path
) -> None:
    inventory = inventory_of(tmp_path, {})
    right = {"jitsi_domain": "meet.example.org"}
    given = {"jitsi_domain": "other.example.org"} if other == "lost" else right
    hosts = {
        "signalling": {"hosts": {"meet": right}},
        "bridges": {"hosts": {"far-1": right, other: given}},
    }
    (inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": hosts}}))
    said = refusals("explain", inventory)
    assert says in said[other]
    assert ("meet" in said) is (other != "lost")


@pytest.mark.parametrize(
    ("other", "given", "says"),
    [
        pytest.param("relay", {}, "Set jitsi_turn_name for relay", id="no name"),
        pytest.param(
            "relay",
            {"jitsi_turn_name": "far.example.org"},
            "relay would be found by the name far.example.org, and so is far.example.org.",
            id="one name",
        ),
        pytest.param(
            "relay",
            {"jitsi_turn_name": "relay_1.example.org"},
            "jitsi_turn_name has an underscore",
            id="no name of a host",
        ),
        pytest.param(
            "relay.example.org",
            {"jitsi_domain": "other.example.org"},
            "relay.example.org is in the group turn, and no host for the signalling",
            id="domain",
        ),
        pytest.param(
            "relay.example.org",
            {"jitsi_web_certificate": "/etc/ssl/relay.pem"},
            "Only one of jitsi_web_certificate and jitsi_web_certificate_key",
            id="no key",
        ),
        pytest.param(
            "relay.example.org",
            {"jitsi_turn_tls_port": 22},
            "The port in jitsi_turn_tls_port is that of jitsi_web_port",
            id="port",
        ),
    ],
)
def test_turn_servers_that_belong_nowhere_are_refused_by_name(
    other: str, given: dict[str, Any], says: str, tmp_path: Path
) -> None:
    inventory = inventory_of(tmp_path, {})
    right = {"jitsi_domain": "meet.example.org", "jitsi_turn_tls_port": 443, "jitsi_web_port": 443}
    hosts = {
        "signalling": {"hosts": {"meet": {"jitsi_domain": "meet.example.org"}}},
        "turn": {"hosts": {"far.example.org": right, other: {**right, **given}}},
    }
    (inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": hosts}}))
    assert says in refusals("explain", inventory)[other]


@pytest.mark.parametrize("way", ["host_vars", "group_vars", "hosts.yml", "-e", "-e @file", "vault"])
def test_a_misspelt_name_is_found_whichever_way_it_comes(way: str, tmp_path: Path) -> None:
    text = "prosody_log_levle: warn\n"
    inventory = inventory_of(tmp_path, {"meet": "jitsi_domain: meet.example.org\n"})
    (tmp_path / "group_vars/all").mkdir(parents=True)
    more: list[str] = []
    if way == "host_vars":
        with (tmp_path / "host_vars/meet.yml").open("a", encoding="utf-8") as file:
            file.write(text)
    elif way == "group_vars":
        (tmp_path / "group_vars/all/more.yml").write_text(text)
    elif way == "hosts.yml":
        hosts = {"all": {"hosts": {"meet": None}, "vars": yaml.safe_load(text)}}
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
    elif way == "-e":
        more = ["-e", "prosody_log_levle=warn"]
    elif way == "-e @file":
        (tmp_path / "more.yaml").write_text(text)
        more = ["-e", f"@{tmp_path}/more.yaml"]
    else:
        (tmp_path / "password").write_text("a password of the vault")
        key = [(b"default", VaultSecret(b"a password of the vault"))]
        (tmp_path / "group_vars/all/vault.yml").write_bytes(VaultLib(key).encrypt(text))
        more = ["--vault-password-file", str(tmp_path / "password")]
    said = refusals("explain", inventory / "hosts.yml", *more)
    assert "prosody_log_levle is no variable" in said["meet"]
    assert "Did you mean prosody_log_level?" in said["meet"]


def test_what_only_proves_finds_misspelt_names_as_well(tmp_path: Path) -> None:
    inventory = inventory_of(tmp_path, {"meet": "jitsi_domain: meet.example.org\n"})
    said = refusals("verify", inventory, "-c", "local", "-e", "jitsi_verify_timout=5")
    assert "Did you mean jitsi_verify_timeout?" in said["meet"]


def test_variables_of_others_are_taken(tmp_path: Path) -> None:
    text = """
jitsi_domain: meet.example.org
jitsi_foreign_variables: ["prosody_exporter_*", jitsi_meet_theme]
prosody_exporter_port: 9100
jitsi_meet_theme: dark
nginx_worker_connections: 5
jibri_domain: meet.example.org
domain: meet.example.org
"""
    assert refusals("explain", inventory_of(tmp_path, {"meet": text})) == {}


@pytest.fixture(name="minted", scope="module")
def _minted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = (
        "jitsi_domain: meet.example.org\njitsi_features: [tenants]\njitsi_tenants: [acme, globex]\n"
    )
    hosts = {host: base + entry["variables"] for host, entry in MINTS.items()}
    hosts["right"] = base + "room: standup\nlifetime: '600'\nmoderator: 'no'\ntenant: acme\n"
    inventory = inventory_of(tmp_path_factory.mktemp("mint"), hosts)
    keep_secrets(inventory, hosts)
    return refusals("mint", inventory)


@pytest.mark.parametrize("host", MINTS, ids=[entry["name"] for entry in MINTS.values()])
def test_a_wrong_argument_mints_nothing(host: str, minted: dict[str, str]) -> None:
    assert host in minted, "It was taken."
    assert MINTS[host]["says"] in minted[host]


def test_right_arguments_mint(minted: dict[str, str]) -> None:
    assert "right" not in minted


@pytest.fixture(name="stores", scope="module")
def _stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    base = "jitsi_domain: meet.example.org\nroom: standup\n"
    folder = inventory_of(tmp_path_factory.mktemp("stores"), dict.fromkeys([*STORES, "new"], base))
    (folder / ".secrets").mkdir(mode=0o700)
    for host, entry in STORES.items():
        path = folder / ".secrets" / f"{host}.yml"
        if "link" in entry:
            path.symlink_to(entry["link"])
        else:
            path.write_text(entry["content"], encoding="utf-8")
            path.chmod(0o600)
    return folder, refusals("mint", folder)


@pytest.mark.parametrize("host", STORES, ids=[entry["name"] for entry in STORES.values()])
def test_a_file_of_secrets_that_says_nothing_is_a_question(
    host: str, stores: tuple[Path, dict[str, str]]
) -> None:
    folder, said = stores
    assert host in said, "It was taken."
    assert f"{folder}/.secrets/{host}.yml" in said[host]
    path = folder / ".secrets" / f"{host}.yml"
    if "link" in STORES[host]:
        assert path.is_symlink()
    else:
        assert path.read_text(encoding="utf-8") == STORES[host]["content"]


def test_a_host_without_a_file_gets_none_by_minting(stores: tuple[Path, dict[str, str]]) -> None:
    folder, said = stores
    assert f"{folder}/.secrets/new.yml has no token_secret, and only a deployment" in said["new"]
    assert not (folder / ".secrets/new.yml").exists()


@pytest.mark.parametrize("playbook", ["site", "verify", "explain", "mint"])
@pytest.mark.parametrize(
    "content", ["all:\n  hosts:\n", "all:\n  children:\n    servers:\n", "all: {}\n"]
)
def test_an_inventory_without_hosts_is_a_failure(
    playbook: str, content: str, tmp_path: Path
) -> None:
    (tmp_path / "hosts.yml").write_text(content)
    run = play(playbook, tmp_path)
    assert run.returncode == 2
    assert f"The inventory {tmp_path} has no host" in run.stdout


@pytest.mark.parametrize("name", ["group_vars/all", "host_vars/meet"])
def test_a_file_that_a_folder_hides_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {meet: {}}}\n")
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "secrets.yml").write_text("mine: x\n")
    (tmp_path / f"{name}.yml").write_text("jitsi_domain: meet.example.org\n")
    said = refusals("explain", tmp_path)["meet"]
    assert said.startswith(f"Ansible does not read {tmp_path}/{name}.yml, as a folder")


@pytest.mark.parametrize(
    "content", ["", "all:\n  hosts:\n    meet:\n  vars: [\n", "- meet\n", None]
)
def test_an_inventory_that_cannot_be_read_is_a_failure(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    if content is not None:
        path.write_text(content)
    run = play("verify", path)
    assert run.returncode != 0
    assert str(path) in run.stdout + run.stderr

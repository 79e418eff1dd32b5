"""Lookup ``vestibule_secret``: made once, kept safe, and shown by nothing."""

from __future__ import annotations

import base64
import multiprocessing
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret

from lookup_plugins import vestibule_secret
from vestibule.secret_store import HEADER, NEW, SecretError, refuse_misspelt
from vestibule.secret_strength import weakness

ROOT = Path(__file__).resolve().parents[2]
HOST = "meet.example.org"
CANARY = "canary-Zm9yIHRlc3RzLCBub3QgZm9yIG1lZXRpbmdz"
PASSWORD = ("default", VaultSecret(b"correct horse"))


def lookup(inventory: Path, *names: str, vault: Any = None, **variables: Any) -> list[str]:
    """Call the lookup as a template of a host in that inventory does."""
    loader = DataLoader()
    loader.set_vault_secrets(vault)
    host = {"inventory_hostname": HOST, "inventory_dir": str(inventory), **variables}
    found: list[str] = vestibule_secret.LookupModule(loader=loader).run(list(names), host)
    return found


def store(inventory: Path) -> Path:
    return inventory / ".secrets" / f"{HOST}.yml"


def put(inventory: Path, content: str, mode: int = 0o600) -> Path:
    (inventory / ".secrets").mkdir()
    store(inventory).write_text(content)
    store(inventory).chmod(mode)
    return store(inventory)


def test_a_secret_is_256_random_bits(tmp_path: Path) -> None:
    made = lookup(tmp_path, "token_secret", "focus_password")
    assert len(set(made)) == 2
    for value in made:
        assert re.fullmatch("[A-Za-z0-9_-]{43}", value)
        assert len(base64.urlsafe_b64decode(value + "=")) == 32


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    first = lookup(tmp_path, "token_secret")
    others = lookup(tmp_path, "focus_password", "token_secret")
    assert others[1:] == first
    assert yaml.safe_load(store(tmp_path).read_text()) == {
        "token_secret": first[0],
        "focus_password": others[0],
    }


def test_every_host_has_its_own(tmp_path: Path) -> None:
    assert lookup(tmp_path, "a") != lookup(tmp_path, "a", inventory_hostname="other.example.org")


def test_only_the_owner_can_read_it_and_git_ignores_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    lookup(tmp_path, "token_secret")
    assert stat.S_IMODE(store(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(store(tmp_path).parent.stat().st_mode) == 0o700
    status = ["git", "-C", str(tmp_path), "status", "--porcelain"]
    assert subprocess.run(status, check=True, capture_output=True, text=True).stdout == ""


def test_reading_writes_nothing(tmp_path: Path) -> None:
    lookup(tmp_path, "token_secret")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    lookup(tmp_path, "token_secret")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_store_that_others_can_read_is_closed(tmp_path: Path) -> None:
    put(tmp_path, f"token_secret: {CANARY}\n", mode=0o644)
    assert lookup(tmp_path, "token_secret") == [CANARY]
    assert stat.S_IMODE(store(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize("value", ["-starts-with-a-dash", "true", "0123", "ünï: #'\"{{ x }}\\n"])
def test_values_survive_the_file(value: str, tmp_path: Path) -> None:
    value += CANARY
    put(tmp_path, yaml.safe_dump({"mine": value}))
    lookup(tmp_path, "another")
    assert lookup(tmp_path, "mine") == [value]


def test_vault_encrypts_the_whole_store(tmp_path: Path) -> None:
    made = lookup(tmp_path, "token_secret", vault=[PASSWORD])
    assert store(tmp_path).read_bytes().startswith(b"$ANSIBLE_VAULT;")
    assert lookup(tmp_path, "token_secret", vault=[PASSWORD]) == made
    assert not (store(tmp_path).parent / ".gitignore").exists()  # so that it can be committed


def test_an_encrypted_store_may_have_the_mode_of_a_checkout(tmp_path: Path) -> None:
    lookup(tmp_path, "token_secret", vault=[PASSWORD])
    store(tmp_path).chmod(0o644)
    before = store(tmp_path).stat().st_mtime_ns
    lookup(tmp_path, "token_secret", vault=[PASSWORD])
    assert store(tmp_path).stat().st_mtime_ns == before


def test_a_clear_text_store_is_encrypted_once_there_is_a_password(tmp_path: Path) -> None:
    made = lookup(tmp_path, "token_secret")
    assert lookup(tmp_path, "token_secret", vault=[PASSWORD]) == made
    assert made[0].encode() not in store(tmp_path).read_bytes()


def test_the_identity_is_the_configured_one_or_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = [("dev", VaultSecret(b"one")), ("prod", VaultSecret(b"two"))]
    lookup(tmp_path, "a", vault=vault)
    assert store(tmp_path).read_bytes().splitlines()[0].endswith(b";dev")
    monkeypatch.setattr(constants, "DEFAULT_VAULT_ENCRYPT_IDENTITY", "prod")
    lookup(tmp_path, "b", vault=vault)
    assert store(tmp_path).read_bytes().splitlines()[0].endswith(b";prod")
    assert len(lookup(tmp_path, "a", "b", vault=vault[1:])) == 2


def test_processes_at_the_same_time_get_the_same_secret(tmp_path: Path) -> None:
    names = [f"secret_{number}" for number in range(5)]
    context = multiprocessing.get_context("fork")  # as Ansible's workers
    with context.Pool(8) as pool:
        found = pool.starmap(lookup, [(tmp_path, *names)] * 16)
    assert len({tuple(values) for values in found}) == 1


def test_a_leftover_of_a_crash_does_not_matter(tmp_path: Path) -> None:
    put(tmp_path, f"focus_password: {CANARY}\n")
    leftover = store(tmp_path).with_name(f".{HOST}.yml.new")
    leftover.write_text("half a fi")
    lookup(tmp_path, "token_secret")
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            f"token_secret: {CANARY}\n  {CANARY}: {{",
            " is no YAML (line 2). Restore it from a backup, or correct it: one `name: value` a "
            "line.",
        ),
        (
            f"- {CANARY}\n",
            " holds a list instead of names and values. Restore it from a backup, or correct it: "
            "one `name: value` a line.",
        ),
        (
            f"token_secret: [{CANARY}]\n",
            ": token_secret is of type list. Put a text in quotes, or delete the line and "
            "deploy with -e jitsi_history_new_keys=true to have a new one made.",
        ),
        (
            "token_secret: ''\n",
            ": token_secret is empty. Put a text in quotes, or delete the line and "
            "deploy with -e jitsi_history_new_keys=true to have a new one made.",
        ),
        (
            "token_secret: 123456\n",
            ": token_secret is of type int. Put a text in quotes, or delete the line and "
            "deploy with -e jitsi_history_new_keys=true to have a new one made.",
        ),
        *(
            (content, f" holds no secret. Restore it from a backup. {NEW}")
            for content in ("", "\n", "# Secrets\n", "---\n", "--- {}\n", "null\n")
        ),
        (
            f"token_secret: {CANARY}",
            " is cut off: it does not end with 'a line break'. Restore it from a backup; or, if no "
            "secret is missing, put that at its end.",
        ),
        (
            f"{HEADER.format(host=HOST)}token_secret: {CANARY}\n",
            " is cut off: it does not end with '# End.'. Restore it from a backup; or, if no "
            "secret is missing, put that at its end.",
        ),
        (
            f"token_secret: {CANARY}\ntoken_secret: {CANARY}x\n",
            " has token_secret twice. Delete the line with the wrong one.",
        ),
        (
            f"token_secrt: {CANARY}\n",
            " has token_secrt, but no token_secret. Correct the name; or delete the line and "
            "deploy with -e jitsi_history_new_keys=true to have a new secret made, "
            "which cuts off whoever uses the old one.",
        ),
        (
            f"Token_Secret: {CANARY}\n",
            " has Token_Secret, but no token_secret. Correct the name; or delete the line and "
            "deploy with -e jitsi_history_new_keys=true to have a new secret made, "
            "which cuts off whoever uses the old one.",
        ),
        *(
            (
                f"token_secret: {weak}\n",
                f": token_secret {why}. Restore the file from a backup; or delete the line and "
                "deploy with -e jitsi_history_new_keys=true to have a new one made, "
                "which cuts off whoever uses the old one.",
            )
            for weak, why in (
                ("AAAAA", "is shorter than 32 characters"),
                (f"'{HOST * 3}'", weakness(HOST * 3, [HOST])),
                ("A" * 43, weakness("A" * 43)),
            )
        ),
        (
            f"64: {CANARY}\n",
            " has a name of type int. Restore it from a backup, or correct it: one `name: value` a "
            "line.",
        ),
        (
            "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
            " is encrypted with Ansible Vault and no vault password is configured. Give it with "
            "--vault-password-file or --ask-vault-pass, or name its file in "
            "ANSIBLE_VAULT_PASSWORD_FILE.",
        ),
    ],
)
def test_a_store_that_cannot_be_read_is_left_alone(
    content: str, sentence: str, tmp_path: Path
) -> None:
    put(tmp_path, content)
    with pytest.raises(AnsibleLookupError) as error:
        lookup(tmp_path, "token_secret")
    assert str(error.value) == f"{store(tmp_path)}{sentence}"
    assert store(tmp_path).read_text() == content


def link_to_nothing(folder: Path) -> Path:
    folder.mkdir()
    path = folder / f"{HOST}.yml"
    path.symlink_to("/mnt/not-mounted/secrets.yml")
    return path


def a_folder_instead(folder: Path) -> Path:
    path = folder / f"{HOST}.yml"
    path.mkdir(parents=True)
    return path


def a_pipe(folder: Path) -> Path:
    folder.mkdir()
    path = folder / f"{HOST}.yml"
    os.mkfifo(path)
    return path


def an_empty_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def a_link_to_no_folder(folder: Path) -> Path:
    folder.symlink_to("/mnt/not-mounted")
    return folder


def a_file_instead(folder: Path) -> Path:
    folder.write_text("")
    return folder


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (link_to_nothing, " is a link to /mnt/not-mounted/secrets.yml, which is not there."),
        (a_folder_instead, " is no regular file. Restore it from a backup."),
        (a_pipe, " is no regular file. Restore it from a backup."),
        (an_empty_folder, " is empty. Mount the disk that has the secrets, or restore them"),
        (a_link_to_no_folder, " is no folder, or a link to none. Mount the disk"),
        (a_file_instead, " is no folder, or a link to none. Mount the disk"),
    ],
)
def test_what_is_there_and_holds_nothing_is_no_reason_for_new_secrets(
    make: Callable[[Path], Path], words: str, tmp_path: Path
) -> None:
    path = make(tmp_path / ".secrets")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AnsibleLookupError) as error:
        lookup(tmp_path, "token_secret")
    assert str(error.value).startswith(f"{path}{words}")
    assert "new secrets made" in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_was_made_is_read_again_and_grows(tmp_path: Path) -> None:
    lookup(tmp_path, "token_secret")
    lookup(tmp_path, "focus_password")
    text = store(tmp_path).read_text()
    assert text.endswith("# End.\n")
    store(tmp_path).write_text("".join(text.splitlines(keepends=True)[:-2]))
    with pytest.raises(AnsibleLookupError, match="is cut off"):
        lookup(tmp_path, "token_secret", "focus_password")


def test_no_secret_is_made_of_what_everybody_knows(tmp_path: Path) -> None:
    name = "zfq-konferenz-wuppertal.invalid"
    put(tmp_path, f"token_secret: {name}/1\n")
    assert lookup(tmp_path, "token_secret") == [f"{name}/1"]
    with pytest.raises(AnsibleLookupError, match="names of this server"):
        lookup(tmp_path, "token_secret", jitsi_domain=name)


@pytest.mark.parametrize("damage", ["another password", "damaged file"])
def test_a_vault_that_does_not_open_is_left_alone(damage: str, tmp_path: Path) -> None:
    lookup(tmp_path, "token_secret", vault=[PASSWORD])
    password = PASSWORD
    if damage == "another password":
        password = ("default", VaultSecret(b"wrong"))
    else:
        store(tmp_path).write_bytes(store(tmp_path).read_bytes()[:-40])
    before = store(tmp_path).read_bytes()
    with pytest.raises(AnsibleLookupError, match="does not open with the vault password"):
        lookup(tmp_path, "token_secret", vault=[password])
    assert store(tmp_path).read_bytes() == before


@pytest.mark.parametrize(
    ("names", "variables", "sentence"),
    [
        (
            ["a"],
            {"inventory_dir": None},
            f"{HOST} is in no inventory file, and secrets are kept beside that. Run with -i "
            "inventory/<name>/hosts.yml.",
        ),
        (
            ["a"],
            {"inventory_hostname": "../../etc/passwd"},
            "The inventory name ../../etc/passwd cannot be the name of a file. Use a plain name "
            "of at most 200 characters, and put the address into ansible_host.",
        ),
        (
            ["a"],
            {"inventory_hostname": ".."},
            "The inventory name .. cannot be the name of a file. Use a plain name of at most 200 "
            "characters, and put the address into ansible_host.",
        ),
        (
            ["Token-Secret"],
            {},
            "'Token-Secret' cannot be the name of a secret. Use small letters, digits and "
            "underscores, e.g. token_secret.",
        ),
    ],
    ids=["no inventory file", "a path as host", "a dot as host", "a bad name"],
)
def test_wrong_use_is_refused(
    names: list[str], variables: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(AnsibleLookupError) as error:
        lookup(tmp_path, *names, **variables)
    assert str(error.value) == sentence
    assert list(tmp_path.iterdir()) == []


def test_an_inventory_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere, so the refusal of the file system is acted."""

    def mkdir(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(AnsibleLookupError) as error:
        lookup(tmp_path, "a")
    assert str(error.value) == (
        f"The secrets of {HOST} cannot be kept: {tmp_path}/.secrets: Permission denied. Run as the "
        "user who owns the inventory, or correct the permissions."
    )


PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: Use the secret as roles do
      ansible.builtin.assert:
        that: (lookup('vestibule_secret', 'token_secret') | length) > 10
        quiet: true
    - name: Give it to a module
      ansible.builtin.command:
        argv: [sha256sum]
        stdin: "{{ lookup('vestibule_secret', 'token_secret') }}"
      no_log: true
"""


@pytest.mark.parametrize("vault", [False, True], ids=["clear text", "vault"])
@pytest.mark.parametrize("damaged", [False, True], ids=["good store", "damaged store"])
def test_a_play_shows_the_secret_nowhere(vault: bool, damaged: bool, tmp_path: Path) -> None:
    """The way an operator meets the lookup: a playbook at -vvv, with diffs."""
    (tmp_path / "hosts").write_text(f"{HOST} ansible_connection=local\n")
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\nlookup_plugins = {ROOT}/lookup_plugins\n")
    (tmp_path / "password").write_text("correct horse\n")
    put(tmp_path, f"token_secret: {CANARY}\n" + ("  oops: {\n" if damaged else ""))
    command = [sys.executable, "-m", "ansible", "playbook", "-vvv", "--diff", "-i", "hosts"]
    if vault:
        command += ["--vault-password-file", "password"]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": "ansible.cfg",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    play = subprocess.run(
        [*command, "play.yml"],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    output = play.stdout + play.stderr
    assert (play.returncode == 0) is not damaged, output
    assert ("is no YAML (line 2)" in output) is damaged, output
    assert CANARY not in output
    if not damaged:
        assert (CANARY in store(tmp_path).read_text()) is not vault


def test_errors_of_the_vault_are_no_tracebacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DEFAULT_VAULT_ENCRYPT_IDENTITY", "missing")
    with pytest.raises(AnsibleError, match="missing"):
        lookup(tmp_path, "a", vault=[PASSWORD])


@pytest.mark.parametrize("content", [None, f"focus_password: {CANARY}\n"], ids=["none", "another"])
def test_who_asks_gets_an_empty_text_and_who_reads_a_sentence(
    content: str | None, tmp_path: Path
) -> None:
    if content:
        put(tmp_path, content)
    before = sorted(tmp_path.rglob("*"))
    assert lookup(tmp_path, "token_secret", vestibule_secrets="ask") == [""]
    with pytest.raises(AnsibleLookupError) as error:
        lookup(tmp_path, "token_secret", vestibule_secrets="read")
    assert f"{store(tmp_path)} has no token_secret, and only a deployment" in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before
    made = lookup(tmp_path, "token_secret")
    for mode in ("ask", "read"):
        assert lookup(tmp_path, "token_secret", vestibule_secrets=mode) == made


@pytest.mark.parametrize("mode", ["ask", "read"])
def test_a_store_that_says_nothing_is_a_question_to_all(mode: str, tmp_path: Path) -> None:
    (tmp_path / ".secrets").mkdir()
    with pytest.raises(AnsibleLookupError, match=r"[.]secrets is empty[.] Mount the disk"):
        lookup(tmp_path, "token_secret", vestibule_secrets=mode)


def test_secrets_of_one_kind_stand_beside_each_other() -> None:
    """Their names are made of those of hosts, and may be much alike."""
    known = ["bridge_password", "bridge_password_of_east"]
    refuse_misspelt(Path("store"), "bridge_password_of_west", known)
    with pytest.raises(
        SecretError, match="has bridge_pasword_of_west, but no bridge_password_of_west"
    ):
        refuse_misspelt(Path("store"), "bridge_password_of_west", ["bridge_pasword_of_west"])

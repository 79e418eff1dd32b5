"""Backups: whole or refused, for whoever has the password alone, and safe to unpack."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import stored
from ansible.parsing.vault import VaultLib, VaultSecret

from vestibule import backup_file, backups, secret_store
from vestibule.backup_file import BackupError, opened, written
from vestibule.backups import Place, bring_back, check, other_variables, put_beside, summary, take
from vestibule.command import ansible_inventory
from vestibule.command.command_line import main

DATA = "/var/lib/prosody"
SECRETS = {"token_secret": "Zq3v7Tn1Xb8Lk2Wm5Rj9Yc4Hd6Fp0Gs_Ae-Ui"}
VAULT = VaultLib([("default", VaultSecret(b"correct horse"))])
OTHER = VaultLib([("default", VaultSecret(b"battery staple"))])
Host = Callable[[Mapping[str, Any]], dict[str, Any]]


def archive(*members: tarfile.TarInfo, body: bytes = b"data\n") -> bytes:
    """An archive as a host makes one."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as target:
        for member in members:
            if member.isreg():
                member.size = len(body)
            target.addfile(member, io.BytesIO(body))
    return made.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


GOOD = archive(
    member("var/lib/prosody", tarfile.DIRTYPE),
    member("var/lib/prosody/accounts.dat"),
    member("var/lib/prosody/link", tarfile.SYMTYPE, "accounts.dat"),
)


def host_with(data: bytes, unpacked: int = 5) -> Host:
    """A host that has this archive, and remembers what it was told."""

    def ask(options: Mapping[str, Any]) -> dict[str, Any]:
        if options["state"] == "packed":
            return {
                "tops": [DATA],
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "unpacked": unpacked,
                "count": 3,
            }
        if options["state"] == "read":
            part = data[options["offset"] :][: options["length"]]
            return {"content": base64.b64encode(part).decode()}
        return {}

    return ask


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Place:
    inventory = tmp_path / "inventory"
    (inventory / ".secrets").mkdir(parents=True)
    place = Place("meet", "meet.example.org", inventory, inventory / "meet.versions.yml")
    place.secrets.write_text("".join(f"{name}: {value}\n" for name, value in SECRETS.items()))
    place.secrets.chmod(0o600)
    place.versions.write_text("jitsi_versions: {}\n")
    return place


@pytest.fixture(name="backup")
def _backup(place: Place, tmp_path: Path) -> Path:
    path = tmp_path / "backups" / "meet.vestibule"
    take(place, [DATA], {"jitsi_domain": place.domain}, path, VAULT, host_with(GOOD))
    return path


def elsewhere(place: Place, tmp_path: Path) -> Place:
    """The same server on a controller that has nothing of it."""
    inventory = tmp_path / "other"
    inventory.mkdir()
    return Place(place.host, place.domain, inventory, inventory / "meet.versions.yml")


def test_only_its_owner_reads_it_and_nothing_in_it_is_clear(backup: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700
    assert [path.name for path in backup.parent.iterdir()] == ["meet.vestibule"]
    body = backup.read_bytes()
    assert SECRETS["token_secret"].encode() not in body
    assert b"meet.example.org" not in body
    assert GOOD[:64].hex().encode() not in body


def test_it_says_what_it_has_without_secrets(backup: Path) -> None:
    shown = summary(check(backup, VAULT))
    assert shown["domain"] == "meet.example.org"
    assert shown["secrets"] == ["token_secret"]
    assert shown["has_versions"] is True
    assert SECRETS["token_secret"] not in json.dumps(shown)


def test_secrets_and_versions_come_beside_an_inventory_without_any(
    place: Place, backup: Path, tmp_path: Path
) -> None:
    there = elsewhere(place, tmp_path)
    dry, _ = put_beside(backup, VAULT, there, [DATA], check_mode=True)
    assert dry
    assert list(there.inventory.iterdir()) == []
    changed, _ = put_beside(backup, VAULT, there, [DATA], check_mode=False)
    assert changed
    assert secret_store.read(there.secrets, VAULT)[0] == SECRETS
    assert there.secrets.read_bytes().startswith(b"$ANSIBLE_VAULT")
    assert there.versions.read_text() == "jitsi_versions: {}\n"
    assert put_beside(backup, VAULT, there, [DATA], check_mode=False)[0] is False


def test_other_secrets_that_are_there_are_a_question(place: Place, backup: Path) -> None:
    place.secrets.write_text(f"token_secret: {'x' + SECRETS['token_secret']}\n")
    with pytest.raises(BackupError, match=r"has other secrets than .*: token_secret"):
        put_beside(backup, VAULT, place, [DATA], check_mode=False)


def test_a_backup_of_another_server_is_refused(place: Place, backup: Path) -> None:
    other = Place("meet", "chat.example.org", place.inventory, place.versions)
    with pytest.raises(BackupError, match=r"a backup of meet\.example\.org"):
        check(backup, VAULT, other)


def test_data_where_a_server_has_none_is_refused(place: Place, backup: Path) -> None:
    with pytest.raises(BackupError, match="has data for /var/lib/prosody, where"):
        put_beside(backup, VAULT, place, ["/etc/letsencrypt"], check_mode=True)


def test_another_password_does_not_open_it(backup: Path) -> None:
    with pytest.raises(BackupError, match="does not open with the vault password"):
        check(backup, OTHER)


def test_without_a_password_none_is_written(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "clear.vestibule"
    with pytest.raises(BackupError, match="No vault password is configured"):
        take(place, [DATA], {}, path, VaultLib(), host_with(GOOD))
    assert not path.exists()


def test_it_is_refused_wherever_it_is_cut_off(backup: Path, tmp_path: Path) -> None:
    whole = backup.read_bytes()
    with tarfile.open(backup) as source:
        members = [each.offset for each in source.getmembers()]
    cut = tmp_path / "cut.vestibule"
    for length in (0, 1, 511, 700, *members[1:], members[-1] + 600, members[1] + 700):
        cut.write_bytes(whole[:length])
        with pytest.raises(BackupError):
            check(cut, VAULT)


def test_it_is_refused_whatever_was_changed(backup: Path, tmp_path: Path) -> None:
    whole = backup.read_bytes()
    changed = tmp_path / "changed.vestibule"
    with tarfile.open(backup) as source:
        bodies = [(each.offset_data, each.size) for each in source.getmembers()]
    for offset, size in bodies:
        for place in (offset, offset + size // 2, offset + size - 2):
            other = bytes([whole[place] ^ 1])
            changed.write_bytes(whole[:place] + other + whole[place + 1 :])
            with pytest.raises(BackupError):
                check(changed, VAULT)
    changed.write_bytes(whole)
    check(changed, VAULT)  # a control


def rearranged(backup: Path, to: Path, order: Callable[[list[str]], list[str]]) -> Path:
    """The same members in another order, or not all of them."""
    with tarfile.open(backup) as source, tarfile.open(to, "w") as target:
        for name in order(source.getnames()):
            each = source.getmember(name)
            target.addfile(each, source.extractfile(each))
    return to


@pytest.fixture(name="large")
def _large(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of several parts."""
    monkeypatch.setattr(backups, "PART", 100)
    path = tmp_path / "large.vestibule"
    take(place, [DATA], {}, path, VAULT, host_with(GOOD))
    assert len(check(path, VAULT)["parts"]) > 1
    return path


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(lambda names: [*names[:1], names[2], names[1], *names[3:]], id="swapped"),
        pytest.param(lambda names: [*names[:1], *names[2:]], id="one gone"),
        pytest.param(lambda names: [*names[:-1], names[1], names[-1]], id="one twice"),
    ],
)
def test_parts_are_refused_in_another_order(
    large: Path, tmp_path: Path, order: Callable[[list[str]], list[str]]
) -> None:
    with pytest.raises(BackupError):
        check(rearranged(large, tmp_path / "other.vestibule", order), VAULT)


def test_a_part_is_refused_under_the_name_of_another(large: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.vestibule"
    with tarfile.open(large) as source, tarfile.open(path, "w") as target:
        names = source.getnames()
        for name, body in zip(names, [names[0], names[2], names[1], *names[3:]], strict=True):
            each = source.getmember(body)
            content = source.extractfile(each)
            each.name = name
            target.addfile(each, content)
    with pytest.raises(BackupError, match="damaged in part 0"):
        check(path, VAULT)


@pytest.mark.parametrize("name", ["foreign.tar", "no.tar", "missing.tar"])
def test_what_is_no_backup_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "foreign.tar":
        path.write_bytes(gzip.decompress(GOOD))
    elif name == "no.tar":
        path.write_text("no archive\n")
    with pytest.raises(BackupError, match=r"no backup that Vestibule made|There is no file"):
        check(path, VAULT)


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        (member("/etc/shadow"), "leads out of its folder"),
        (member("var/lib/prosody/../../../etc/shadow"), "leads out of its folder"),
        (member("etc/shadow"), "in no folder of a server's data"),
        (member("var/lib/prosody-other/x"), "in no folder of a server's data"),
        (member("var/lib/prosody/x", tarfile.SYMTYPE, "/etc/shadow"), "leads out of /var"),
        (member("var/lib/prosody/x", tarfile.SYMTYPE, "../../../etc"), "leads out of /var"),
        (member("var/lib/prosody/x", tarfile.LNKTYPE, "etc/shadow"), "a device or no file"),
        (member("var/lib/prosody/x", tarfile.CHRTYPE), "a device or no file"),
        (member("var/lib/prosody/x", tarfile.FIFOTYPE), "a device or no file"),
    ],
)
def test_what_must_not_be_unpacked_is_refused(
    place: Place, tmp_path: Path, strange: tarfile.TarInfo, words: str
) -> None:
    path = tmp_path / "strange.vestibule"
    data = archive(member("var/lib/prosody/good"), strange)
    take(place, [DATA], {}, path, VAULT, host_with(data, 100))
    with pytest.raises(BackupError, match=words):
        check(path, VAULT)


def test_more_data_than_it_says_is_refused(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "bomb.vestibule"
    data = archive(member("var/lib/prosody/zeros"), body=bytes(10_000_000))
    take(place, [DATA], {}, path, VAULT, host_with(data, 5))
    with pytest.raises(BackupError, match="has more data than it says"):
        check(path, VAULT)


def test_a_backup_that_is_cut_off_leaves_nothing(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    ask = host_with(GOOD)

    def gone(options: Mapping[str, Any]) -> Mapping[str, Any]:
        if options["state"] == "read":
            raise KeyboardInterrupt
        return ask(options)

    with pytest.raises(KeyboardInterrupt):
        take(place, [DATA], {}, folder / "meet.vestibule", VAULT, gone)
    assert list(folder.iterdir()) == []


def test_memory_is_bounded_by_parts(place: Place, tmp_path: Path) -> None:
    data = archive(member("var/lib/prosody/noise"), body=os.urandom(12 * 2**20))
    path = tmp_path / "large.vestibule"
    ask = host_with(data, 12 * 2**20)
    tracemalloc.start()
    take(place, [DATA], {}, path, VAULT, ask)
    check(path, VAULT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * backup_file.PART  # of six


def test_what_is_brought_back_is_what_was_taken(large: Path) -> None:
    arrived: list[Mapping[str, Any]] = []

    def ask(options: Mapping[str, Any]) -> dict[str, Any]:
        arrived.append(options)
        return {"paths": [DATA]}

    assert bring_back(large, VAULT, "/var/backups/vestibule", ask) == [DATA]
    *parts, last = arrived
    assert len(parts) > 1
    assert b"".join(base64.b64decode(each["content"]) for each in parts) == GOOD
    assert last["state"] == "restored"
    assert last["paths"] == [DATA]


def test_variables_that_changed_are_named(backup: Path) -> None:
    with opened(backup, VAULT) as reader:
        contents = reader.contents
    given = {"jitsi_domain": "meet.example.org"}
    assert other_variables(contents, given) == []
    assert other_variables(contents, {**given, "jitsi_features": []}) == ["jitsi_features"]


def test_a_written_file_replaces_the_one_before_at_once(tmp_path: Path) -> None:
    path = tmp_path / "meet.vestibule"
    path.write_text("before")
    with pytest.raises(TypeError), written(path, VAULT) as writer:
        writer.add(None)  # type: ignore[arg-type]
    assert path.read_text() == "before"


def test_the_command_says_what_is_in_one_and_whether_it_is_whole(
    backup: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ansible_inventory, "vault", lambda root: VAULT)
    assert main(["show-backup", str(backup)]) == 0
    shown = capsys.readouterr().out
    assert f"{backup} is whole." in shown
    assert "token_secret" in shown
    assert SECRETS["token_secret"] not in shown
    assert main(["show-backup", str(backup), "--variables"]) == 0
    assert capsys.readouterr().out == "jitsi_domain: meet.example.org\n"
    assert main(["show-backup", str(backup), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["host"] == "meet"
    backup.write_bytes(backup.read_bytes()[:-20000])
    assert main(["show-backup", str(backup)]) == 1
    assert "is cut off" in capsys.readouterr().err


def test_the_host_looks_at_members_as_well() -> None:
    with pytest.raises(stored.StoredError):
        list(stored.members(io.BytesIO(archive(member("etc/shadow"))), [DATA]))
    with pytest.raises(stored.StoredError, match="cannot be read"):
        list(stored.members(io.BytesIO(GOOD[:40]), [DATA]))
    assert len(list(stored.members(io.BytesIO(GOOD), [DATA]))) == 3

"""The command: links that are those of mint.yml, tables of people, and verdicts in words."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jwt
import pytest
import segno
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from vestibule.command import qr
from vestibule.command.command_line import main
from vestibule.tokens.durations import DurationError, seconds, words
from vestibule.tokens.minting import mint
from vestibule.tokens.times import moment, span

ROOT = Path(__file__).resolve().parents[2]
SECRET = "4Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5S"
DOMAIN = "meet.example.org"
TIMES = ("iat", "nbf", "exp")
OTHER = "m7Hq2ZcX0vRt5LwKpB8nYd3JfG6sQe1uTxA"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = (
    RSA.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible's configuration, which the command would set for its whole process."""
    monkeypatch.setenv("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))


@pytest.fixture(name="inventory")
def _inventory(tmp_path: Path) -> Path:
    return made(tmp_path / "inventory", f"jitsi_domain: {DOMAIN}\n")


def made(folder: Path, variables: str, *hosts: str) -> Path:
    """A plain inventory of these hosts, with the secrets of a deployment."""
    (folder / "group_vars").mkdir(parents=True)
    (folder / ".secrets").mkdir(mode=0o700)
    names = hosts or ("meet",)
    (folder / "hosts.yml").write_text(f"all: {{hosts: {{{', '.join(f'{n}: ' for n in names)}}}}}\n")
    (folder / "group_vars/all.yml").write_text(variables, encoding="utf-8")
    for name in names:
        store = folder / ".secrets" / f"{name}.yml"
        store.write_text(f"token_secret: {SECRET}\n", encoding="utf-8")
        store.chmod(0o600)
    return folder


@pytest.fixture(name="run")
def _run(
    inventory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """The command with the inventory, and its exit code and what it says."""

    def run(command: str, *arguments: str, stdin: str = "", without: bool = False) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        own = () if without or "--inventory" in arguments else ("--inventory", str(inventory))
        try:
            code = main([command, *own, *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def claims_of(link: str) -> dict[str, Any]:
    token = link.partition("?jwt=")[2].strip()
    return dict(jwt.decode(token, SECRET, ["HS256"], audience="jitsi", leeway=60))


# One link


def test_one_link_and_nothing_else(run: Run) -> None:
    code, out, err = run("mint", "--room", "standup", "--name", "Ann", "--owner", "--for", "2h")
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"https://{DOMAIN}/standup\?jwt=[\w.-]+\n", out)
    claims = claims_of(out)
    assert claims["exp"] - claims["iat"] == 7200
    assert claims["context"] == {"user": {"name": "Ann", "moderator": True}}


PLAYED = {
    "plain": ("", [], []),
    "port and issuer": (
        "jitsi_web_port: 8443\njitsi_token_issuer: acme\njitsi_token_audience: rooms\n",
        [],
        [],
    ),
    "tenants": (
        "jitsi_features: [tenants]\njitsi_tenants: [acme]\n",
        ["--tenant", "acme"],
        ["-e", "tenant=acme"],
    ),
    "templates": ("jitsi_token_issuer: '{{ jitsi_domain }}'\n", [], []),
    "keys": (
        f"""\
jitsi_token_issuers: [vestibule, acme, idp]
jitsi_token_mint_kid: app
jitsi_token_keys:
  - {{kid: other, algorithm: HS256, secret: {OTHER}, issuers: [vestibule]}}
  - {{kid: app, algorithm: HS256, secret_name: token_secret, issuers: [acme]}}
  - {{kid: idp, algorithm: RS256, issuers: [idp], public_key: {json.dumps(PUBLIC)}}}
""",
        [],
        [],
    ),
    "a secret of one's own": ("jitsi_token_secret: Wq7mZx2Lk9Rt4Vb8Nc3Hd6Jf5Gs1Yp0K\n", [], []),
}


@pytest.mark.parametrize("name", PLAYED)
def test_the_link_is_that_of_the_playbook(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more, ours, theirs = PLAYED[name]
    folder = made(tmp_path / "other", f"jitsi_domain: {DOMAIN}\n{more}")
    arguments = ["--room", "Büro 7", "--name", "Ann", "--owner", "--for", "2h"]
    code = main(["mint", "--inventory", str(folder), *arguments, "--feature", "recording", *ours])
    link = capsys.readouterr().out.strip()
    assert code == 0
    extra = {"room": "Büro 7", "display_name": "Ann", "lifetime": 7200, "features": "recording"}
    done = subprocess.run(
        [
            "ansible-playbook",
            "-i",
            str(folder),
            "-e",
            json.dumps(extra),
            *theirs,
            "playbooks/mint.yml",
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=True,
    )
    other = re.search(r"https://\S+", done.stdout)
    assert other
    assert link.partition("?")[0] == other[0].partition("?")[0]
    both = [
        jwt.decode(each.partition("jwt=")[2], options={"verify_signature": False})
        for each in (link, other[0])
    ]
    assert both[0]["exp"] - both[0]["iat"] == both[1]["exp"] - both[1]["iat"]
    for claims in both:
        for name_of_time in TIMES:
            del claims[name_of_time]
    assert both[0] == both[1]
    headers = [jwt.get_unverified_header(each.partition("jwt=")[2]) for each in (link, other[0])]
    assert headers[0] == headers[1]
    assert headers[0].get("kid") == ("app" if name == "keys" else None)
    # With one time, the same secret signs the same
    secret = "Wq7mZx2Lk9Rt4Vb8Nc3Hd6Jf5Gs1Yp0K" if "own" in name else SECRET
    for each in (link, other[0]):
        jwt.decode(each.partition("jwt=")[2], secret, ["HS256"], options={"verify_aud": False})


def test_ansible_is_not_loaded_for_a_plain_inventory(inventory: Path) -> None:
    code = "import sys; from vestibule.command.command_line import main; main(); " + (
        "sys.exit(any(name.partition('.')[0] == 'ansible' for name in sys.modules))"
    )
    options = ["mint", "--inventory", str(inventory), "--room", "a"]
    done = subprocess.run([sys.executable, "-c", code, *options], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_what_ansible_has_to_read_is_said(run: Run, inventory: Path) -> None:
    with (inventory / "group_vars/all.yml").open("a") as file:
        file.write("jitsi_token_audience: '{{ jitsi_domain }}'\n")
    code, out, err = run("mint", "--room", "a")
    assert code == 0
    assert out.startswith("https://")
    assert "takes a second more: jitsi_token_audience has to be worked out" in err


def test_an_encrypted_secret_is_opened(inventory: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    store = inventory / ".secrets/meet.yml"
    subprocess.run(
        ["ansible-vault", "encrypt", "--vault-password-file", str(password), str(store)],
        check=True,
        capture_output=True,
    )
    command = [
        str(ROOT / "scripts/vestibule"),
        "mint",
        "--inventory",
        str(inventory),
        "--room",
        "a",
    ]
    for given, words_of in (
        ({"ANSIBLE_VAULT_PASSWORD_FILE": str(password)}, ""),
        ({}, "Name its file in ANSIBLE_VAULT_PASSWORD_FILE or ansible.cfg."),
    ):
        environment = {name: v for name, v in os.environ.items() if not name.startswith("ANSIBLE_")}
        done = subprocess.run(
            command, env={**environment, **given}, cwd=tmp_path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert words_of in done.stderr
        assert "--vault-password-file" not in done.stderr
        assert bool(done.stdout) == (not words_of)
        if done.stdout:
            assert claims_of(done.stdout)["room"] == "a"


UNREAD = {
    "YAML": ("group_vars/all.yml", "jitsi_domain: m\na: b: c\n", "all.yml, line 2: YAML parsing"),
    "a host": ("host_vars/meet.yml", "a: b\nc: [\n", "meet.yml, line 3: YAML parsing"),
    "a list": ("group_vars/all.yml", "- a\n", "all.yml': failed to combine"),
    "a vault": (
        "group_vars/all.yml",
        "$ANSIBLE_VAULT;1.1;AES256\n363\n",
        "all.yml: Attempting to decrypt but no vault secrets found. Give the vault password in",
    ),
}


@pytest.mark.parametrize("name", UNREAD)
def test_variables_that_do_not_read_are_a_sentence(run: Run, inventory: Path, name: str) -> None:
    file, content, sentence = UNREAD[name]
    (inventory / file).parent.mkdir(exist_ok=True)
    (inventory / file).write_text(content)
    code, out, err = run("mint", "--room", "a")
    assert (code, out) == (1, "")
    assert f"vestibule: Ansible does not read {inventory}: " in err
    assert sentence in err
    assert run("explain-token", stdin=token())[0] == 2


def test_variables_that_make_no_model_do_not_matter(run: Run, inventory: Path) -> None:
    with (inventory / "group_vars/all.yml").open("a") as file:
        file.write("jitsi_upgrade_kept: 5\n")
    assert run("mint", "--room", "a")[0] == 0


@pytest.mark.parametrize(
    "line",
    [
        "jitsi_token_secret: 0x1234567890",
        "jitsi_token_keys: [{kid: a, algorithm: HS256, secret: 0x1234567890}]",
        "jitsi_extra_settings: {main: {some_password: 0x1234567890}}",
    ],
)
def test_a_secret_that_yaml_reads_otherwise_is_not_shown(
    run: Run, inventory: Path, line: str
) -> None:
    with (inventory / "group_vars/all.yml").open("a") as file:
        file.write(f"{line}\n")
    code, out, err = run("mint", "--room", "a")
    assert (code, out) == (1, "")
    assert "is a number that YAML reads otherwise" in err
    assert "all.yml, line 2" in err
    assert "1234567890" not in err
    assert str(0x1234567890) not in err


def test_no_secret_is_made(run: Run, inventory: Path) -> None:
    (inventory / ".secrets/meet.yml").unlink()
    (inventory / ".secrets").rmdir()
    code, out, err = run("mint", "--room", "a")
    assert (code, out) == (1, "")
    assert "only a deployment makes one" in err
    assert not (inventory / ".secrets").exists()


def test_names_that_no_file_has_are_a_sentence(run: Run, tmp_path: Path) -> None:
    long = "x" * 300
    code, out, err = run("mint", "--inventory", long, "--room", "a")
    assert (code, out) == (1, "")
    assert "cannot be looked at: File name too long. Name its folder" in err
    people = table(tmp_path, "room,name\na,Ann\n")
    code, out, err = run("mint", "--batch", people, "--output", str(tmp_path / long))
    assert (code, out) == (1, "")
    assert "cannot be written: File name too long." in err


@pytest.mark.parametrize("is_batch", [True, False])
def test_a_full_disk_is_a_sentence(inventory: Path, tmp_path: Path, is_batch: bool) -> None:
    people = table(tmp_path, "room,name\na,Ann\n")
    asked = ["--batch", people] if is_batch else ["--room", "a"]
    command = [sys.executable, "-m", "vestibule.command", "mint", "--inventory", str(inventory)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, *asked], check=False, stdout=full, stderr=subprocess.PIPE, text=True,
            cwd=ROOT,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == ("vestibule: Standard output cannot be used: No space left on device.\n")


def test_what_is_no_text_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        io, "StringIO", lambda _: io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), "utf-8")
    )
    code, out, err = run("explain-token")
    assert (code, out) == (2, "")
    assert "Standard input is no text" in err


def test_one_of_several_hosts_is_named(tmp_path: Path, run: Run) -> None:
    folder = made(tmp_path / "two", f"jitsi_domain: {DOMAIN}\n", "north", "south")
    code, _, err = run("mint", "--inventory", str(folder), "--room", "a")
    assert code == 1
    assert "several hosts. Say --host and one of north, south." in err
    assert run("mint", "--inventory", str(folder), "--room", "a", "--host", "south")[0] == 0
    assert (
        "has no host east"
        in run("mint", "--inventory", str(folder), "--room", "a", "--host", "east")[2]
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--room", ""], "--room is empty"),
        (["--room", ".."], "room is no text, or empty, or dots alone"),
        (["--room", "a?b"], "room has characters that Jitsi drops"),
        (["--room", "a", "--name", ""], "--name is empty, or has a control character. Name one"),
        (["--room", "a", "--name", "A\nB"], "--name is empty, or has a control character"),
        (["--room", "a", "--name", "a\u202eb"], "--name is empty, or has a control character"),
        (["--room", "a", "--name", "x" * 10_000], "--name is longer than 255 bytes"),
        (["--room", "a" * 10_000], "--room is longer than 8192 bytes"),
        (["--room", "a" * 1024], "--room is longer than 1023 bytes in the address"),
        (["--room", "é" * 171], "--room is longer than 1023 bytes in the address"),
        (["--room", "http-bind"], '--room is "http-bind", which the server keeps for itself'),
        (["--room", "config%2Ejs"], '--room is "config%2Ejs", which the server keeps for itself'),
        (["--room", "__Jicofo-health-check-1"], "which the server keeps for itself"),
        (["--room", "a%0Ab"], "--room is empty, or has a control character"),
        (["--room", "a", "--feature", "recordng"], "Did you mean recording?"),
        (["--room", "a", "--email", "ann"], "--email is no address"),
        (["--room", "a", "--for", "0"], '--for is "0", no duration'),
        (["--room", "a", "--for", "0h"], '--for is "0h", no time at all'),
        (["--room", "a", "--for=-1h"], '--for is "-1h", no duration'),
        (["--room", "a", "--for", "1e9d"], '--for is "1e9d", no duration'),
        (["--room", "a", "--for", "2d"], "more than the 1d that the server takes"),
        (["--room", "a", "--for", "9" * 30 + "d"], "more than the 1d that the server takes"),
        (["--room", "a", "--qr", "x.gif"], "Give it the ending .png or .svg"),
    ],
)
def test_what_cannot_be_is_a_sentence(run: Run, arguments: list[str], sentence: str) -> None:
    code, out, err = run("mint", *arguments)
    assert (code, out) == (1, "")
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--room", "a", "--output", "x"],
        ["--batch", "x.csv", "--room", "a"],
        ["--batch", "x.csv", "--owner"],
    ],
)
def test_what_does_not_fit_together_is_said(run: Run, arguments: list[str]) -> None:
    code, out, err = run("mint", *arguments)
    assert (code, out) == (2, "")
    assert "usage: vestibule mint" in err


ODD_TENANTS = {
    "a full stop": ("a.b", "is no name of a tenant"),
    "a tilde": ("a~b", "is no name of a tenant"),
    "a space": ("a b", "is no name of a tenant"),
    "a percent sign": ("a%20b", "is no name of a tenant"),
    "an accent": ("büro", "is no name of a tenant"),
    "too long": ("a" * 64, "is no name of a tenant"),
    "a path": ("Static", "a component or a path of the server"),
    "a component": ("conference", "a component or a path of the server"),
}


@pytest.mark.parametrize("name", ODD_TENANTS)
def test_a_tenant_that_no_server_has_gets_no_link(tmp_path: Path, run: Run, name: str) -> None:
    tenant, sentence = ODD_TENANTS[name]
    folder = str(made(tmp_path / "any", f"jitsi_domain: {DOMAIN}\njitsi_features: [tenants]\n"))
    code, out, err = run("mint", "--inventory", folder, "--room", "a", "--tenant", tenant)
    assert (code, out) == (1, "")
    assert f"--tenant {sentence}" in err or f"--tenant is {tenant}, which is {sentence}" in err


def test_any_other_tenant_gets_one_where_none_are_listed(tmp_path: Path, run: Run) -> None:
    folder = str(made(tmp_path / "any", f"jitsi_domain: {DOMAIN}\njitsi_features: [tenants]\n"))
    for tenant in ("acme", "Acme-2", "our_team"):
        code, out, _ = run("mint", "--inventory", folder, "--room", "a", "--tenant", tenant)
        assert code == 0
        assert f"/{tenant}/a?jwt=" in out


def test_without_the_feature_there_is_no_tenant(run: Run) -> None:
    code, out, err = run("mint", "--room", "a", "--tenant", "acme")
    assert (code, out) == (1, "")
    assert "--tenant needs the feature tenants. Add tenants to jitsi_features" in err


SCRIPTS = [
    "Ångström",
    "Μαρία",
    "Ирина",
    "გიორგი",
    "آنا می‌خواهد",
    "דוד",
    "क्षत्रिय‍",
    "សុខា",
    "老王",
    "ひなた",
    "김 철수",
    "👩‍🚀🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    'O"Neil <b>&amp;',
    "\\u0041 %41 {{ x }}",
    "𞤀𞤣𞤤𞤢𞤥",
    "N\u00a0B",
    "é" * 127,
]


@pytest.mark.parametrize("name", SCRIPTS)
def test_names_arrive_unharmed(run: Run, name: str) -> None:
    code, out, _ = run("mint", "--room", "a", "--name", name)
    assert code == 0
    assert claims_of(out)["context"]["user"]["name"] == name
    code, words_of, _ = run("explain-token", stdin=out)
    assert code == 0
    assert "lets it in" in words_of


def test_the_longest_room_that_the_server_takes_has_a_link(run: Run) -> None:
    for room in ("a" * 1023, "é" * 170, "\uff21" * 1023):
        code, out, _ = run("mint", "--room", room, "--name", "Ann")
        assert code == 0
        assert run("explain-token", "--room", claims_of(out)["room"], stdin=out)[0] == 0


def test_json(run: Run) -> None:
    _, out, _ = run("mint", "--room", "Büro", "--name", "Ann", "--email", "a@example.org", "--json")
    link = json.loads(out)
    assert link.keys() == {"link", "room", "tenant", "name", "email", "role", "expires"}
    assert (link["room"], link["role"], link["email"]) == ("Büro", "member", "a@example.org")
    assert unquote(urlsplit(link["link"]).path) == "/Büro"
    assert claims_of(link["link"])["context"]["user"]["email"] == "a@example.org"


# QR codes


def test_a_code_is_drawn_beside_the_link(run: Run) -> None:
    code, out, err = run("mint", "--room", "a", "--qr")
    assert code == 0
    assert out.count("\n") == 1
    lines = err.splitlines()
    assert len(lines) > 20
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_a_code_is_a_picture_for_its_owner(
    run: Run, tmp_path: Path, name: str, start: bytes
) -> None:
    code, out, err = run("mint", "--room", "a", "--qr", str(tmp_path / name))
    assert (code, err) == (0, "")
    file = tmp_path / name
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    expected = io.BytesIO()
    segno.make_qr(out.strip(), error="l", boost_error=False).save(expected, kind=name[2:], scale=4)
    assert file.read_bytes().startswith(start)
    assert file.read_bytes() == expected.getvalue()


def test_a_link_that_no_code_holds_is_said(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="a QR code holds 2953"):
        qr.save("x" * 3000, tmp_path / "a.png")


# Tables


def table(tmp_path: Path, content: str | bytes, name: str = "people.csv") -> str:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_a_link_a_row(run: Run, tmp_path: Path) -> None:
    people = table(
        tmp_path,
        "room,name,owner,for,tenant,features,email\n"
        'standup,Ann,yes,2h30m,,"recording,livestreaming",ann@example.org\n'
        "\n"
        "Büro 7, Bob ,,,,,\n",
    )
    code, out, err = run("mint", "--batch", people)
    assert (code, err) == (0, "")
    ann, bob = csv.DictReader(out.splitlines())
    assert (ann["row"], bob["row"], bob["name"], bob["role"]) == ("2", "4", "Bob", "member")
    claims = claims_of(ann["link"])
    assert claims["exp"] - claims["iat"] == 9000
    assert claims["context"] == {
        "user": {"name": "Ann", "moderator": True, "email": "ann@example.org"},
        "features": {"recording": True, "livestreaming": True},
    }


BAD_ROWS: dict[str, tuple[str | bytes, str]] = {
    "no room": (",Ann,,", "Row 3: room is not set"),
    "no name": ("a, ,yes,", "Row 3 has no name"),
    "a room alone": ("a", "Row 3 has no name"),
    "a duration": ("a,Ann,,1e9d", 'Row 3: for is "1e9d"'),
    "an answer": ("a,Ann,maybe,", 'Row 3: owner is "maybe"'),
    "too long": (f"a,{'x' * 10_000},,", "Row 3: name is longer than 255 bytes"),
    "no UTF-8": (b"a,J\xf6rg,,", "Row 3 has a name that is no UTF-8"),
    "more cells": ("a,Ann,,,,,", "Row 3 has 7 cells, and there are 4 columns"),
    "a quote": ('a,"Ann"x,,', "Row 3 is no row of CSV"),
    "twice": ("standup,Eve,,", "Row 3 says the same as row 2"),
    "twice in capitals": ("StandUp,EVE,,", "Row 3 says the same as row 2"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_and_the_others_come(run: Run, tmp_path: Path, name: str) -> None:
    row, sentence = BAD_ROWS[name]
    text = row if isinstance(row, bytes) else row.encode()
    people = table(tmp_path, b"room,name,owner,for\nstandup,Eve,,\n" + text + b"\nb,Bob,no,1h\n")
    code, out, err = run("mint", "--batch", people)
    assert code == 1
    assert sentence in err
    assert "1 row has no link" in err
    assert [row["row"] for row in csv.DictReader(out.splitlines())] == ["2", "4"]


BAD_TABLES = {
    "a column is missing": ("room,for\na,1h\n", "has no column name"),
    "a column is misspelt": ("room,name,onwer\na,b,c\n", "Did you mean owner?"),
    "a column twice": ("room,name,room\na,b,c\n", "twice"),
    "no row": ("room,name\n", "has no row of a person"),
    "empty": ("", "has no column room and no column name"),
    "a title without end": ("room,name," + "x" * 140_000 + "\na,Ann,b\n", "has no titles"),
    "no table": ("\0\1\2", "has no column room"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_refused_before_its_first_row(run: Run, tmp_path: Path, name: str) -> None:
    content, sentence = BAD_TABLES[name]
    output = tmp_path / "links.csv"
    code, out, err = run("mint", "--batch", table(tmp_path, content), "--output", str(output))
    assert (code, out) == (1, "")
    assert sentence in err
    assert not output.exists()


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffroom,name\r\na,Ann\r\n",
        "\ufeffRoom;Name;Department\na;Ann;x\n",
        '"room","name"\n"a","Ann"\n',
        " room , name \na,Ann\n",
    ],
)
def test_tables_of_spreadsheets(run: Run, tmp_path: Path, content: str) -> None:
    code, out, err = run("mint", "--batch", table(tmp_path, content))
    assert code == 0, err
    assert [row["name"] for row in csv.DictReader(out.splitlines())] == ["Ann"]
    assert ('"department", of which nothing is made' in err) == ("Department" in content)


@pytest.mark.parametrize(
    "content",
    [
        '[{"room": "a", "name": "Ann", "owner": true, "features": ["recording"]}]',
        '\ufeff{"room": "a", "name": "Ann", "owner": "yes", "features": "recording"}\n',
        '[{"room":"a","name":"Ann","owner":true,"features":["recording"]}]' + " \n" * 70_000,
    ],
)
def test_tables_of_json(run: Run, tmp_path: Path, content: str) -> None:
    code, out, err = run("mint", "--batch", table(tmp_path, content, "people.json"), "--json")
    assert code == 0, err
    link = json.loads(out)
    assert (link["row"], link["role"], link["name"]) == (1, "owner", "Ann")
    assert claims_of(link["link"])["context"]["features"] == {"recording": True}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"room": "a", "name": "x"}, 5]', "Row 2 is of type int"),
        ('[{"room": "a", "name": "x"}, {"room": "b"}]', "Row 2 has no name"),
        ('[{"room": "a", "name": "x"}, {"room": "b", "name": null}]', "Row 2 has no name"),
        ('[{"room": "a", "name": "x"}, {"room": 5, "name": "x"}]', "Row 2 has a room of type int"),
        ('[{"room": "a", "name": "x"}, {"room": "b", "nam": "x"}]', "Did you mean name?"),
        ('[{"room": "a", "name": "x"}', "ends in the middle"),
        ('[{"room": "a", "name": "x"}]\n[{"room": "b", "name": "y"}]', "goes on after its list"),
        (f'[{{"room": "a", "name": "x"}}]{" " * 70_000}x', "goes on after its list"),
        (f'[{{"room": "a", "name": "x"}}{" " * 65_508}]  x', "goes on after its list"),
        (
            '[{"room": "a", "name": "x"}, {"room": "b", "room": "c", "name": "y"}]',
            'Row 2 has the member "room" twice. Remove one.',
        ),
        ('[{"room": "a", "name": "x"}, {"room"', "is no JSON at row 2"),
        ("[]", "has no row of a person"),
        ("", "ends in the middle"),
    ],
)
def test_bad_rows_of_json(run: Run, tmp_path: Path, content: str, sentence: str) -> None:
    code, _, err = run("mint", "--batch", table(tmp_path, content, "people.json"))
    assert code == 1
    assert sentence in err


@pytest.mark.parametrize("column", ["name", "owner", "for", "tenant", "features", "email", "room"])
def test_no_cell_moves_the_cursor(run: Run, tmp_path: Path, column: str) -> None:
    for text in ("\x1b[2J\x9b31m\u202e", "x" * 5000):
        cells = {"room": "a", "name": "Ann", column: text}
        people = table(tmp_path, json.dumps([cells]), "people.json")
        code, _, err = run("mint", "--batch", people)
        assert code == 1
        assert all(line.isprintable() for line in err.splitlines())
        assert "x" * 100 not in err


@pytest.mark.parametrize("name", ["people.csv", "people.json"])
def test_no_title_moves_the_cursor(run: Run, tmp_path: Path, name: str) -> None:
    for text in ("\x1b[2J\u202e", "x" * 5000, "é"):
        content = f"room,name,{text}\na,Ann,b\n"
        if name.endswith("json"):
            content = json.dumps([{"room": "a", "name": "Ann", text: "b"}])
        _, _, err = run("mint", "--batch", table(tmp_path, content, name))
        assert "of which nothing is made" in err
        assert all(line.isprintable() for line in err.splitlines())
        assert "x" * 100 not in err


def test_output_is_a_file_for_its_owner(run: Run, tmp_path: Path) -> None:
    people = table(tmp_path, "room,name\na,Ann\n")
    output = tmp_path / "links.csv"
    output.write_text("old")
    output.chmod(0o644)
    code, out, err = run("mint", "--batch", people, "--output", str(output))
    assert (code, out) == (0, "")
    assert "1 link is in" in err
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert output.read_text().startswith("row,room,")
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_output_stays_as_it_was_when_the_table_ends_in_the_middle(run: Run, tmp_path: Path) -> None:
    people = table(tmp_path, '[{"room": "a", "name": "x"}', "people.json")
    output = tmp_path / "links.csv"
    output.write_text("old")
    assert run("mint", "--batch", people, "--output", str(output))[0] == 1
    assert output.read_text() == "old"
    assert not (tmp_path / ".links.csv.new").exists()


def test_memory_does_not_grow_with_the_table(inventory: Path, tmp_path: Path) -> None:
    """By the peak of the process: a table of 32 MB is no 32 MB of memory."""
    code = """if True:
        import re, sys
        from pathlib import Path
        from vestibule.command.command_line import main
        main()
        status = Path("/proc/self/status").read_text()
        print(re.search("VmHWM:[^0-9]*([0-9]+)", status)[1], file=sys.stderr)
    """
    peaks = []
    for count in (10, 4000):
        padding = "x" * 8000  # in a column of which nothing is made
        rows = "".join(f"r{number},Ann,{padding}\n" for number in range(count))
        people = table(tmp_path, f"room,name,note\n{rows}")
        options = ["mint", "--inventory", str(inventory), "--batch", people]
        done = subprocess.run(
            [sys.executable, "-c", code, *options], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stderr.split()[-1]))
        assert done.stdout.count("\n") == count + 1
    assert peaks[1] - peaks[0] < 8000  # kilobytes


def test_a_reader_that_leaves_is_no_traceback(inventory: Path, tmp_path: Path) -> None:
    people = table(tmp_path, "room,name\n" + "".join(f"r{n},A\n" for n in range(2000)))
    command = f"{ROOT}/scripts/vestibule mint --inventory {inventory} --batch {people} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith("row,")
    assert done.stderr == ""


# Durations and times


@pytest.mark.parametrize(
    ("text", "total"),
    [("2h30m", 9000), ("90m", 5400), ("45s", 45), ("1d", 86400), ("1H", 3600), ("1h1s", 3601)],
)
def test_durations(text: str, total: int) -> None:
    assert seconds(text, 86400) == total


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1h",
        "1e9d",
        "600",
        "h",
        "30m2h",
        "1.5h",
        " 1h",
        "1h ",
        "1w",
        "\uff11h",
        "2h30",
        "1hm",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(DurationError, match="no duration"):
        seconds(text, 86400)


def test_durations_in_words() -> None:
    assert [words(each) for each in (0, 45, 9000, 90061)] == ["0s", "45s", "2h30m", "1d1h1m1s"]
    assert [span(each) for each in (0, 1, 61, 3600, 90061)] == [
        "0 seconds",
        "1 second",
        "1 minute 1 second",
        "1 hour",
        "1 day 1 hour",
    ]


def test_moments_in_words() -> None:
    now = 1796000520.0
    assert moment(now - 720, now) == "12 minutes ago (2026-11-30 00:50 UTC)"
    assert moment(now + 60, now) == "in 1 minute (2026-11-30 01:03 UTC)"
    assert moment(now, now) == "now (2026-11-30 01:02 UTC)"
    assert moment(10.0**11, now).endswith("(5138-11-16 09:46 UTC)")
    assert "seconds since 1970" in moment(10.0**13, now)


# Explaining


def token(**changes: Any) -> str:
    arguments = {
        "secret": SECRET,
        "issuer": "vestibule",
        "audience": "jitsi",
        "domain": DOMAIN,
        **changes,
    }
    return mint({"room": "standup"}, **arguments)


def test_a_good_token_enters(run: Run) -> None:
    code, out, err = run("explain-token", stdin=f"  {token()}\n")
    assert (code, err) == (0, "")
    assert out.startswith(f'{DOMAIN} lets it in, as a member, into the room "standup".\n')
    assert " NO " not in out


def test_an_ended_token_is_refused_with_its_time(run: Run) -> None:
    code, out, _ = run("explain-token", stdin=token(now=time.time() - 4400, lifetime=3600))
    assert code == 1
    assert f"{DOMAIN} refuses it at the login: Not acceptable by exp" in out
    assert re.search(r"NO +exp +It ended 13 minutes 20 seconds ago \(20..-..-.. ..:.. UTC\)", out)


def test_a_token_of_others_is_said_to_be_one(run: Run) -> None:
    code, out, _ = run("explain-token", stdin=token(secret="o" * 43, domain="other.example.org"))
    assert code == 1
    assert "Invalid signature" in out
    assert '"other.example.org"' in out


def test_a_link_is_taken_for_its_token(run: Run) -> None:
    code, _, err = run("explain-token", stdin=f"https://{DOMAIN}/standup?jwt={token()}#config.a=1")
    assert code == 0
    assert "This is the token of that link" in err


def test_without_an_inventory_it_is_only_read(run: Run) -> None:
    code, out, _ = run("explain-token", stdin=token(), without=True)
    assert code == 0
    assert "nobody verified it" in out
    assert run("explain-token", stdin="words", without=True)[0] == 1
    code, out, _ = run("explain-token", "--json", stdin=token(), without=True)
    assert json.loads(out)["enters"] is None


def test_a_room_can_be_asked_about(run: Run) -> None:
    assert run("explain-token", "--room", "StandUp", stdin=token())[0] == 0
    code, out, _ = run("explain-token", "--room", "other", stdin=token())
    assert code == 1
    assert "refuses it at the join: Room and token mismatched" in out


@pytest.mark.parametrize("room", ["Team A", "Büro 7", "50%", "a%20b", "StandUp"])
def test_a_room_is_asked_about_by_the_name_that_it_was_minted_for(run: Run, room: str) -> None:
    link = run("mint", "--room", room)[1]
    assert run("explain-token", "--room", room, stdin=link)[0] == 0


def test_a_room_that_is_no_text_is_a_sentence(run: Run) -> None:
    code, _, err = run("explain-token", "--room", "\udcff", stdin=token())
    assert (code, "--room or --tenant is no text in UTF-8" in err) == (2, True)


@pytest.mark.parametrize(
    "stdin", ["", "  \n", f"https://{DOMAIN}/standup", "https://[abc/r?jwt=a.b.c"]
)
def test_nothing_to_explain_is_usage(run: Run, stdin: str) -> None:
    code, out, err = run("explain-token", stdin=stdin)
    assert (code, out) == (2, "")
    assert err.startswith("vestibule: ")


def test_a_verdict_for_programs(run: Run) -> None:
    code, out, _ = run("explain-token", "--json", stdin=token(audience="other"))
    assert code == 1
    verdict = json.loads(out)
    assert verdict["reason"] == "invalid 'aud' claim"
    assert (verdict["enters"], verdict["stage"], verdict["signed_here"]) == (False, "login", True)
    assert [each["claim"] for each in verdict["findings"] if each["fits"] is False] == ["aud"]


def test_the_token_is_no_argument(run: Run) -> None:
    code, _, err = run("explain-token", token())
    assert code == 2
    assert "unrecognized arguments" in err


# Keys


def with_keys(inventory: Path, *keys: dict[str, Any], **more: Any) -> None:
    with (inventory / "group_vars/all.yml").open("a") as file:
        json_of = {"jitsi_token_keys": list(keys), **more}
        file.writelines(f"{name}: {json.dumps(value)}\n" for name, value in json_of.items())


APP = {"kid": "app", "algorithm": "HS256", "secret": OTHER}
NAMED = {"kid": "named", "algorithm": "HS256", "secret_name": "token_key_1"}
IDP = {"kid": "idp", "algorithm": "RS256", "public_key": PUBLIC, "issuers": ["idp"]}


def test_with_keys_the_one_secret_is_not_looked_for(run: Run, inventory: Path) -> None:
    with_keys(inventory, APP)
    (inventory / ".secrets/meet.yml").unlink()
    (inventory / ".secrets").rmdir()
    code, out, err = run("mint", "--room", "a")
    assert (code, err) == (0, "")
    header = jwt.get_unverified_header(out.partition("jwt=")[2].strip())
    assert header["kid"] == "app"
    assert run("explain-token", stdin=out)[0] == 0
    assert not (inventory / ".secrets").exists()


def test_a_named_secret_is_read_and_never_made(run: Run, inventory: Path) -> None:
    with_keys(inventory, NAMED)
    store = inventory / ".secrets/meet.yml"
    before = store.read_bytes()
    code, out, err = run("mint", "--room", "a")
    assert (code, out) == (1, "")
    assert "has no token_key_1, and only a deployment makes one" in err
    assert store.read_bytes() == before
    store.write_bytes(before + f"token_key_1: {OTHER}\n".encode())
    code, out, _ = run("mint", "--room", "a")
    assert code == 0
    jwt.decode(out.partition("jwt=")[2].strip(), OTHER, ["HS256"], audience="jitsi")


def test_public_keys_mint_nothing(run: Run, inventory: Path) -> None:
    with_keys(inventory, IDP, jitsi_token_issuers=["vestibule", "idp"])
    code, out, err = run("mint", "--room", "a")
    assert (code, out) == (1, "")
    assert "jitsi_token_keys has no key that mints" in err


def test_each_key_is_explained(run: Run, inventory: Path) -> None:
    with_keys(inventory, APP, IDP, jitsi_token_issuers=["vestibule", "idp"])
    code, out, _ = run("explain-token", stdin=token(secret=OTHER, kid="app"))
    assert code == 0
    assert "It was signed with the key app." in out
    claims = jwt.decode(token(issuer="idp"), options={"verify_signature": False})
    code, out, _ = run("explain-token", stdin=jwt.encode(claims, RSA, "RS256", {"kid": "idp"}))
    assert code == 0
    assert "It was signed with the key idp." in out
    code, out, _ = run("explain-token", stdin=token(secret=OTHER, kid="gone"))
    assert code == 1
    assert "refuses it at the login: Unknown kid" in out
    assert 'has no key with the kid "gone"' in out
    code, out, _ = run("explain-token", stdin=token())  # of the one secret, which signs no more
    assert code == 1
    assert "Invalid signature" in out


def test_a_revoked_token_is_said_to_be_one(run: Run, inventory: Path) -> None:
    with_keys(inventory, jitsi_token_revoked={"users": ["u-17"]})
    code, out, _ = run("explain-token", stdin=token(user={"id": "u-17"}))
    assert code == 1
    assert f"{DOMAIN} refuses it at the login: Token revoked." in out
    assert 'It is "u-17", which is in jitsi_token_revoked: users.' in " ".join(out.split())
    assert run("explain-token", stdin=token(user={"id": "u-18"}))[0] == 0


def test_of_a_provider_it_cannot_be_said(run: Run, inventory: Path) -> None:
    with_keys(
        inventory,
        jitsi_token_issuers=["vestibule", "idp"],
        jitsi_token_jwks_url="https://id.example.org/keys.json",
        jitsi_token_jwks_issuers=["idp"],
    )
    claims = jwt.decode(token(issuer="idp"), options={"verify_signature": False})
    given = jwt.encode(claims, RSA, "RS256", {"kid": "any"})
    code, out, _ = run("explain-token", stdin=given)
    assert code == 1
    assert out.startswith(f"Whether {DOMAIN} lets it in cannot be said here")
    assert " NO " not in out
    said = json.loads(run("explain-token", "--json", stdin=given)[1])
    assert (said["enters"], said["reason"], said["signed_here"]) == (None, None, None)
    assert run("explain-token", stdin=token())[0] == 0


@pytest.mark.parametrize("command", [[], ["mint"], ["explain-token"]])
def test_help_has_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    _, _, examples = capsys.readouterr().out.partition("examples:")
    assert not command or f"vestibule {command[0]} --inventory inventory/mine" in examples

"""A mistake in a file that also holds a secret is named by its place, and no secret is shown."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = "Zq7rT2vX9mKp4Ws8Yb3Nd6Fh1Jc5Lg0A"
_BEGINNING = f"jitsi_domain: meet.example.org\njitsi_token_secret: {SECRET}\n"

# What is wrong in the third line, and whether Ansible says where
BROKEN = {
    "a template that ends too early": ('jitsi_token_issuer: "{{ 3 + }}"\n', "explain", True),
    "a template of nothing": ('jitsi_token_issuer: "{{ no_such }}"\n', "explain", True),
    "a filter that is none": ("jitsi_token_issuer: \"{{ 'x' | no_such }}\"\n", "explain", True),
    "YAML that is none": ("jitsi_features: [guests\n", "explain", False),
    "a secret in a template": (
        f'jitsi_token_audience: "{{{{ 3 + }}}} {SECRET}"\n',
        "explain",
        True,
    ),
    "a template, where a host is asked": ('jitsi_token_issuer: "{{ 3 + }}"\n', "site", True),
    "a variable of a role": ('jitsi_web_root: "{{ 3 + }}"\n', "site", True),
}


def play(playbook: str, folder: Path, *more: str) -> str:
    done = subprocess.run(
        ["ansible-playbook", "-vvv", "-i", str(folder), *more, f"playbooks/{playbook}.yml"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "NO_COLOR": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.parametrize(("wrong", "playbook", "placed"), BROKEN.values(), ids=BROKEN)
def test_the_place_is_named_and_no_line_shown(
    tmp_path: Path, wrong: str, playbook: str, placed: bool
) -> None:
    (tmp_path / "group_vars").mkdir()
    path = tmp_path / "group_vars/all.yml"
    path.write_text(_BEGINNING + wrong, encoding="utf-8")
    host = {"ansible_connection": "local", "ansible_become": "false"}
    variables = "".join(f"\n      {name}: {value}" for name, value in host.items())
    (tmp_path / "hosts.yml").write_text(f"all:\n  hosts:\n    meet:{variables}\n")
    output = play(playbook, tmp_path)
    assert SECRET not in output
    if placed:
        assert f"{path}:3:" in output
        assert "a secret may stand there" in output

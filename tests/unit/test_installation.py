"""The package is there for every Ansible of .venv, and without it one sentence says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vestibule import model
from vestibule.model import ModelError, beside

ROOT = Path(__file__).parents[2]


def test_the_package_and_nothing_beside_it_is_installed(tmp_path: Path) -> None:
    code = """if True:
        from importlib.util import find_spec
        from pathlib import Path
        import vestibule
        print(Path(vestibule.__file__).resolve().parent)
        print([name for name in ("filter_plugins", "tests", "features") if find_spec(name)])
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == [str(ROOT / "vestibule"), "[]"]


@pytest.mark.parametrize("playbook", ["explain", "mint", "site", "verify"])
def test_without_the_package_a_playbook_says_what_to_do(playbook: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['vestibule'] = None\n")
    hosts = "all: {hosts: {meet: {ansible_connection: local}}, vars: {jitsi_domain: a.example.org}}"
    (tmp_path / "hosts.yml").write_text(hosts + "\n")
    program = str(Path(sys.executable).parent / "ansible-playbook")
    options = ["-i", str(tmp_path / "hosts.yml"), "--check", "-e", "room=a"]
    done = subprocess.run(
        [program, *options, f"playbooks/{playbook}.yml"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "The Python of this Ansible lacks the package vestibule. Run scripts/bootstrap" in said
    assert "Traceback" not in said


def test_a_package_without_its_checkout_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert beside("contradictions.yml") == ROOT / "contradictions.yml"
    monkeypatch.setattr(model, "__file__", str(tmp_path / "vestibule/model/__init__.py"))
    with pytest.raises(ModelError, match=r"features is not there.*run scripts/bootstrap"):
        beside("features")

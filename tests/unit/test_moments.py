"""What is meant for a moment is found and removed where a run left it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible.module_utils.vestibule import moments


def test_what_a_run_left_is_removed_but_no_proof_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "_PATTERNS", (f"{tmp_path}/.policy-rc.d.*", f"{tmp_path}/*.part"))
    monkeypatch.setattr(moments, "_OF_A_PROOF", (f"{tmp_path}/proof.json",))
    assert moments.left() == []
    (tmp_path / ".policy-rc.d.x1").touch()
    (tmp_path / "0123.part").mkdir()
    (tmp_path / "0123.part" / "mod_x.lua").touch()
    (tmp_path / "theirs").touch()
    (tmp_path / "proof.json").touch()
    expected = [str(tmp_path / name) for name in (".policy-rc.d.x1", "0123.part")]
    assert moments.left() == expected
    assert moments.remove() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["proof.json", "theirs"]
    old = time.time() - 901
    os.utime(tmp_path / "proof.json", (old, old))
    assert moments.remove() == [str(tmp_path / "proof.json")]

"""The filter copies_in: files of the controller for a folder of a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.copies_in import copies_in


def test_files_keep_their_names_their_order_and_every_character(tmp_path: Path) -> None:
    texts = {"mod_b.lua": "local ü = {{ 1 }}\n\n", "mod_a.lua": ""}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert copies_in([str(tmp_path / name) for name in texts], "/srv/plugins") == [
        {"path": f"/srv/plugins/{name}", "content": text, "mode": "0644"}
        for name, text in texts.items()
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnsibleFilterError, match=r"cannot read a file: .*mod_gone\.lua"):
        copies_in([str(tmp_path / "mod_gone.lua")], "/srv/plugins")

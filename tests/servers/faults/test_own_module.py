"""A module of the operator's own for Prosody: it is loaded from where the documentation says."""

from __future__ import annotations

import pytest

from tests.servers.support import Controller, Server

from .conftest import BRIEF

pytestmark = pytest.mark.usefixtures("deployed")

FILE = "/usr/local/lib/prosody/modules/mod_of_our_own.lua"
WISH = {**BRIEF, "jitsi_extra_modules": {"main": ["of_our_own"]}}


def test_a_module_of_ones_own_is_loaded_from_where_it_is_told_to_be(
    server: Server, controller: Controller
) -> None:
    refused = controller.deploy(**WISH)
    assert refused.returncode != 0
    folder, _, name = FILE.rpartition("/")
    assert f"Put {name} into {folder} there first" in refused.output
    try:
        for answer in ("first", "second"):
            server.run(
                f"install -D -m 644 /dev/stdin {FILE}",
                stdin=f'module:log("info", "the {answer} of our own is here");\n',
            )
            # A newer file counts as well: Prosody has read the one before
            run = controller.deploy(**WISH)
            assert run.returncode == 0, run.messages
            log = server.run("journalctl --unit=prosody --since=-5min --output=cat")
            assert f"the {answer} of our own is here" in log
        settled = controller.deploy("--skip-tags=jitsi_verify", **WISH)
        assert settled.recap["changed"] == 0, settled.messages
    finally:
        server.run(f"rm {FILE}")
    # Nobody asks for it any more, and it is gone
    run = controller.deploy(**BRIEF)
    assert run.returncode == 0, run.messages

"""Logs of ours are taken away in time, and their programs go on in the new ones."""

from __future__ import annotations

import pytest

from tests.servers.support import DOMAIN, Server

SITE = f"/var/log/nginx/{DOMAIN}.log"
LOGS = (SITE, "/var/log/jitsi/jicofo.log", "/var/log/jitsi/jvb.log")

pytestmark = pytest.mark.usefixtures("wanted")


def test_each_log_is_rotated_and_written_on(server: Server) -> None:
    server.run("systemctl start vestibule-watch.service")  # so that each has a line
    sizes = [int(server.run(f"stat -c %s {path}")) for path in LOGS]
    assert all(sizes), sizes
    server.run("logrotate --force /etc/logrotate.conf")
    for path, size in zip(LOGS, sizes, strict=True):
        assert int(server.run(f"stat -c %s {path}.1")) >= size
        assert int(server.run(f"stat -c %s {path}")) < size
    server.run("systemctl start vestibule-watch.service")
    # nginx opens the new one when it is told to, in the time of a reload
    server.run(f"timeout 30 sh -c 'until grep -q http-bind {SITE}; do sleep 0.1; done'")
    assert server.run(f"stat -c %a {SITE}").strip() == "640"
    assert server.run("systemctl is-enabled logrotate.timer").strip() == "enabled"

"""An authority that speaks ACME on a server itself: Pebble, made by those of Let's Encrypt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.authority import BETWEEN, ROOT, issue
from tests.servers.support import Server

DIRECTORY = "https://localhost:14000/dir"
ISSUED_BY = "/srv/pebble/issuer.pem"
_CONFIGURATION = {
    "pebble": {
        "listenAddress": "127.0.0.1:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": "/srv/pebble/chain.pem",
        "privateKey": "/srv/pebble/key.pem",
        "httpPort": 80,
        "tlsPort": 443,
        "externalAccountBindingRequired": False,
    }
}
# Puts the answer for certbot into the DNS that Pebble asks
_HOOK = """#!/usr/bin/python3
import json, os, urllib.request
name = "_acme-challenge." + os.environ["CERTBOT_DOMAIN"] + "."
body = json.dumps({"host": name, "value": os.environ["CERTBOT_VALIDATION"]})
urllib.request.urlopen("http://127.0.0.1:8055/set-txt", body.encode())
"""


@contextmanager
def authority(server: Server, when_trusted: Callable[[], object]) -> Iterator[None]:
    """It answers at DIRECTORY meanwhile, and the host trusts it, which restarts what runs on Java.

    To it, all names lead to the host. ``when_trusted`` waits for what is restarted.
    """
    server.run("apt-get install --yes --quiet --no-install-recommends pebble")
    own = issue("localhost", BETWEEN)
    texts = {
        "chain.pem": own.pem + BETWEEN.pem,
        "key.pem": own.key,
        "config.json": json.dumps(_CONFIGURATION),
        "hook": _HOOK,
    }
    # Another Pebble knows nobody
    server.run("install -d /srv/pebble; rm -rf /etc/letsencrypt/accounts")
    for name, text in texts.items():
        server.run(f"cat > /srv/pebble/{name}", stdin=text)
    root = "/usr/local/share/ca-certificates/pebble.crt"
    server.run(f"cat > {root}; update-ca-certificates 2>&1", stdin=ROOT.pem)
    server.run("chmod 0755 /srv/pebble/hook")
    ports = "-dns01 127.0.0.1:8053 -management 127.0.0.1:8055 -http01= -https01= -tlsalpn01= -doh="
    names = "-defaultIPv4 127.0.0.1 -defaultIPv6="
    server.run(f"systemd-run --quiet --unit=pebble-dns pebble-challtestsrv {ports} {names}")
    words = "--setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0"
    pebble = "pebble -dnsserver 127.0.0.1:8053 -config /srv/pebble/config.json"
    server.run(f"systemd-run --quiet --unit=pebble {words} {pebble}")
    server.wait_for_listener(8055)
    server.wait_for_listener(15000)
    asked = "urllib.request.urlopen('https://localhost:15000/roots/0').read().decode()"
    when_trusted()
    server.run(f'python3 -c "import urllib.request; print({asked})" > {ISSUED_BY}')
    try:
        yield
    finally:
        server.run(
            f"systemctl stop pebble pebble-dns; rm {root}; update-ca-certificates --fresh 2>&1"
        )

"""Stand-in (test double): whom Java trusts, for programs here that are written in Python."""

from __future__ import annotations

import logging
import ssl
import subprocess

_STORE = "/etc/ssl/certs/java/cacerts"


def trust_of_java() -> ssl.SSLContext:
    """Return a context that trusts the certificates in the store of Java, nobody without it."""
    argv = ["keytool", "-list", "-rfc", "-keystore", _STORE, "-storepass", "changeit"]
    keytool = subprocess.run(argv, check=False, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if keytool.returncode == 0:
        context.load_verify_locations(cadata=keytool.stdout.decode("ascii", "ignore"))
    else:
        logging.getLogger(__name__).error("Cannot read %s, so nobody is trusted", _STORE)
    return context

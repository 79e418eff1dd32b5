"""What the module ``acme_certificate`` does.

The files are certbot's: a certificate of a name is a lineage in ``live/<name>``, and what it was
asked with is in ``renewal/<name>.conf``, by which certbot's timer renews it.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import ssl
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files
from ansible.module_utils.vestibule.self_signed import names_in

HOME = "/etc/letsencrypt"
BACKUP = "/var/backups/vestibule"
_DUE = 20 * 86400  # seconds before the end at which certbot's timer has failed for ten days
_DATE = re.compile(r"^not(?:Before|After)=(.+)$", re.MULTILINE)  # in this order
_LINE = re.compile(r"^(\w+) = (.*)$", re.MULTILINE)
_ERROR = re.compile(r"^\s*Type:\s*(\S+)\s*\n\s*Detail:\s*(.+)$", re.MULTILINE)
_LIMIT = re.compile(r".*(?:rateLimited|rate limit|too many).*", re.IGNORECASE)
_RUNS = ("is-enabled", "is-active")
_SHOWN = 500  # characters of what an authority says
# By the type of an error, RFC 8555, section 6.7
_REMEDIES = {
    "dns": "Have {domain} lead to this host in the DNS, for both kinds of addresses that it has"
    " there.",
    "connection": "The authority has to reach port 80 of {domain}: open it in every firewall on the"
    " way.",
    "unauthorized": "Another server answers at http://{domain}, or at one of its addresses: have"
    " them all lead to this host.",
    "caa": "Allow this authority in the CAA record of {domain}.",
    "rateLimited": "Wait until the authority takes requests again, and try meanwhile with its"
    " staging address in jitsi_acme_directory and its root certificate, as a file on the host, in"
    " jitsi_web_certificate_authority.",
    "rejectedIdentifier": "Choose another authority in jitsi_acme_directory.",
    "tls": "The authority followed http://{domain} to a server whose TLS it does not take: have the"
    " name lead to this host.",
}
_LIMITED = _REMEDIES["rateLimited"]
_TRUST = "Where the authority is your own, have the host trust its root."
_OTHERWISE = "The whole of it is in /var/log/letsencrypt/letsencrypt.log."

SPEC: dict[str, Any] = {
    "state": {"choices": ["present", "absent"], "default": "present"},
    "domain": {"type": "str", "required": True},
    "more_names": {"type": "list", "elements": "str", "default": []},
    "server": {"type": "str", "default": ""},
    "email": {"type": "str", "default": ""},
    "webroot": {"type": "path"},
    "auth_hook": {"type": "path"},
    "cleanup_hook": {"type": "path"},
    "path": {"type": "path"},
    "deploy_hook": {"type": "path", "required": True},
    "timer": {"type": "str", "required": True},
}


class AcmeError(Exception):
    """A sentence for the operator."""


def said_of(conf: str) -> dict[str, str]:
    """What a certificate was asked with, by the name of each parameter."""
    return dict(_LINE.findall(files.read(conf)))


def lineages(deploy_hook: str) -> list[str]:
    """Names of the certificates that this project asked for."""
    confs = sorted(glob.glob(f"{HOME}/renewal/*.conf"))
    ours = [each for each in confs if said_of(each).get("renew_hook") == deploy_hook]
    return [os.path.basename(each)[: -len(".conf")] for each in ours]


def wanted(params: dict[str, Any]) -> dict[str, str]:
    """What the certificate has to have been asked with."""
    if params["auth_hook"]:
        way = {
            "authenticator": "manual",
            "manual_auth_hook": params["auth_hook"],
            "manual_cleanup_hook": params["cleanup_hook"] or "",
        }
    else:
        way = {"authenticator": "webroot" if params["webroot"] else "standalone"}
    return {"server": params["server"], "renew_hook": params["deploy_hook"], **way}


def command(certbot: str, params: dict[str, Any], *, again: bool) -> list[str]:
    """The argv that asks for a certificate, for another one where there is one already."""
    if params["auth_hook"]:
        way = ["--manual", "--preferred-challenges", "dns"]
        way += ["--manual-auth-hook", params["auth_hook"]]
        if params["cleanup_hook"]:
            way += ["--manual-cleanup-hook", params["cleanup_hook"]]
    else:
        path = params["webroot"]
        way = ["--webroot", "--webroot-path", path] if path else ["--standalone"]
        way += ["--preferred-challenges", "http"]
    who = ["--email", params["email"]] if params["email"] else ["--register-unsafely-without-email"]
    names = [word for name in [params["domain"], *params["more_names"]] for word in ("-d", name)]
    return [
        *(certbot, "certonly", "--non-interactive", "--agree-tos", "--no-eff-email", *who),
        *("--server", params["server"], "--cert-name", params["domain"], *names),
        *("--key-type", "ecdsa", "--deploy-hook", params["deploy_hook"], *way),
        *(["--force-renewal", "--renew-with-new-domains"] if again else []),
    ]


def why(output: str, params: dict[str, Any]) -> str:
    """What an authority said, and what helps."""
    domain, server = params["domain"], params["server"]
    begin = f"{server} gave no certificate for {domain}"
    found = _ERROR.search(output)
    if found:
        remedy = _REMEDIES.get(found[1], _OTHERWISE).format(domain=domain)
        return f"{begin}: {found[2].strip()[:_SHOWN]} {remedy}"
    if "CERTIFICATE_VERIFY_FAILED" in output:
        return f"{begin}, as this host does not trust the certificate of that address. {_TRUST}"
    limited = _LIMIT.search(output)
    if limited:
        return f"{begin}: {limited.group().strip()[:_SHOWN]} {_LIMITED}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Saving debug log", "Ask for help"))]
    said = telling[-1][:_SHOWN] if telling else "certbot says nothing."
    return f"{begin}: {said} {_OTHERWISE}"


class Acme:
    """The certificate of a task."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._params = module.params
        self._certbot = shutil.which("certbot")
        domain = module.params["domain"]
        self._chain = f"{HOME}/live/{domain}/fullchain.pem"
        self._conf = f"{HOME}/renewal/{domain}.conf"

    def run(self) -> dict[str, Any]:
        """Do what is to be done. Raises AcmeError."""
        mine = lineages(self._params["deploy_hook"])
        present = self._params["state"] == "present"
        gone = [name for name in mine if not present or name != self._params["domain"]]
        asked = present and self._has_to_ask()
        installed = present and not asked and self._differs()
        timer = present and not self._timer_runs()
        if not self._module.check_mode:
            # First, as an authority may refuse: nothing would renew the one before any more
            if asked:
                self._ask()
            elif installed:
                self._install()
            for name in gone:
                self._forget(name)
            if timer:
                self._call(["systemctl", "enable", "--now", "--quiet", self._params["timer"]])
        done = [f"deleted {name}" for name in gone]
        done += ["asked"] * asked + ["installed"] * installed + ["timer"] * timer
        return {"changed": bool(done), "done": done}

    def _has_to_ask(self) -> bool:
        said, wish = said_of(self._conf), wanted(self._params)
        other = any(said.get(name, "") != value for name, value in wish.items())
        names = {self._params["domain"], *self._params["more_names"]}
        other = other or names_in(self._module, self._chain) != names
        return other or not self._lasts()

    def _lasts(self) -> bool:
        """Whether it is not due. Some authorities sign for a day: then that is its last quarter."""
        argv = ["openssl", "x509", "-noout", "-dates", "-in", self._chain]
        status, out, _ = self._module.run_command(argv)
        found = [ssl.cert_time_to_seconds(each) for each in _DATE.findall(out)]
        if status != 0 or len(found) != 2:
            return False
        begins, ends = found
        return ends - time.time() > min(_DUE, (ends - begins) / 4)

    def _differs(self) -> bool:
        return files.read(self._params["path"]) != files.read(self._chain)

    def _timer_runs(self) -> bool:
        asked = [["systemctl", each, "--quiet", self._params["timer"]] for each in _RUNS]
        return all(self._module.run_command(each)[0] == 0 for each in asked)

    def _ask(self) -> None:
        if self._certbot is None:
            raise AcmeError("certbot is not installed on this host. Install it, or deploy again.")
        again = os.path.exists(self._chain)
        argv = command(self._certbot, self._params, again=again)
        status, out, err = self._module.run_command(argv)
        if status != 0:
            raise AcmeError(why(f"{out}\n{err}", self._params))
        if self._differs():  # certbot goes on where a hook fails
            self._install()

    def _install(self) -> None:
        lineage = os.path.dirname(self._chain)
        self._call([self._params["deploy_hook"]], {"RENEWED_LINEAGE": lineage})

    def _forget(self, name: str) -> None:
        """Keep a copy, for root alone, as a key is in it."""
        stamp = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
        copy = f"{BACKUP}/{stamp}-acme-{name}"
        os.makedirs(BACKUP, mode=0o700, exist_ok=True)
        os.mkdir(copy, 0o700)
        for part in ("live", "archive"):
            if os.path.isdir(f"{HOME}/{part}/{name}"):
                shutil.copytree(f"{HOME}/{part}/{name}", f"{copy}/{part}", symlinks=True)
        shutil.copy2(f"{HOME}/renewal/{name}.conf", copy)
        if self._certbot:
            self._call([self._certbot, "delete", "--non-interactive", "--cert-name", name])
        else:
            files.remove(f"{HOME}/renewal/{name}.conf")

    def _call(self, argv: list[str], environment: dict[str, str] | None = None) -> None:
        status, out, err = self._module.run_command(argv, environ_update=environment or {})
        if status != 0:
            raise AcmeError(f"`{' '.join(argv)}` failed: {(err or out).strip()[-_SHOWN:]}")


def run(module: AnsibleModule) -> dict[str, Any]:
    """What the module does, in check mode what it would do."""
    try:
        return Acme(module).run()
    except (AcmeError, OSError) as error:
        module.fail_json(msg=str(error))
        raise


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[("state", "present", ("server", "path"))],
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    module.exit_json(**run(module))

"""Action ``jitsi_access``: play access cases against the host's front door, from the controller.

Everything happens in the controller's own process: no secret reaches the host, a command line or a
file. Of the host it reads the certificate and, when a verdict is wrong, the log.
"""

from __future__ import annotations

import asyncio
import base64
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

# Ansible loads this file by its path. That makes no package of the role, so the folder that holds
# the package `access` has to be named.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from access import report
from access.cases import choose
from access.play import FocusAbsent, Verdict, play, play_again, wait_for_focus
from access.scene import Entrance
from access.tokens import Issuer
from access.transports import TRANSPORTS, NoCertificate, front_door
from access.xmpp import AccessError

# How mod_fail_closed begins its reason, and Prosody its own for a module that lacks something
_STOPPED = ("Unguarded door", "Error initializing module")
_ARGUMENTS: dict[str, Any] = {
    "domain": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "certificate": {"type": "str", "required": True},
    "certificate_path": {"type": "str", "required": True},
    "cases": {"type": "list", "elements": "str", "required": True},
    "features": {"type": "list", "elements": "str", "required": True},
    "options": {"type": "dict", "required": True},
    "token": {
        "type": "dict",
        "required": True,
        "no_log": True,
        "options": {
            "algorithm": {"type": "str", "required": True},
            "secret": {"type": "str", "required": True, "no_log": True},
            "issuer": {"type": "str", "required": True},
            "audience": {"type": "str", "required": True},
        },
    },
    "report": {"type": "path", "required": True},
    "note": {"type": "str", "required": True},
    "log_unit": {"type": "str", "required": True},
    "timeout": {"type": "int", "required": True},
    "focus_timeout": {"type": "int", "required": True},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Plays the cases, shows each verdict as it comes, and fails when one is wrong."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return how many verdicts are right and where the report is. Never an argument."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        if self._task.check_mode:
            message = "in check mode nothing is deployed, so there is nothing to prove"
            display.display(f"  {variables['inventory_hostname']}: {message}")
            return {"skipped": True, "msg": message}
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        try:
            return self._prove(arguments, variables)
        except AnsibleError:
            raise
        except Exception as error:
            # Whatever this is, and however it came to know of a token: it must not show one
            message = report.redact(
                f"{type(error).__name__}: {error}", arguments["token"]["secret"]
            )
            raise AnsibleActionFail(f"The access cases stopped half way. {message}") from None

    def _prove(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        host = variables["inventory_hostname"]
        show = _Screen(host if len(variables.get("ansible_play_hosts", [])) > 1 else "")
        started = time.monotonic()
        verdicts, again = self._verdicts(arguments, variables, show)
        seconds = time.monotonic() - started
        path = Path(arguments["report"])
        report.write_json(path, verdicts)

        wrong = [verdict for verdict in verdicts if not verdict.ok]
        if again:
            log = self._server_log(arguments["log_unit"], again[0][1].began)
            for pair in again:
                for line in report.explanation(*pair, log):
                    show.line(line)
        show.line(f"{report.totals(verdicts, seconds)}; report: {path}")
        result = {
            "changed": False,
            "failed": bool(wrong),
            "right": len(verdicts) - len(wrong),
            "wrong": len(wrong),
            "seconds": round(seconds, 1),
            "report": str(path),
        }
        if wrong:
            result["msg"] = f"{report.summary(verdicts)}. All of them: {path}"
        return result

    def _verdicts(
        self, arguments: Mapping[str, Any], variables: Mapping[str, Any], show: _Screen
    ) -> tuple[list[Verdict], list[tuple[Verdict, Verdict]]]:
        """All verdicts, and the first wrong ones with what came of them when played again."""
        host, domain = variables["inventory_hostname"], arguments["domain"]
        try:
            cases = choose(arguments["cases"])
        except ValueError as error:
            raise AnsibleActionFail(f"jitsi_verify_cases: {error}.") from None
        certificate = arguments["certificate"] or self._certificate(
            arguments["certificate_path"], variables
        )
        token = arguments["token"]
        issuer = Issuer(
            token["secret"],
            token["issuer"],
            token["audience"],
            domain,
            arguments["options"].get("token_max_lifetime", Issuer.max_lifetime),
        )
        features = frozenset(arguments["features"])

        async def from_the_door() -> tuple[list[Verdict], list[tuple[Verdict, Verdict]]]:
            address, port, patience = (arguments[each] for each in ("address", "port", "timeout"))
            async with front_door(domain, address, port, certificate) as door:
                entrances = [
                    Entrance(door, kind, issuer, patience, features, arguments["options"])
                    for kind in TRANSPORTS.values()
                ]
                await wait_for_focus(entrances, arguments["focus_timeout"])
                if arguments["note"]:
                    show.line(arguments["note"])
                show.line(f"access cases on {domain}, as the server answers:")
                verdicts = await play(cases, entrances, show.verdict)
                wrong = [verdict for verdict in verdicts if not verdict.ok]
                return verdicts, await play_again(wrong, entrances)

        try:
            return asyncio.run(from_the_door())
        except NoCertificate:
            raise AnsibleActionFail(
                "jitsi_verify_certificate, or the file jitsi_verify_certificate_path on the host,"
                " holds no certificate in PEM form."
            ) from None
        except FocusAbsent as error:
            raise AnsibleActionFail(
                f"Jicofo on {host} opens no room ({error}). Look at `journalctl -u jicofo` and"
                " /var/log/jitsi/jicofo.log there."
            ) from None
        except AccessError as error:
            unit = arguments["log_unit"]
            remedy = self._why_stopped(unit) or (
                f"Look at `systemctl status nginx {unit}` on {host}; where both run, they may not"
                " be configured as deployed, which playbooks/site.yml mends. If it is TLS, nginx"
                " shows a certificate that is for another name, expired, or not the one in"
                " jitsi_verify_certificate_path; reload nginx, or name the right file there."
            )
            raise AnsibleActionFail(
                f"{domain} cannot be reached at {arguments['address']} port {arguments['port']}"
                f" ({error}). {remedy}"
            ) from None

    def _certificate(self, path: str, variables: Mapping[str, Any]) -> str:
        """The host's certificate, read over SSH: nobody between here and there can change it."""
        read = self._execute_module(
            "ansible.legacy.slurp", module_args={"src": path}, task_vars=variables
        )
        if read.get("failed"):
            raise AnsibleActionFail(
                f"The certificate cannot be read ({read.get('msg')}). Deploy the server first, set"
                " jitsi_verify_certificate_path to where the host keeps it, or"
                " jitsi_verify_certificate to its text."
            )
        return base64.b64decode(read["content"]).decode("ascii", "replace")

    def _why_stopped(self, unit: str) -> str:
        """What the unit said of its doors before it stopped; nothing where it runs or said none."""
        log = self._low_level_execute_command(
            f"systemctl is-active --quiet {shlex.quote(unit)} ||"
            f" journalctl --unit {shlex.quote(unit)} --quiet --no-pager --output cat --lines 200"
        )
        lines = log["stdout"].splitlines()
        last = [next((each for each in reversed(lines) if word in each), "") for word in _STOPPED]
        if not last[0]:
            return ""
        reasons = [
            each[each.index(word) :] for each, word in zip(last, _STOPPED, strict=True) if each
        ]
        said = ". ".join(" ".join(report.redact(reason).split()) for reason in reasons)
        return (
            f"{unit} stopped itself. {said}. Run playbooks/site.yml, which mends what is missing."
        )

    def _server_log(self, unit: str, began: float) -> list[report.LogLine]:
        """The unit's log lines from then on, by our clock."""
        before = time.time()
        clock = self._low_level_execute_command("date +%s.%N")
        ahead = float(clock["stdout"] or before) - (before + time.time()) / 2
        journal = self._low_level_execute_command(
            shlex.join(
                [
                    *("journalctl", "--unit", unit, "--quiet", "--no-pager"),
                    *("--output", "short-unix", "--since", f"@{began + ahead - 1:.0f}"),
                ]
            )
        )
        if journal["rc"] != 0:
            display.warning(f"The log of {unit} cannot be read: {journal['stderr'].strip()}")
        return report.read_journal(journal["stdout"], ahead)


class _Screen:
    """Where people see the verdicts, beside those of other hosts if there are several."""

    def __init__(self, host: str) -> None:
        self._margin = f"  {host}  " if host else "  "

    def line(self, text: str, color: str | None = None) -> None:
        """Show a line at once, while the task still runs."""
        display.display(self._margin + text, color=color)

    def verdict(self, verdict: Verdict) -> None:
        """Show what became of a case."""
        color = constants.COLOR_OK if verdict.ok else constants.COLOR_ERROR
        self.line(report.line(verdict), color)

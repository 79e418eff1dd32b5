"""The proof of one server: its cases played, explained where they are wrong, and written down."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from . import report
from .cases import choose
from .play import FocusAbsent, Verdict, play, play_again, wait_for_focus
from .scene import Entrance
from .tokens import Issuer
from .transports import TRANSPORTS, NoCertificate, front_door
from .xmpp import AccessError

# How mod_fail_closed begins its reason, and Prosody its own for a module that lacks something
_STOPPED = ("Unguarded door", "Error initializing module")
Pair = tuple[Verdict, Verdict]  # a wrong one, and what came of it when it was played again


class ProofError(Exception):
    """Nothing is proven. The message is a sentence for the operator, without a token."""


@dataclass(frozen=True)
class Output:
    """What a command on the server said."""

    code: int
    text: str
    errors: str


class Server(Protocol):
    """The server beside its front door, as its administrators reach it."""

    name: str

    def read(self, path: str) -> str:
        """The text of a file. Raises OSError with the reason."""

    def run(self, command: str) -> Output:
        """Run a shell command that changes nothing."""


class Screen(Protocol):
    """Where people see what happens, while it happens."""

    def line(self, text: str, right: bool | None = None) -> None:
        """Show a line; a verdict is right or wrong."""

    def warning(self, text: str) -> None:
        """Show what is no verdict, and not as it should be."""


def prove(settings: Mapping[str, Any], server: Server, screen: Screen) -> dict[str, Any]:
    """Play the cases, and say how many verdicts are right and where the report is.

    ``settings`` are the arguments of the action play_access_cases. What is returned names none of
    them. Raises ProofError where it comes to no verdicts.
    """
    started = time.monotonic()
    verdicts, again = _verdicts(settings, server, screen)
    seconds = time.monotonic() - started
    path = Path(settings["report"])
    report.write_json(path, verdicts)

    wrong = [verdict for verdict in verdicts if not verdict.ok]
    if again:
        log = _log_since(again[0][1].began, settings["log_unit"], server, screen)
        for pair in again:
            for line in report.explanation(*pair, log):
                screen.line(line)
    screen.line(f"{report.totals(verdicts, seconds)}; report: {path}")
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


def stopped_half_way(error: Exception, secret: str) -> str:
    """The sentence for any other error, however it came to know of a token: it shows none."""
    message = report.redact(f"{type(error).__name__}: {error}", secret)
    return f"The access cases did not finish. {message}"


def _verdicts(
    settings: Mapping[str, Any], server: Server, screen: Screen
) -> tuple[list[Verdict], list[Pair]]:
    """All verdicts, and the first wrong ones with what came of them when played again."""
    domain, token = settings["domain"], settings["token"]
    try:
        cases = choose(settings["cases"])
    except ValueError as error:
        raise ProofError(f"jitsi_verify_cases: {error}.") from None
    certificate = settings["certificate"] or _certificate(settings["certificate_path"], server)
    issuer = Issuer(
        token["secret"],
        token["issuer"],
        token["audience"],
        domain,
        settings["options"].get("token_max_lifetime", Issuer.max_lifetime),
    )
    features = frozenset(settings["features"])

    async def from_the_door() -> tuple[list[Verdict], list[Pair]]:
        address, port, patience = (settings[each] for each in ("address", "port", "timeout"))
        async with front_door(domain, address, port, certificate) as door:
            entrances = [
                Entrance(door, kind, issuer, patience, features, settings["options"])
                for kind in TRANSPORTS.values()
            ]
            await wait_for_focus(entrances, settings["focus_timeout"])
            if settings["note"]:
                screen.line(settings["note"])
            screen.line(f"access cases on {domain}, as the server answers:")
            verdicts = await play(
                cases, entrances, lambda verdict: screen.line(report.line(verdict), verdict.ok)
            )
            wrong = [verdict for verdict in verdicts if not verdict.ok]
            return verdicts, await play_again(wrong, entrances)

    try:
        return asyncio.run(from_the_door())
    except NoCertificate:
        raise ProofError(
            "jitsi_verify_certificate, or the file jitsi_verify_certificate_path on the host,"
            " holds no certificate in PEM form."
        ) from None
    except FocusAbsent as error:
        raise ProofError(
            f"Jicofo on {server.name} opens no room ({error}). Look at `journalctl -u jicofo` and"
            " /var/log/jitsi/jicofo.log there."
        ) from None
    except AccessError as error:
        unit = settings["log_unit"]
        remedy = _why_stopped(unit, server) or (
            f"Look at `systemctl status nginx {unit}` on {server.name}; where both run, they may"
            " not be configured as deployed, which playbooks/site.yml repairs. If it is TLS, nginx"
            " shows a certificate that is for another name, expired, or not the one in"
            " jitsi_verify_certificate_path; reload nginx, or correct that variable."
        )
        raise ProofError(
            f"{domain} cannot be reached at {settings['address']} port {settings['port']}"
            f" ({error}). {remedy}"
        ) from None


def _certificate(path: str, server: Server) -> str:
    """The server's certificate, read beside the door: nobody on the way can change it."""
    try:
        return server.read(path)
    except OSError as error:
        raise ProofError(
            f"The certificate cannot be read ({error}). Deploy the server first, set"
            " jitsi_verify_certificate_path to where the host keeps it, or"
            " jitsi_verify_certificate to its text."
        ) from None


def _why_stopped(unit: str, server: Server) -> str:
    """What the unit said of its doors before it stopped; nothing where it runs or said none."""
    log = server.run(
        f"systemctl is-active --quiet {shlex.quote(unit)} ||"
        f" journalctl --unit {shlex.quote(unit)} --quiet --no-pager --output cat --lines 200"
    )
    lines = log.text.splitlines()
    last = [next((each for each in reversed(lines) if word in each), "") for word in _STOPPED]
    if not last[0]:
        return ""
    reasons = [each[each.index(word) :] for each, word in zip(last, _STOPPED, strict=True) if each]
    said = ". ".join(" ".join(report.redact(reason).split()) for reason in reasons)
    return f"{unit} stopped itself. {said}. Run playbooks/site.yml, which installs what is missing."


def _log_since(began: float, unit: str, server: Server, screen: Screen) -> list[report.LogLine]:
    """The unit's log lines from then on, by our clock."""
    before = time.time()
    clock = server.run("date +%s.%N")
    ahead = float(clock.text or before) - (before + time.time()) / 2
    journal = server.run(
        shlex.join(
            [
                *("journalctl", "--unit", unit, "--quiet", "--no-pager"),
                *("--output", "short-unix", "--since", f"@{began + ahead - 1:.0f}"),
            ]
        )
    )
    if journal.code != 0:
        screen.warning(f"The log of {unit} cannot be read: {journal.errors.strip()}")
    return report.read_journal(journal.text, ahead)

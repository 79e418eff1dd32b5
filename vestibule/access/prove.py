"""The proof of one server: its cases played, explained where they are wrong, and written down."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vestibule.model.token_keys import PROOF, PROOF_FILE
from vestibule.tokens.key_file import key_of_proof, text_of

from . import certificates, report
from .cases import CASES, Case, choose
from .chromium import NoBrowser, chromium, find
from .play import (
    FocusAbsent,
    Verdict,
    judge,
    play,
    play_again,
    wait_for_bridge,
    wait_for_focus,
)
from .scene import Entrance, TurnServer
from .tokens import Issuer, MintError, keys_of, minted_by
from .transports import TRANSPORTS, front_door
from .xmpp import AccessError

# How mod_fail_closed begins its reason, and Prosody its own for a module that lacks something
_STOPPED = ("Unguarded door", "Error initializing module")
BRIDGE = "bridge"
_KEY_LIVES = 900  # seconds: longer than a proof, and not long where it is cut off
_REST = 75  # seconds: a minute for which Jicofo lets a slow bridge rest, and the way in
_OF_TURN = "turn_"  # how the names of cases begin that are played at each TURN server
_MEETING = CASES["two_people_meet"]
_COMPARES = CASES["certificate_of_the_file_is_shown"]
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

    def certificates(self, wanted: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """What the module ``certificates`` tells, by path. Raises OSError with the reason."""

    def run(self, command: str) -> Output:
        """Run a shell command that changes nothing."""

    def keep_key(self, path: str, content: str) -> None:
        """Write a file of keys, which only Prosody may read; remove it where it has no content."""


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
    if settings["mint_command"]:
        return _minted(settings, server, screen)
    if settings["token"]["secret"]:
        return _prove(settings, server, screen)
    key = key_of_proof(time.time(), _KEY_LIVES)
    token = {**settings["token"], "kid": key["kid"], "secret": key["secret"]}
    try:
        server.keep_key(PROOF_FILE, text_of([key], {}))
        return _prove({**settings, "token": token}, server, screen)
    except Exception as error:
        if key["secret"] in str(error):
            raise ProofError(stopped_half_way(error, key["secret"])) from None
        raise
    finally:
        server.keep_key(PROOF_FILE, "")


def _minted(settings: Mapping[str, Any], server: Server, screen: Screen) -> dict[str, Any]:
    """The same with tokens of the operator's command, which are tried before anything is asked."""
    command = settings["mint_command"]
    token = settings["token"]
    issuer = settings["mint_issuer"] or token["issuer"]
    token = {**token, "secret": "", "kid": "", "issuer": issuer}
    try:
        minted_by(tuple(command), b'{"room": "vestibule"}')
        return _prove({**settings, "token": token}, server, screen)
    except MintError as error:
        raise ProofError(str(error)) from None
    except ExceptionGroup as group:
        failed = group.subgroup(MintError)
        if failed is None:
            raise
        raise ProofError(str(failed.exceptions[0])) from None


def _prove(settings: Mapping[str, Any], server: Server, screen: Screen) -> dict[str, Any]:
    started = time.monotonic()
    cases = _cases(settings)
    wanted = _wanted(settings)
    seen = server.certificates(wanted) if wanted else {}
    door, ends = _front(settings, seen)
    program, unplayed = _browser(settings, cases)
    cases = [case for case in cases if case.name not in unplayed]
    if not door.leaf:  # with which one to compare is not known
        cases = [case for case in cases if case is not _COMPARES]
    verdicts, again = _verdicts(settings, cases, door, server, screen, program)
    inner = [path for path in seen if path != settings["certificate_path"]]
    faults = list(certificates.findings(seen, inner))
    seconds = time.monotonic() - started
    path, domain = Path(settings["report"]), settings["domain"]
    report.write_json(path, verdicts)

    wrong = [verdict for verdict in verdicts if not verdict.ok]
    if again:
        log = _log_since(again[0][1].began, settings["log_unit"], server, screen)
        for pair in again:
            for line in report.explanation(*pair, log):
                screen.line(line)
    for sentence in faults:
        screen.line(sentence, right=False)
    ends.update({path: seen[path]["ends"] for path in inner if seen[path]["ends"]})
    for sentence in certificates.warnings(ends, door, domain):
        screen.warning(sentence)
    for sentence in dict.fromkeys(unplayed.values()):
        screen.warning(sentence)
    for sentence in _left_out(cases, verdicts):
        screen.warning(sentence)
    screen.line(f"{report.totals(verdicts, seconds)}{_signed(settings)}; report: {path}")
    result = {
        "changed": False,
        "failed": bool(wrong or faults),
        "right": len(verdicts) - len(wrong),
        "wrong": len(wrong),
        "seconds": round(seconds, 1),
        "report": str(path),
    }
    if wrong:
        result["msg"] = f"{report.summary(verdicts)}. All of them: {path}"
    elif faults:
        result["msg"] = " ".join(faults)
    return result


def stopped_half_way(error: Exception, secret: str) -> str:
    """The sentence for any other error, however it came to know of a token: it shows none."""
    message = report.redact(f"{type(error).__name__}: {error}", secret)
    return f"The access cases did not finish. {message}"


def _verdicts(
    settings: Mapping[str, Any],
    cases: list[Case],
    door: certificates.Front,
    server: Server,
    screen: Screen,
    program: str,
) -> tuple[list[Verdict], list[Pair]]:
    """All verdicts, and the first wrong ones with what came of them when played again."""
    domain, token = settings["domain"], settings["token"]
    issuer = Issuer(
        token["secret"],
        token["issuer"],
        token["audience"],
        domain,
        settings["options"].get("token_max_lifetime", Issuer.max_lifetime),
        token["kid"],
        tuple(settings["mint_command"]),
    )
    keys = keys_of(settings["options"], token["keys"])
    features = frozenset(settings["features"])
    trusted_of_turn = _trusted_of_turn(settings)

    async def from_the_door() -> tuple[list[Verdict], list[Pair]]:
        address, port, patience = (settings[each] for each in ("address", "port", "timeout"))
        async with contextlib.AsyncExitStack() as stack:
            opened = await stack.enter_async_context(
                front_door(domain, address, port, door.trusted, door.leaf)
            )
            browser = None
            if program:
                trusted = door.leaf if door.trusted is not None else b""
                name = Path(settings["report"])
                picture = name.with_name(name.stem.removesuffix("-access") + "-meeting.png")
                browser = await stack.enter_async_context(
                    chromium(program, domain, address, trusted, patience, picture)
                )
            turn_servers = [
                TurnServer(
                    await stack.enter_async_context(
                        front_door(each["name"], each["address"], 0, trusted)
                    ),
                    {option: each[option] for option in each if option.startswith("turn_")},
                    each["has_bridge"],
                    tuple(each["bridge_addresses"]),
                )
                for each, trusted in zip(settings["turn_servers"], trusted_of_turn, strict=True)
            ]
            entrances = [
                Entrance(
                    opened,
                    kind,
                    issuer,
                    patience,
                    features,
                    settings["options"],
                    browser,
                    settings["turn_secret"],
                    settings["turn_beside"],
                    tuple(turn_servers),
                    None,
                    keys,
                    tuple(settings["bridges"]),
                    tuple(settings["bridge_addresses"]),
                    settings["login_port"],
                )
                for kind in TRANSPORTS.values()
            ]
            await wait_for_focus(entrances, settings["focus_timeout"])
            if BRIDGE in features:
                await wait_for_bridge(entrances[0], min(_REST, settings["focus_timeout"]))
            elif not (await judge(_MEETING, entrances[0])).ok:
                screen.warning(
                    f"{domain} has no bridge: everybody is thrown out of a meeting when a second"
                    f" person comes. Remove {BRIDGE} from jitsi_features_off, or run one of your"
                    " own."
                )
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
    except FocusAbsent as error:
        raise ProofError(
            f"Jicofo on {server.name} opens no room ({error}). Look at `journalctl -u jicofo` and"
            " /var/log/jitsi/jicofo.log there."
        ) from None
    except AccessError as error:
        unit = settings["log_unit"]
        remedy = _why_stopped(unit, server) or (
            f"Look at `systemctl status nginx {unit}` on {server.name}; where both run, they may"
            " not be configured as deployed, which playbooks/site.yml repairs."
        )
        raise ProofError(
            f"{domain} cannot be reached at {settings['address']} port {settings['port']}"
            f" ({error}). {remedy}"
        ) from None


def _signed(settings: Mapping[str, Any]) -> str:
    """What signed the tokens, where the server has several keys."""
    if settings["mint_command"]:
        return f"; signed by {settings['mint_command'][0]}"
    kid = settings["token"]["kid"]
    if kid.startswith(PROOF):
        return f"; signed with {kid}, a key of this proof alone"
    return f"; signed with the key {kid}" if kid else ""


def _left_out(cases: list[Case], verdicts: list[Verdict]) -> list[str]:
    """A sentence on what was not tried, as only a command knows what signs."""
    played = {verdict.case.name for verdict in verdicts}
    ways = [case.name for case in cases if case.name not in played]
    for verdict in verdicts:
        ways += [f"{verdict.case.name} [{way}]" for way in verdict.left_out]
    if not ways:
        return []
    return [
        "Not tried, as that takes what jitsi_verify_mint_command signs with:"
        f" {', '.join(dict.fromkeys(ways))}."
    ]


def _cases(settings: Mapping[str, Any]) -> list[Case]:
    """The cases to play."""
    try:
        return choose(settings["cases"])
    except ValueError as error:
        raise ProofError(f"jitsi_verify_cases: {error}.") from None


def _browser(settings: Mapping[str, Any], cases: list[Case]) -> tuple[str, dict[str, str]]:
    """The program to play them with, and sentences about cases that cannot be played, by name.

    Raises ProofError where the operator names a browser that is none.
    """
    names = [case.name for case in cases if case.in_browser]
    wish = settings["browser"]
    if not names:
        return "", {}
    try:
        return find(wish), {}
    except NoBrowser as error:
        if wish not in ("", "none"):
            raise ProofError(
                f"{error} Name Chromium there, leave it empty to have it looked for, or set it to"
                " none."
            ) from None
        played = f"Not played for want of a browser: {', '.join(names)}. {error}"
        remedy = " Run scripts/bootstrap --browser for both." if wish == "" else ""
        return "", dict.fromkeys(names, played + remedy)


def _wanted(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the host is asked of its certificates, read beside the door: nobody can change it."""
    # With an authority its variable is named, too, which begins like this one
    ours = settings["certificate_path"].startswith("/etc/vestibule/") and not settings["authority"]
    file = {
        "names": [settings["domain"]],
        "path": settings["certificate_path"],
        "variable": "The site of nginx" if ours else "jitsi_web_certificate",
        **({"authority": settings["authority"]} if settings["authority"] else {}),
    }
    return [*([] if settings["certificate"] else [file]), *settings["inner_certificates"]]


def _front(
    settings: Mapping[str, Any], seen: Mapping[str, Any]
) -> tuple[certificates.Front, dict[str, float]]:
    """What is known of the certificate of the front door, and when the one ends that it shows."""
    path = settings["certificate_path"]
    domain, address, port, patience = (
        settings[each] for each in ("domain", "address", "port", "timeout")
    )
    problem = "" if settings["certificate"] else seen[path]["problem"]
    if problem:
        raise ProofError(
            f"{problem} Deploy the server first; or set jitsi_web_certificate to the file on the"
            " host, or jitsi_verify_certificate to its text."
        )
    try:
        door = certificates.front(settings, seen)
        trust = certificates.trusting(door.trusted)
    except certificates.NoCertificate:
        raise ProofError(
            f"jitsi_verify_certificate, or without it the file {path} on the host, holds no"
            " certificate in PEM form."
        ) from None
    try:
        _, ends = certificates.shown(domain, address, port, patience, trust)
    except OSError as error:
        if said := certificates.why_refused(error, door, domain, address, port, patience):
            raise ProofError(said) from None
        return door, {}
    return door, {f"The certificate that {domain} shows": ends}


def _trusted_of_turn(settings: Mapping[str, Any]) -> list[str | None]:
    """The certificates to trust of each TURN server on another host, None for whom browsers trust.

    Raises ProofError where a host has none.
    """
    if not any(name.startswith(_OF_TURN) for name in settings["cases"]):
        return [None] * len(settings["turn_servers"])
    found = []
    for server in settings["turn_servers"]:
        if not server["seen"]:
            raise ProofError(
                f"{server['host']} was not looked at: it cannot be reached, it failed, or --limit"
                f" leaves it out. So nobody knows which certificate its TURN server"
                f" {server['name']} has to show. Run this for all hosts of {settings['domain']}; or"
                " take that host out of the group turn and deploy, so that nobody is told of it."
            )
        try:
            front = certificates.front({**server, "certificate": ""}, server["seen"])
        except certificates.NoCertificate:
            raise ProofError(
                f"{server['host']} has no certificate in {server['certificate_path']}, so no client"
                f" takes {server['name']} for a TURN server. Run playbooks/site.yml for all hosts."
            ) from None
        found.append(front.trusted)
    return found


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

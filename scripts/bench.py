"""Measures the whole thing: deployment, no-op, verification, floods and minting, in one run.

Run it as ``scripts/bench``. Ratios compare two things measured one after the other on the same
machine, so they can be compared between machines; seconds cannot.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import re
import secrets
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jwt
import yaml
from lib import twin

from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.transports import TRANSPORTS, front_door
from vestibule.tokens.minting import mint_with

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/bench"
BIN = Path(sys.executable).parent
LIB = ROOT / "scripts/lib"
RIG = [sys.executable, "-m", "rig"]
# Secret and audience of the tokens that are minted for the measurement
SECRET, ISSUER, AUDIENCE, DOMAIN = "b" * 43, "vestibule", "jitsi", "meet.example.org"

# Bad tokens a second, and seconds of them
FLOOD_RATE, FLOOD_SECONDS = 1000, 8
HELD = 2000  # sessions
LOGINS, LOGIN_RATE = 900, 60  # and how many of them a second
LOGIN_CLOCK = "/var/lib/prosody/login_clock"  # as mod_login_clock has it
LISTENS = "until (: < /dev/tcp/127.0.0.1/5280) 2> /dev/null; do :; done"
KEYS = "/etc/vestibule/tokens/keys.json"
OURS, THEIRS = "bench-ansible", "bench-shell"  # servers
ROWS = 10_000  # of a table of people
NAMES = 8  # of one server, to have a run over as many hosts


def say(words: str) -> None:
    """A line of progress, apart from the result."""
    print(f"bench: {words}", file=sys.stderr, flush=True)


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def run(argv: list[str], **options: Any) -> str:
    """What a program prints. Ends the measurement where the program fails."""
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(
            f"bench: {shlex.join(argv[:4])} … failed:\n{(done.stdout + done.stderr)[-3000:]}"
        )
    output: str = done.stdout
    return output


class Server:
    """A fresh server of the rig, with the stand-in repository on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        run([*RIG, "down", name])
        self.address = run([*RIG, "up", name]).split()[-1]
        self._ssh = ["-F", str(ROOT / f"build/rig/hosts/{name}/ssh_config")]
        self._host = {
            "ansible_host": self.address,
            "ansible_user": "root",
            "ansible_ssh_common_args": shlex.join(self._ssh),
        }
        self.inventory = self._write_inventory("hosts.json", [name])
        self.play("rig/playbooks/prepare.yml")

    def _write_inventory(self, file: str, names: Sequence[str]) -> Path:
        """An inventory that has this server under these names."""
        apt = ROOT / "build/stand-ins/apt"
        variables = {
            "jitsi_domain": DOMAIN,
            "jitsi_tokens_repository_url": "http://127.0.0.1:8099/apt",
            "jitsi_tokens_repository_key": str(apt / "stand-ins.asc"),
            # Of the key that the preparation of the first server makes
            "jitsi_tokens_repository_fingerprint": (
                f"{{{{ lookup('ansible.builtin.file', '{apt}/fingerprint') }}}}"
            ),
        }
        hosts = dict.fromkeys(names, self._host)
        content = {"all": {"children": {"rig": {"hosts": hosts}}, "vars": variables}}
        inventory = BUILD / self.name / file
        inventory.parent.mkdir(parents=True, exist_ok=True)
        inventory.write_text(json.dumps(content), encoding="utf-8")
        return inventory

    def under_names(self, number: int) -> Path:
        """An inventory that has this one server under several names, which share its secrets."""
        names = [f"{self.name}-{each}" for each in range(1, number + 1)]
        for name in names:
            link = self.inventory.parent / ".secrets" / f"{name}.yml"
            link.unlink(missing_ok=True)
            link.symlink_to(f"{self.name}.yml")
        return self._write_inventory("names.json", names)

    def ssh(self, script: str, **options: Any) -> str:
        """Run a script there, as one command."""
        return run(["ssh", *self._ssh, self.name, script], **options)

    def write(self, path: str, text: str) -> None:
        """Put a text into a file there, whose owner and mode stay where there is one."""
        self.ssh(f"cat > {shlex.quote(path)}", input=text)

    def flood(self, *options: str, seconds: float = FLOOD_SECONDS) -> Any:
        """The generator of logins, which waits for a token on its standard input."""
        words = shlex.join(["python3", "/root/flood.py", "--domain", DOMAIN, *options])
        return subprocess.Popen(
            ["ssh", *self._ssh, self.name, f"{words} --seconds {seconds}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def memory(self) -> float:
        """Megabytes that Prosody has in memory."""
        process = "$(systemctl show prosody --property=MainPID --value)"
        return int(self.ssh(f"grep VmRSS /proc/{process}/status").split()[1]) / 1000

    def play(self, playbook: str, *options: str, inventory: Path | None = None) -> str:
        """Run a playbook against this server alone."""
        hosts = str(inventory or self.inventory)
        return run([str(BIN / "ansible-playbook"), "-i", hosts, playbook, *options])

    def copy_to(self, other: Server, name: str, paths: Sequence[str]) -> None:
        """Put an archive of these paths on the other server, as /root/twin/<name>.tar."""
        archive = subprocess.run(
            ["ssh", *self._ssh, self.name, "tar c -C / -P --no-recursion -T -"],
            input="\n".join(paths).encode(),
            capture_output=True,
            check=True,
        ).stdout
        subprocess.run(
            ["ssh", *other._ssh, other.name, f"mkdir -p /root/twin; cat > /root/twin/{name}.tar"],
            input=archive,
            check=True,
        )


def unchanged(output: str) -> None:
    """Refuse to call a run that has changed something one that had nothing to do."""
    if re.search(r" changed=[1-9]", output):
        raise SystemExit(f"bench: a second run has changed something:\n{output[-3000:]}")


def measure_twin(ours: Server) -> float:
    """Seconds that a shell script takes for what was installed on our server since its mark."""
    theirs = Server(THEIRS)
    installed = twin.survey(ours.ssh)
    script = twin.script(installed, theirs.address)
    (BUILD / "twin.sh").write_text(script, encoding="utf-8")
    for name, paths in installed.archives().items():
        ours.copy_to(theirs, name, paths)
    say("the same with a shell script, kept as build/bench/twin.sh")
    took = seconds(lambda: theirs.ssh("timeout 300 bash", input=script))
    packages = "dpkg-query -W"
    if theirs.ssh(packages) != ours.ssh(packages):
        raise SystemExit("bench: the shell script has installed other packages")
    run([*RIG, "down", theirs.name])
    return took


def measure_floods(server: Server, issuer: Issuer) -> dict[str, float]:
    """How long a good token takes while bad ones are sent, and what 2000 sessions need.

    The generator runs on the server, from a hundred addresses of its loopback, and shares its
    processors: it takes about a millisecond for an attempt. The good token comes from here.
    """
    certificate = server.ssh(f"cat /etc/vestibule/web/{DOMAIN}.crt")
    good = issuer.token(room="*")

    async def enter_again_and_again(kind: str, until: float) -> list[float]:
        took: list[float] = []
        async with front_door(DOMAIN, server.address, 443, certificate) as door:
            entrance = Entrance(door, TRANSPORTS[kind], issuer, patience=60)
            while time.perf_counter() < until or not took:
                room, began = entrance.room(), time.perf_counter()
                async with entrance.enter(room, entrance.token(room)):
                    took.append((time.perf_counter() - began) * 1000)
        return took

    figures: dict[str, float] = {}
    for kind in TRANSPORTS:
        say(f"a good token among {FLOOD_RATE} bad ones a second over {kind}")
        flood = server.flood("--transport", kind, "--rate", str(FLOOD_RATE), "--sources", "100")
        flood.stdin.write(f"{good[:-4]}AAAA\n")
        flood.stdin.flush()
        until = time.perf_counter() + FLOOD_SECONDS - 1
        took = asyncio.run(enter_again_and_again(kind, until))
        outcomes = json.loads(flood.communicate()[0])
        say(f"of the bad ones: {outcomes}")
        figures[f"good_token_ms_under_flood_{kind}"] = statistics.median(took)
        figures[f"good_token_ms_under_flood_{kind}_worst"] = max(took)

    say("sessions held")
    before = server.memory()
    holder = server.flood("--rate", "40", "--sources", "20", seconds=HELD / 40)
    holder.stdin.write(f"{good}\n")
    holder.stdin.flush()
    outcomes = json.loads(holder.stdout.readline())
    figures["sessions_held"] = outcomes.get("held", 0)
    figures["prosody_mb_fresh"], figures["prosody_mb_held"] = before, server.memory()
    holder.communicate()
    return figures


def measure_logins(server: Server, issuer: Issuer) -> dict[str, float]:
    """Processor time of a login in Prosody, over what it is without our checks of the token.

    A module around them takes the time within Prosody: between two rounds, whole logins differ by
    more than the checks need.
    """
    modules = "/usr/local/lib/prosody/modules"
    server.ssh(f"mkdir -p {modules}")
    clock = "mod_login_clock.lua"
    server.write(f"{modules}/{clock}", (LIB / clock).read_text(encoding="utf-8"))
    more = json.dumps({"jitsi_extra_modules": {"main": ["login_clock"]}})
    server.play("playbooks/site.yml", "--skip-tags", "jitsi_verify", "--extra-vars", more)
    file = json.loads(server.ssh(f"cat {KEYS}"))
    own = file["keys"]
    others = [own[0] | {"secret": secrets.token_urlsafe(32)} for _ in range(63)]
    named = [key | {"kid": f"key-{number}"} for number, key in enumerate(others)]
    by_kid = dataclasses.replace(issuer, secret=named[-1]["secret"], kid=named[-1]["kid"])
    kinds = {
        "1_key": (own, issuer),
        "64_keys": (others + own, issuer),
        "64_keys_by_kid": (named + own, by_kid),
    }
    figures: dict[str, float] = {}
    for kind, (keys, minter) in kinds.items():
        say(f"logins with {kind}")
        server.write(KEYS, json.dumps(file | {"keys": keys}))
        server.ssh(f"systemctl restart prosody; timeout 30 bash -c {shlex.quote(LISTENS)}")
        flood = server.flood(
            "--rate", str(LOGIN_RATE), "--sources", "20", seconds=LOGINS / LOGIN_RATE
        )
        outcomes = flood.communicate(f"{minter.token(room='*')}\n")[0]
        server.ssh("systemctl stop prosody")
        logins, checks, whole = map(float, server.ssh(f"cat {LOGIN_CLOCK}").split())
        if logins != LOGINS:
            raise SystemExit(f"bench: of {LOGINS} logins, {logins:.0f} were let in: {outcomes}")
        figures[f"login_over_unchecked_{kind}"] = whole / (whole - checks)
        figures[f"login_ms_{kind}"] = whole / logins * 1000
    return figures


def measure_servers(repeats: int) -> Iterator[dict[str, float]]:
    """Deployment against a shell script, no-op against the gathering of facts, verification.

    One server under eight names stands for eight: a no-op changes nothing, so that its eight runs
    do not disturb each other. They share its processors, and one connection of SSH.
    """
    deploy = ("playbooks/site.yml", "--skip-tags", "jitsi_verify")
    ours = Server(OURS)
    ours.ssh(twin.MARK)
    say("fresh deployment with Ansible")
    fresh = seconds(lambda: ours.play(*deploy))

    shell = measure_twin(ours)
    yield {"fresh_over_shell": fresh / shell, "fresh_seconds": fresh, "shell_seconds": shell}

    say("a run that has nothing to do, and the gathering of facts")
    setup_argv = [str(BIN / "ansible"), "-i", str(ours.inventory), "all", "-m", "setup"]
    setup = statistics.median(seconds(lambda: run(setup_argv)) for _ in range(repeats))
    noop = statistics.median(seconds(lambda: ours.play(*deploy)) for _ in range(repeats))
    yield {
        "noop_over_setup": noop / setup,
        "noop_seconds": noop,
        # What Ansible tells with -vvv of the connection: each is one program run on the server
        "noop_remote_executions": ours.play(*deploy, "-vvv").count("> SSH: EXEC ssh "),
    }

    say("the access cases")
    began = time.perf_counter()
    told = ours.play("playbooks/verify.yml")
    verify = time.perf_counter() - began
    cases = re.search(r" 0 wrong in ([\d.]+) s", told)
    if not cases:
        raise SystemExit(f"bench: verify.yml does not tell how long the cases took:\n{told}")
    yield {"verify_seconds": verify, "verify_over_cases": verify / float(cases[1])}

    say(f"a run that has nothing to do, over {NAMES} hosts")
    names = ours.under_names(NAMES)
    many = statistics.median(
        seconds(lambda: unchanged(ours.play(*deploy, inventory=names))) for _ in range(repeats)
    )
    yield {"hosts_8_over_1": many / noop}

    ours.write("/root/flood.py", (LIB / "flood.py").read_text(encoding="utf-8"))
    secret = re.search(
        r'app_secret = "([^"]+)"', ours.ssh(f"cat /etc/prosody/conf.d/{DOMAIN}*.cfg.lua")
    )
    if not secret:
        raise SystemExit("bench: the server has no key of tokens")
    issuer = Issuer(secret[1], ISSUER, AUDIENCE, DOMAIN)
    yield measure_floods(ours, issuer)
    yield measure_logins(ours, issuer)


def measure_model(repeats: int) -> dict[str, float]:
    """Milliseconds for a model in a process that has compiled nothing yet, like Ansible's own."""
    code = """if True:
        import time
        from vestibule.model.compiler import compile_model
        began = time.process_time()
        given = {
            "jitsi_domain": "meet.example.org",
            "jitsi_features": ["guests", "affiliation", "owner_party", "lobby", "lobby_always"],
        }
        compile_model(given, names=(), folder="")
        print(time.process_time() - began)
    """
    say("a model")
    took = statistics.median(float(run([sys.executable, "-c", code])) for _ in range(repeats))
    return {"model_ms": took * 1000}


def measure_minting(tokens: int) -> dict[str, float]:
    """Tokens a second from what the filter calls, as a share of what PyJWT alone makes of them."""
    server = {"secret": SECRET, "issuer": ISSUER, "audience": AUDIENCE, "domain": DOMAIN}

    def ours() -> str:
        return mint_with({"room": "standup"}, server)

    claims = jwt.decode(ours(), SECRET, algorithms=["HS256"], audience=AUDIENCE)

    def alone() -> str:
        return jwt.encode(claims, SECRET, algorithm="HS256")

    def repeat(make: Callable[[], str]) -> Callable[[], object]:
        return lambda: [make() for _ in range(tokens)]

    say("minting")
    filtered = statistics.median(seconds(repeat(ours)) for _ in range(3))
    plain = statistics.median(seconds(repeat(alone)) for _ in range(3))
    return {"mint_over_pyjwt": plain / filtered, "mint_per_second": tokens / filtered}


def measure_command(repeats: int) -> dict[str, float]:
    """Seconds that people wait for a link, and for those of 10,000 rows."""
    folder = BUILD / "inventory"
    (folder / ".secrets").mkdir(parents=True, exist_ok=True)
    hosts = {"all": {"hosts": {"meet": {"jitsi_domain": DOMAIN}}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts), encoding="utf-8")
    secret = secrets.token_urlsafe(32)
    (folder / ".secrets/meet.yml").write_text(f"token_secret: {secret}\n", encoding="utf-8")
    people = BUILD / "people.csv"
    rows = "".join(f"room-{number},Person {number},yes,2h\n" for number in range(ROWS))
    people.write_text(f"room,name,owner,for\n{rows}", encoding="utf-8")
    mint = [sys.executable, "-m", "vestibule.command", "mint", "--inventory", str(folder)]
    say(f"the command, for one link and for {ROWS}")
    one = statistics.median(
        seconds(lambda: run([*mint, "--room", "standup", "--name", "Ann"])) for _ in range(repeats)
    )
    links = str(BUILD / "links.csv")
    many = statistics.median(
        seconds(lambda: run([*mint, "--batch", str(people), "--output", links]))
        for _ in range(repeats)
    )
    return {"command_mint_seconds": one, "batch_10000_seconds": many}


def measure(repeats: int, *, servers: bool) -> Iterator[dict[str, float]]:
    """All figures, a few at a time."""
    yield measure_model(repeats)
    yield measure_minting(5_000)
    yield measure_command(repeats)
    if servers:
        try:
            yield from measure_servers(repeats)
        finally:
            for name in (OURS, THEIRS):
                run([*RIG, "down", name])


def main() -> None:
    """Measure, then print a table as it comes, or one JSON object."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the short ones (median)")
    parser.add_argument(
        "--no-servers", action="store_true", help="measure the model, minting and the command"
    )
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for part in measure(options.repeats, servers=not options.no_servers):
        figures |= part
        if not options.json:
            for name, value in part.items():
                print(f"{name:<42} {value:10.2f}", flush=True)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

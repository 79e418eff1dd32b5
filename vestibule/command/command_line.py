"""The command line: what is asked for, and the answer."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vestibule.command import CommandError

ENTERS, REFUSED, USAGE = 0, 1, 2
_SHOWN = "-"  # in place of a file: the terminal

_MINT = """\
examples:
  vestibule mint --inventory inventory/mine --room standup --name Ann --owner --for 2h30m
  vestibule mint --inventory inventory/mine --room standup --name Bob --feature recording --qr
  vestibule mint --inventory inventory/mine --batch people.csv --output links.csv

The first row of people.csv names its columns: room, name, owner, for, tenant, features, email.
people.json is a list of objects with the same names. A link is as good as the token in it.
"""
_EXPLAIN = """\
examples:
  vestibule explain-token --inventory inventory/mine <token.txt
  xclip -out | vestibule explain-token

The exit code is 0 where the token enters, 1 where it is refused, or is of an identity provider
whose keys are on the server only, and 2 where nothing can be said of it.
"""


_BACKUP = """\
examples:
  vestibule show-backup inventory/mine/.backups/meet-20261130T120000Z.vestibule

The vault password is taken from ANSIBLE_VAULT_PASSWORD_FILE or ansible.cfg. The exit code is 0
where the backup is whole, and 1 where it is not.
"""


def tell(words: str) -> None:
    """A sentence beside the answer."""
    with contextlib.suppress(BrokenPipeError):
        print(f"vestibule: {words}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(
        prog="vestibule",
        description="Links for people, why a token is refused, and what is in a backup.",
        epilog="Each command has a --help with examples.",
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    mint = commands.add_parser(
        "mint",
        help="print a link with a token",
        description="Prints a link that lets one person into a room, or many of a table.",
        epilog=_MINT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mint.set_defaults(parser=mint)
    _add_inventory(mint, required=True)
    mint.add_argument("--room", help="name of the room")
    mint.add_argument("--name", metavar="TEXT", help="what others see of the person")
    mint.add_argument("--email", metavar="ADDRESS", help="goes into the token")
    mint.add_argument(
        "--owner", action="store_true", help="moderates, with the feature affiliation"
    )
    mint.add_argument(
        "--for", dest="duration", metavar="TIME", help="how long it lives, e.g. 2h30m (1h)"
    )
    mint.add_argument("--tenant", help="whose room it is")
    mint.add_argument(
        "--feature",
        action="append",
        dest="features",
        metavar="NAME",
        help="what the person may do, e.g. recording; again for more",
    )
    mint.add_argument(
        "--qr",
        nargs="?",
        const=_SHOWN,
        metavar="FILE",
        help="draw it on the terminal, or write FILE.png or FILE.svg",
    )
    mint.add_argument("--json", action="store_true", help="print JSON, one object a link")
    mint.add_argument("--batch", type=Path, metavar="TABLE", help="a .csv or .json of people")
    mint.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where the links of a table go (standard output)",
    )

    explain = commands.add_parser(
        "explain-token",
        help="say whether a token is let in, and why",
        description="Says of the token on standard input whether a deployment lets it in, and why.",
        epilog=_EXPLAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_inventory(explain, required=False)
    explain.add_argument("--room", default="", help="say whether it opens this room")
    explain.add_argument("--tenant", default="", help="whose room that is")
    explain.add_argument("--json", action="store_true", help="print JSON")
    _add_show_backup(commands)
    return whole


def _add_show_backup(commands: Any) -> None:
    show = commands.add_parser(
        "show-backup",
        help="check a backup and say what is in it",
        description="Reads all of a backup that playbooks/backup.yml wrote, and says what it has.",
        epilog=_BACKUP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("file", type=Path, metavar="FILE", help="the backup")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.add_argument(
        "--variables",
        action="store_true",
        help="print the variables that were set, as YAML; secrets may be among them",
    )


def _add_inventory(command: argparse.ArgumentParser, *, required: bool) -> None:
    command.add_argument(
        "--inventory", required=required, metavar="FOLDER", help="e.g. inventory/mine"
    )
    command.add_argument("--host", metavar="NAME", help="which of its hosts, where it has several")


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer, and say how it went by the exit code."""
    options = parser().parse_args(arguments)
    failed = USAGE if options.command == "explain-token" else REFUSED
    try:
        if options.command == "explain-token":
            return _explain(options)
        if options.command == "show-backup":
            from vestibule.command import show_backup  # noqa: PLC0415

            print(show_backup.text(options.file, options.json, options.variables), flush=True)
            return ENTERS
        problem = _odd(options)
        if problem:
            options.parser.error(problem)
        return _mint(options)
    except CommandError as error:
        tell(str(error))
        return failed
    except BrokenPipeError:
        # Who read the links has what they wanted; what is left shall not complain at the end
        _leave_stdout()
        return REFUSED
    except OSError as error:
        tell(f"{error.filename or 'Standard output'} cannot be used: {error.strerror}.")
        _leave_stdout()
        return failed


def _leave_stdout() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _odd(options: argparse.Namespace) -> str:
    """What does not fit together on a command line of mint, or an empty text."""
    one = {
        "--room": options.room,
        "--name": options.name,
        "--email": options.email,
        "--owner": options.owner,
        "--for": options.duration,
        "--tenant": options.tenant,
        "--feature": options.features,
        "--qr": options.qr,
    }
    if options.batch:
        for name, value in one.items():
            if value:
                return f"{name} is for one person, and --batch has a column for it"
    elif options.room is None:
        return "--room or --batch is missing: say e.g. --room standup"
    elif options.output:
        return "--output is for the links of --batch"
    return ""


def _mint(options: argparse.Namespace) -> int:
    from vestibule.command import deployment, mint  # noqa: PLC0415 — help needs neither

    if options.batch:
        return _mint_many(options)
    found = deployment.find(options.inventory, options.host, tell)
    asked: dict[str, Any] = {"room": options.room, "moderator": options.owner}
    for name, value in (
        ("display_name", options.name),
        ("lifetime", options.duration),
        ("tenant", options.tenant),
        ("email", options.email),
    ):
        if value is not None:
            asked[name] = value
    if options.features:
        asked["features"] = ",".join(options.features)
    try:
        link = mint.link_for(asked, found, mint.FLAGS)
    except mint.NoLink as error:
        raise CommandError(str(error)) from None
    if options.qr and options.qr != _SHOWN:
        from vestibule.command import qr  # noqa: PLC0415

        qr.save(link.link, Path(options.qr))
    print(json.dumps(asdict(link), ensure_ascii=False) if options.json else link.link, flush=True)
    if options.qr == _SHOWN:
        from vestibule.command import qr  # noqa: PLC0415

        qr.draw(link.link, sys.stderr)
    return ENTERS


def _mint_many(options: argparse.Namespace) -> int:
    from vestibule.command import batch, deployment, tables  # noqa: PLC0415

    faults = 0

    def complain(words: str) -> None:
        nonlocal faults
        faults += 1
        tell(words)

    # What is wrong with the table itself is said before the inventory is read
    rows = tables.opened(options.batch, tell)
    found = deployment.find(options.inventory, options.host, tell)
    links = batch.links(rows, found, complain)
    batch.write(links, options.output, tell, as_json=options.json)
    if faults:
        tell(f"{faults} {'row has' if faults == 1 else 'rows have'} no link.")
    return REFUSED if faults else ENTERS


def _explain(options: argparse.Namespace) -> int:
    from vestibule.command import deployment, explain_token  # noqa: PLC0415
    from vestibule.tokens import verdict  # noqa: PLC0415
    from vestibule.tokens.address import address_part  # noqa: PLC0415

    if sys.stdin.isatty():
        tell("Paste the token, then press Enter and Ctrl-D.")
    try:
        token, note = explain_token.token_in(sys.stdin.read(explain_token.LONGEST))
    except UnicodeDecodeError:
        raise CommandError("Standard input is no text. Send the token, or its link.") from None
    if note:
        tell(note)
    now, domain = time.time(), ""
    if options.inventory:
        found = deployment.find(options.inventory, options.host, tell)
        keys = verdict.keys_of(found.model["options"], found.secrets, found.rotations)
        rules = verdict.rules_of(found.model, keys)
        try:
            room, tenant = address_part(options.room), address_part(options.tenant)
        except UnicodeEncodeError:
            raise CommandError(
                "--room or --tenant is no text in UTF-8. Name the room as its link does."
            ) from None
        answer, domain = verdict.judge(token, rules, now, room, tenant), found.domain
    else:
        answer = verdict.look(token, now)
    lines = explain_token.in_words(answer, domain)
    print(explain_token.as_json(answer, domain) if options.json else "\n".join(lines), flush=True)
    return ENTERS if answer.enters else REFUSED

"""``python -m rig``: what people and playbooks ask of the rig."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence

from rig.images import IMAGES, Builder, available_images, stocked
from rig.podman import ROOT, Podman, RigError, say
from rig.servers import Servers
from rig.stand_ins.build import build

STAND_INS = ROOT / "build/stand-ins"


def host_name(text: str) -> str:
    """A name that can be a part of container, host and file names (RFC 1123, section 2.1)."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not made of small letters, digits and hyphens"
        )
    return text


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="rig", description="Fresh servers for demo and tests.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("image", help="build an image unless it is up to date")
    action.add_argument("image", choices=sorted(IMAGES))
    action = actions.add_parser("up", help="boot a server and print its address")
    action.add_argument("name", type=host_name)
    action.add_argument("--image", choices=sorted(IMAGES), default="debian13")
    action.add_argument(
        "--stocked", action="store_true", help="which has what the stand-ins depend on"
    )
    action = actions.add_parser("serve", help="serve stand-ins of Jitsi's packages on a server")
    action.add_argument("name", type=host_name)
    action = actions.add_parser("down", help="remove a server")
    action.add_argument("name", type=host_name)
    action = actions.add_parser("address", help="print the address of a running server")
    action.add_argument("name", type=host_name)
    actions.add_parser("ps", help="list the servers")
    actions.add_parser("images", help="list what can be booted")
    action = actions.add_parser("exec", help="run a command where podman sees the servers")
    action.add_argument("command", nargs="+", metavar="-- COMMAND")
    return parser.parse_args(arguments)


def main() -> int:
    """Do one action."""
    options = parse_arguments()
    images = available_images(os.environ.get("VESTIBULE_IMAGES", ""))
    if options.action == "images":
        print("".join(f"{name}\t{image.label}\n" for name, image in images.items()), end="")
        return 0
    podman = Podman()
    servers = Servers(podman)
    try:
        with podman.prepared():
            match options.action:
                case "image":
                    Builder(podman).build(images[options.image])
                case "up":
                    image = images[options.image]
                    print(servers.up(options.name, stocked(image) if options.stocked else image))
                case "serve":
                    build(STAND_INS)
                    servers.serve(options.name, STAND_INS / "repositories.tar")
                case "down":
                    servers.down(options.name)
                case "address":
                    print(servers.address(options.name))
                case "ps":
                    print(servers.overview(), end="")
        if options.action == "exec":
            command = podman.inside(options.command)
            os.execvp(command[0], command)  # noqa: S606 - a list of arguments, as with subprocess
    except RigError as error:
        say(str(error))
        return 1
    return 0

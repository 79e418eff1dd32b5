"""What the module ``archive_release`` does."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files

_RELEASE = re.compile(r"[0-9a-f]{16}")
_OURS = re.compile(r"[0-9a-f]{16}(\.part|\.tar)?")


def unpack(archive: str, folder: str) -> None:
    """Write the files of a tarball below ``folder``, without its top folder.

    Raises ValueError on what is neither file nor folder, and on a path that leads out of it.
    """
    with tarfile.open(archive) as members:
        for member in members:
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            if ".." in parts or member.name.startswith("/"):
                raise ValueError(f"it has {member.name!r}, which leads out of its folder")
            path = os.path.join(folder, *parts[1:])
            if member.isdir():
                os.makedirs(path, exist_ok=True)
            elif member.isfile() and len(parts) > 1:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                source = members.extractfile(member)
                with open(path, "wb") as target:
                    if source:
                        shutil.copyfileobj(source, target)
                os.chmod(path, 0o755 if member.mode & 0o100 else 0o644)
            else:
                raise ValueError(f"it has {member.name!r}, which is no file in its folder")


def _make(module: AnsibleModule, release: str) -> None:
    """Unpack the release, have it judged, and give it its name."""
    part = f"{release}.part"
    said = ""
    os.umask(0o022)
    files.remove_all(part)
    os.makedirs(part)
    try:
        unpack(module.params["archive"], part)
    except (OSError, ValueError, tarfile.TarError) as error:
        said = str(error)
    if not said and module.params["check"]:
        status, output, errors = module.run_command(module.params["check"], cwd=part)
        said = (errors or output or f"exit code {status}").strip() if status else ""
    if said:
        files.remove_all(part)
        files.remove_all(module.params["archive"])
        module.fail_json(msg=f"{module.params['refusal']}: {said}. {module.params['remedy']}")
    os.rename(part, release)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Unpack what is not there, and remove what nobody needs. Returns the result of the task."""
    directory, archive = module.params["directory"], module.params["archive"]
    name = module.params["name"] or ""
    release = os.path.join(directory, name)
    if archive and not _RELEASE.fullmatch(name):
        module.fail_json(msg=f"{name!r} is no name of a release, which has 16 hexadecimal digits.")
    new = bool(archive) and not os.path.isdir(release)
    if new and not module.check_mode:
        _make(module, release)
    if archive and not module.check_mode:
        files.remove_all(archive)
    keep = {name, *(os.path.basename(each.rstrip("/")) for each in module.params["keep"])}
    there = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    old = [each for each in there if _OURS.fullmatch(each) and each not in keep]
    if not module.check_mode:
        for each in old:
            files.remove_all(os.path.join(directory, each))
    return {"changed": new or bool(old), "unpacked": new, "removed": old}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "archive": {"type": "path"},
            "name": {"type": "str"},
            "keep": {"type": "list", "elements": "str", "default": []},
            "check": {"type": "list", "elements": "str", "default": []},
            "refusal": {"type": "str", "default": "The archive was refused"},
            "remedy": {"type": "str", "default": "Use another one."},
        },
        required_by={"archive": ["name"]},
        supports_check_mode=True,
    )
    module.exit_json(**run(module))

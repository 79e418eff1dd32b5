"""What the module ``config_files`` does."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import (
    before,
    former,
    leftovers,
    prosody_config,
    prosody_reloads,
    services,
)

HIDDEN = "(content not shown)\n"
_BODIES = ("content", "link", "copy_of")


class ConfigFilesError(Exception):
    """A sentence for the operator: what is wrong and what to do about it."""


class Refused(ConfigFilesError):
    """The check program did not like the files."""

    def __init__(self, message: str, rc: int, stdout: str, stderr: str) -> None:
        super().__init__(message)
        self.details = {"rc": rc, "stdout": stdout, "stderr": stderr}


@dataclass(frozen=True)
class Entry:
    """What one path should be. ``kind`` is file, link, directory or absent.

    ``body`` is the content of a file or the target of a link. ``uid`` and ``gid`` are -1 where the
    user or group does not exist yet, which only check mode lets through.
    """

    path: str
    kind: str
    body: bytes = b""
    uid: int = -1
    gid: int = -1
    mode: int = 0
    secret: bool = False

    @property
    def staged(self) -> str:
        """Where the new file waits. The dot keeps it out of ``Include "conf.d/*"`` and the like."""
        return self._beside("new")

    @property
    def previous(self) -> str:
        """Where the previous file waits until the whole set is accepted."""
        return self._beside("old")

    def _beside(self, suffix: str) -> str:
        directory, name = os.path.split(self.path)
        return os.path.join(directory, f".{name}.config_files-{suffix}")


def look(path: str, follow: bool = False) -> Entry:
    """What `path` is now. Other things than files, links and directories have the kind other."""
    try:
        status = os.stat(path) if follow else os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Entry(path, "absent")
    kind, body = "other", b""
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            kind, body = "file", file.read()
    elif stat.S_ISLNK(status.st_mode):
        kind, body = "link", os.fsencode(os.readlink(path))
    elif stat.S_ISDIR(status.st_mode):
        kind = "directory"
    return Entry(path, kind, body, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def entry_of(path: str, known: Mapping[str, Any], body: bytes) -> Entry:
    """What stood at ``path``, of which `former.state` told what is known."""
    owner = known.get("uid", -1), known.get("gid", -1)
    return Entry(path, known["kind"], body, *owner, known.get("mode", 0), secret=True)


def differs(wanted: Entry, found: Entry) -> bool:
    """Whether something has to be done. The owner and mode of a link are of no interest."""
    if (wanted.kind, wanted.body) != (found.kind, found.body):
        return True
    if wanted.kind in ("link", "absent"):
        return False
    return (wanted.uid, wanted.gid, wanted.mode) != (found.uid, found.gid, found.mode)


def words_for(wanted: Entry, found: Entry, known: dict[str, dict[str, str]]) -> list[str]:
    """How a path differs, in words that show nothing of what it holds.

    ``known`` says of paths what was written there, so that it can be told who changed what.
    """
    if wanted.kind == "absent":
        return ["no wish any more" if wanted.path in known else "should not be there"]
    if found.kind == "absent":
        return ["missing"]
    said = []
    if wanted.kind != found.kind:
        said.append(f"a {found.kind} in place of a {wanted.kind}")
    elif wanted.body != found.body:
        said.append("leads elsewhere" if wanted.kind == "link" else _by_whom(found, known))
    if wanted.kind in ("file", "directory") and wanted.kind == found.kind:
        if (wanted.uid, wanted.gid) != (found.uid, found.gid):
            said.append(f"owner {found.uid}:{found.gid}, not {wanted.uid}:{wanted.gid}")
        if wanted.mode != found.mode:
            said.append(f"mode {found.mode:04o}, not {wanted.mode:04o}")
    return said


def _by_whom(found: Entry, known: dict[str, dict[str, str]]) -> str:
    written = known.get(found.path, {}).get("sha256")
    if written is None:
        return "other content"
    if hashlib.sha256(found.body).hexdigest() == written:
        return "content of an earlier wish"
    return "content changed on the host"


def stage(entry: Entry) -> None:
    """Write the new file or link beside its target, on disk and with its final owner and mode."""
    if entry.kind == "link":
        os.symlink(os.fsdecode(entry.body), entry.staged)
    elif entry.kind == "file":
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(entry.staged, flags, 0o600), "wb") as file:
            file.write(entry.body)
            file.flush()
            os.fchown(file.fileno(), entry.uid, entry.gid)
            os.fchmod(file.fileno(), entry.mode)
            os.fsync(file.fileno())


def put_in_place(entry: Entry) -> None:
    """Make the staged file the real one, in a way that `undo` can read off the disk.

    A previous file gets a second name before the rename takes its first one. A file that is new
    keeps the name it was staged under. So after a crash at any point, the names tell what happened.
    """
    if entry.kind == "absent":
        os.rename(entry.path, entry.previous)
    elif os.path.lexists(entry.path):
        os.link(entry.path, entry.previous, follow_symlinks=False)
        os.rename(entry.staged, entry.path)
    else:
        os.link(entry.staged, entry.path, follow_symlinks=False)


def undo(entry: Entry) -> None:
    """Bring back what stood at the path, after a failure now or a crash of an earlier run."""
    if os.path.lexists(entry.previous):
        if _same_file(entry.previous, entry.path):  # rename does nothing between two equal links
            os.unlink(entry.previous)
        else:
            os.rename(entry.previous, entry.path)
    if os.path.lexists(entry.staged):
        if _same_file(entry.staged, entry.path):
            os.unlink(entry.path)
        os.unlink(entry.staged)


def forget(entry: Entry) -> None:
    """Give up the previous file: the set is accepted."""
    for path in (entry.previous, entry.staged):
        if os.path.lexists(path):
            os.unlink(path)


def unfinished(entry: Entry) -> bool:
    """Whether an earlier run was cut off while it worked on this path."""
    return os.path.lexists(entry.previous) or os.path.lexists(entry.staged)


def _same_file(one: str, other: str) -> bool:
    return os.path.lexists(other) and os.path.samestat(os.lstat(one), os.lstat(other))


def make_directory(wanted: Entry) -> None:
    """Create the directory, closed to others until it has its owner, or correct what is there."""
    if not os.path.isdir(wanted.path):
        os.mkdir(wanted.path, 0o700)
    os.chown(wanted.path, wanted.uid, wanted.gid)
    os.chmod(wanted.path, wanted.mode)


def undo_directory(found: Entry) -> None:
    """Make the directory what it was before `make_directory`."""
    if found.kind == "directory":
        os.chown(found.path, found.uid, found.gid)
        os.chmod(found.path, found.mode)
    elif os.path.isdir(found.path):
        os.rmdir(found.path)


def apply(directories: list[Entry], files: list[Entry], check: Callable[[], None]) -> None:
    """Do all of it, or none of it. Whatever `check` raises is raised again after the undoing."""
    steps: list[Callable[[], None]] = []
    try:
        for directory in directories:
            steps.append(partial(undo_directory, look(directory.path, follow=True)))
            make_directory(directory)
        for file in files:
            steps.append(partial(undo, file))
            stage(file)
        for file in files:
            put_in_place(file)
        _flush_directories(files)
        check()
    except BaseException as error:  # also SystemExit, by which Ansible's own helpers fail
        _take_back(steps, error)
        raise
    for file in reversed(files):  # a link before what it leads to, and the list of all at the end
        forget(file)
    _flush_directories(files)


def _take_back(steps: list[Callable[[], None]], cause: BaseException) -> None:
    """Run every step, newest first. One that fails does not keep the others from running."""
    failed = []
    for step in reversed(steps):
        try:
            step()
        except OSError as error:
            failed.append(str(error))
    if failed:
        raise ConfigFilesError(
            f"{cause} Not everything could be put back: {'; '.join(failed)}. The previous "
            "files are beside them as .NAME.config_files-old."
        ) from cause


def _flush_directories(files: list[Entry]) -> None:
    """Make renames survive a power cut."""
    for directory in sorted({os.path.dirname(file.path) for file in files}):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def parse(option: dict[str, Any], *, directory: bool, lenient: bool) -> Entry:
    """One element of the options C(files) or C(directories) as an entry.

    With `lenient`, users and groups that do not exist yet are let through, for check mode on a
    host without the packages.
    """
    path = os.path.normpath(option["path"])
    if not os.path.isabs(path):
        raise ConfigFilesError(f"{path} is not absolute. Give the path from / on.")
    if option.get("state") == "absent":
        if any(option[each] is not None for each in _BODIES):
            raise ConfigFilesError(f"{path} is absent and has content or link. Drop one of them.")
        return Entry(path, "absent", secret=option["secret"])
    if option.get("link") is not None:
        return Entry(path, "link", os.fsencode(option["link"]), secret=option["secret"])
    return Entry(
        path,
        "directory" if directory else "file",
        b"" if directory else _body(option, lenient),
        _number(path, "user", option["owner"], lenient),
        _number(path, "group", option["group"], lenient),
        _mode(path, option["mode"]),
        False if directory else option["secret"],
    )


def _body(option: dict[str, Any], lenient: bool) -> bytes:
    if option["copy_of"] is None:
        text: str = option["content"]
        return text.encode()
    original = look(option["copy_of"], follow=True)
    if original.kind != "file" and not lenient:
        raise ConfigFilesError(
            f"{option['path']} is a copy of {original.path}, which is no file on this host. Create"
            " that first, or name another."
        )
    return original.body


def _number(path: str, what: str, name: str, lenient: bool) -> int:
    try:
        return pwd.getpwnam(name).pw_uid if what == "user" else grp.getgrnam(name).gr_gid
    except KeyError:
        if name.isdigit():
            return int(name)
        if lenient:
            return -1
        raise ConfigFilesError(
            f"{path}: this host has no {what} {name}. Install the package that creates it first, "
            f"or name another {'owner' if what == 'user' else 'group'}."
        ) from None


def _mode(path: str, text: str) -> int:
    """Four digits exactly: a YAML integer such as 0640 without quotes arrives here as 416."""
    if not re.fullmatch("[0-7]{4}", text):
        raise ConfigFilesError(f'{path}: mode {text} is not four octal digits in quotes ("0640").')
    return int(text, 8)


def refuse_impossible(directories: list[Entry], files: list[Entry], *, lenient: bool) -> None:
    """Look for what would fail half way, before anything is touched."""
    seen: set[str] = set()
    for entry in directories + files:
        if entry.path in seen:
            raise ConfigFilesError(f"{entry.path} is named twice. Every path has one entry.")
        seen.add(entry.path)
    for entry in directories:
        if look(entry.path, follow=True).kind not in ("absent", "directory"):
            raise ConfigFilesError(f"{entry.path} exists and is no directory. Move it away.")
    for entry in files:
        found = look(entry.path)
        if found.kind in ("directory", "other"):
            what = "a directory" if found.kind == "directory" else "no regular file"
            raise ConfigFilesError(f"{entry.path} is {what}. Move it away, or choose another path.")
    for entry in directories + files:
        parent = os.path.dirname(entry.path)
        expected = lenient or entry.kind == "absent" or parent in seen
        if not expected and not os.path.isdir(parent):
            raise ConfigFilesError(
                f"{entry.path}: the directory {parent} does not exist. Name it under directories, "
                "or install the package that creates it first."
            )


def difference(wanted: Entry, found: Entry) -> list[dict[str, Any]]:
    """The change of one path for C(--diff): what it holds, then who may do what with it."""
    shown: list[dict[str, Any]] = []
    header = {"before_header": wanted.path, "after_header": wanted.path}
    if (wanted.kind, wanted.body) != (found.kind, found.body):
        before, after = _describe(found, wanted.secret), _describe(wanted, wanted.secret)
        if before == after:
            after = "(other content, not shown)\n"
        shown.append({**header, "before": before, "after": after})
    if wanted.kind in ("file", "directory"):
        # A new file is compared with nothing, so that the modes it gets are shown as well.
        rights = [_rights(entry) if entry.kind == wanted.kind else {} for entry in (found, wanted)]
        if rights[0] != rights[1]:
            shown.append({**header, "before": rights[0], "after": rights[1]})
    return shown


def _describe(entry: Entry, secret: bool) -> str:
    if entry.kind == "link":
        return f"link to {os.fsdecode(entry.body)}\n"
    if entry.kind == "file":
        return HIDDEN if secret else entry.body.decode(errors="replace")
    return "directory\n" if entry.kind == "directory" else ""


def _rights(entry: Entry) -> dict[str, Any]:
    return {"uid": entry.uid, "gid": entry.gid, "mode": f"{entry.mode:04o}"}


def checker(module: AnsibleModule) -> Callable[[], None]:
    """The check of the task as a function that raises when the program says no."""
    argv, ok_codes = module.params["check"]["argv"], module.params["check"]["ok_codes"]
    noise = module.params["check"]["noise"] or "(?!)"

    def check() -> None:
        rc, stdout, stderr = module.run_command(argv, handle_exceptions=False)
        if rc not in ok_codes:
            heard = [re.sub(noise, "", text, flags=re.S).strip() for text in (stdout, stderr)]
            said = "\n".join(text for text in heard if text)
            raise Refused(
                f"`{' '.join(argv)}` refused the new files (exit code {rc}), so the previous ones "
                f"are back in place. It said:\n{said or '(nothing)'}",
                rc,
                stdout,
                stderr,
            )

    return check


def unread_files(module: AnsibleModule, files: list[Entry], notes: list[Entry]) -> list[str]:
    """Paths that were written after a service read them, or after the product was made of them.

    What was removed shows in the list of all that the set has, ``notes``.
    """
    paths = [file.path for file in files]
    product = module.params["product"]
    if product is not None and os.path.exists(product):
        made = os.stat(product).st_mtime
        there = [path for path in paths if os.path.lexists(path)]
        unread = [path for path in there if os.lstat(path).st_ctime > made]
        if unread:
            return unread
    readers = services.look(module, module.params["reader"])
    moments = [each.read for each in readers if each.active == "active"]
    paths += [note.path for note in notes]
    return services.newer(paths, min(moments)) if moments else []


def rereads(
    module: AnsibleModule, changes: list[tuple[Entry, Entry]], notes: list[Entry]
) -> list[str]:
    """Paths whose change counts after a reload of Prosody; none where one of them needs a restart.

    Nor where Prosody does not run, or has not read what stands there now.
    """
    reread = module.params["reread"]
    if not reread or not all(
        wanted.kind == found.kind == "file"
        and prosody_config.counts_after_reload(
            found.body.decode(errors="replace"), wanted.body.decode(errors="replace"), reread
        )
        for wanted, found in changes
    ):
        return []
    running = [each for each in services.look(module, ["prosody"]) if each.active == "active"]
    if not running:
        return []
    paths = [entry.path for entry in [*(wanted for wanted, _ in changes), *notes]]
    newer = services.newer(paths, running[0].began)
    return [] if prosody_reloads.unread(newer, running[0].started) else paths


def keep_former(module: AnsibleModule, files: list[Entry]) -> None:
    """Keep what these files replace, until it is known that they are good."""
    wanted = {file.path: former.digest_of(file.kind, file.body) for file in files}
    former.keep(wanted, lambda: services.running(module))


def reason_not_to_check(module: AnsibleModule) -> str:
    """Why the check of the task is not run although something changed. Empty when it is."""
    if module.params["check"] is None:
        return "no check is given"
    if module.check_mode:
        return "check mode writes no files"
    required = module.params["check_requires"]
    if required is not None and not os.path.exists(required):
        return f"{required} does not exist on this host"
    return ""


def manifest(name: str, files: list[Entry], also: list[str]) -> Entry:
    """The list of all that the set and its neighbours have, itself a file of the set."""
    bodies = {
        entry.path: entry.body if entry.kind == "file" and not entry.secret else None
        for entry in files
        if entry.kind != "absent"
    }
    content = leftovers.render({**dict.fromkeys(also), **bodies})
    path = leftovers.manifest_of(name)
    return Entry(path, "file", content, os.geteuid(), os.getegid(), 0o600)


def without_a_wish(
    module: AnsibleModule, files: list[Entry], known: dict[str, dict[str, str]]
) -> list[Entry]:
    """Entries that take away what was made for a wish that is gone."""
    wish = module.params["leftovers"]
    wished = {*(entry.path for entry in files), *wish["also"], *wish["keep"]}
    gone = [Entry(path, "absent", secret=True) for path in sorted(known.keys() - wished)]
    return [
        entry for entry in gone if unfinished(entry) or look(entry.path).kind in ("file", "link")
    ]


def apply_keeping(
    module: AnsibleModule,
    directories: list[Entry],
    files: list[Entry],
    check: Callable[[], None],
    known: dict[str, dict[str, str]],
) -> None:
    """`apply`, with copies of what goes for good. `known` are files that had a wish."""
    gone = [entry.path for entry in files if entry.kind == "absent" and entry.path in known]
    edited = [path for path in gone if leftovers.changed_since(path, known[path])]
    folder = leftovers.keep(gone) if gone else None
    try:
        apply(directories, files, check)
    except BaseException:
        if folder:
            shutil.rmtree(folder)
        raise
    if folder:
        leftovers.tell(module, gone, folder, edited)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare, and where something differs, act. Returns the result of the task."""
    lenient = module.check_mode
    directories = [
        parse(option, directory=True, lenient=lenient) for option in module.params["directories"]
    ]
    files = [parse(option, directory=False, lenient=lenient) for option in module.params["files"]]
    wish = module.params["leftovers"]
    known = leftovers.find(module, wish["name"], wish["places"]) if wish else {}
    written = known
    notes = [manifest(wish["name"], files, wish["also"])] if wish else []
    gone = without_a_wish(module, files, known) if wish else []
    known = {entry.path: known[entry.path] for entry in gone}
    files += gone
    refuse_impossible(directories, files, lenient=lenient)

    cut_off = [file for file in files + notes if unfinished(file)]
    if not module.check_mode:
        for file in cut_off:
            undo(file)

    changes = [
        (wanted, found)
        for wanted, found in (
            [(entry, look(entry.path, follow=True)) for entry in directories]
            + [(entry, look(entry.path)) for entry in files]
        )
        if differs(wanted, found)
    ]
    paths = [wanted.path for wanted, _ in changes]
    paths += [file.path for file in cut_off if file.path not in paths]
    unread = [] if paths else unread_files(module, files, notes)
    said = {wanted.path: words_for(wanted, found, written) for wanted, found in changes}
    for file in cut_off:
        said.setdefault(file.path, []).append("half written by a run that was cut off")
    result: dict[str, Any] = {
        "changed": bool(paths or unread),
        "paths": paths,
        "differences": said,
        "unread": unread,
        "rereads": rereads(module, changes, notes) if changes and not cut_off else [],
    }
    if module._diff:  # AnsibleModule has no public name for it
        result["diff"] = [part for change in changes for part in difference(*change)]

    why_not = reason_not_to_check(module) if paths else "nothing changed"
    if paths and not module.check_mode:
        # Alone, a list that is out of date is no reason to do anything
        notes = [entry for entry in notes if differs(entry, look(entry.path))]
        replaced = notes + [wanted for wanted, _ in changes if wanted.kind != "directory"]
        if module.params["keep_former"]:
            keep_former(module, replaced)
        before.note(
            module,
            {file.path: former.digest_of(file.kind, file.body) for file in replaced},
            [wanted.path for wanted, _ in changes if wanted.kind == "directory"],
        )
        for entry in notes:
            os.makedirs(os.path.dirname(entry.path), mode=0o700, exist_ok=True)
        apply_keeping(
            module,
            [wanted for wanted, _ in changes if wanted.kind == "directory"],
            replaced,
            (lambda: None) if why_not else checker(module),
            known,
        )
    return {**result, "checked": not why_not, "unchecked_because": why_not}


_RIGHTS = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
SPEC: dict[str, Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        # Ansible would write every file into the system log of the host.
        "no_log": True,
        "options": {
            **_RIGHTS,
            "content": {"type": "str"},
            "link": {"type": "str"},
            "copy_of": {"type": "path"},
            "state": {"choices": ["present", "absent"], "default": "present"},
            "mode": {"type": "str"},
            "secret": {"type": "bool", "default": False},
        },
        "mutually_exclusive": [_BODIES],
        "required_if": [("state", "present", _BODIES, True)],
        "required_by": {"content": ["mode"], "copy_of": ["mode"]},
    },
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {**_RIGHTS, "mode": {"type": "str", "default": "0755"}},
    },
    "check": {
        "type": "dict",
        "options": {
            "argv": {"type": "list", "elements": "str", "required": True},
            "ok_codes": {"type": "list", "elements": "int", "default": [0]},
            "noise": {"type": "str"},
        },
    },
    "check_requires": {"type": "path"},
    "leftovers": leftovers.SPEC,
    "reader": {"type": "list", "elements": "str", "default": []},
    "product": {"type": "path"},
    "reread": {"type": "dict", "default": {}},
    "keep_former": {"type": "bool", "default": False},
}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    # From here on only what is marked secret is kept out of results, or paths would be masked too.
    module.no_log_values.clear()
    for option in module.params["files"]:
        if option["secret"] and (option["content"] or "").strip():
            module.no_log_values.add(option["content"])
    try:
        module.exit_json(**run(module))
    except Refused as error:
        module.fail_json(msg=str(error), **error.details)
    except (ConfigFilesError, OSError) as error:
        module.fail_json(msg=str(error))

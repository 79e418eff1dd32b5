"""What the module ``prosody_account`` does."""

from __future__ import annotations

import glob
import hashlib
import hmac
import os
import pwd
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import former, leftovers, services
from ansible.module_utils.vestibule.programs import interpreter, reason

DATA = "/var/lib/prosody"  # Prosody's data_path, the directory of its internal storage
# Prosody says nowhere in the file which hash it used: the length of the key in hex digits does.
_HASHES = {40: "sha1", 64: "sha256"}
_JID = re.compile(r"(?:(?P<user>[a-z0-9._-]+)@)?(?P<host>[a-z0-9._-]+)")
_PASSWORD = re.compile(r"[ -~]+")  # SASLprep (RFC 4013) maps printable ASCII to itself
_UNSAFE = re.compile(rb"[^0-9A-Za-z]")

# Sets what the lines of standard input ask for, after the path of prosodyctl on the first line:
# "account", user, host, password or "subscribe", user, host, contact or "remove", user, host and
# anything, with tabs between them. All steps of a host stand together: once another host is
# initialized, Prosody does not find the users of the one before (seen on 0.12 and 13).
# The start is that of prosodyctl: it reads the configuration and becomes the user `prosody`, so
# that files get the right owner. Initializing a host twice would leave it without accounts.
# Subscribing takes the two steps of mod_roster_command: the contact asked, the user agreed.
_LUA = r"""
arg = { [0] = "prosodyctl" };
local function fail(...)
    io.stderr:write(string.format(...), "\n");
    os.exit(1);
end

-- The beginning of prosodyctl finds Prosody's libraries, wherever a package has them
local file = assert(io.open((io.read())));
local script = file:read("*a"):gsub("^#[^\n]*", "");
file:close();
local beginning = script:match("^.-\nstartup%.prosodyctl%(%);");
if not beginning then
    fail("This prosodyctl does not start as those of 0.12 and 13 do.");
end
assert(load(beginning, "=prosodyctl"))();

local rostermanager = require "core.rostermanager";
local storagemanager = require "core.storagemanager";
local usermanager = require "core.usermanager";

local steps = {};
function steps.account(user, host, password)
    if not usermanager.user_exists(user, host) then
        return usermanager.create_user(user, password, host);
    end
    local ok, err = usermanager.set_password(user, password, host);
    if ok and usermanager.enable_user then ok, err = usermanager.enable_user(user, host); end
    return ok, err;
end
function steps.subscribe(user, host, contact)
    rostermanager.set_contact_pending_in(user, host, contact);
    return rostermanager.subscribed(user, host, contact);
end

function steps.remove(user, host)
    return usermanager.delete_user(user, host);
end

local ready = {};
for line in io.lines() do
    local step, user, host, value = line:match("^([^\t]+)\t([^\t]+)\t([^\t]+)\t([^\t]+)$");
    if not prosody.hosts[host] then
        fail("The host %s is not in Prosody's configuration, or not enabled.", host);
    end
    if not ready[host] then
        storagemanager.initialize_host(host);
        usermanager.initialize_host(host);
        ready[host] = true;
    end
    local ok, err = steps[step](user, host, value);
    if not ok then
        fail("The step %s failed for %s@%s: %s", step, user, host, err or "no reason given");
    end
end
"""


class AccountError(Exception):
    """What the operator has to know, as sentences."""


@dataclass(frozen=True)
class _User:
    user: str
    host: str

    @property
    def jid(self) -> str:
        """The address of the user."""
        return f"{self.user}@{self.host}"


@dataclass(frozen=True)
class Account(_User):
    """An account that has to exist with this password."""

    password: str


@dataclass(frozen=True)
class Subscription(_User):
    """A contact that has to see the presence of ``user@host``."""

    contact: str


_LUA_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\\n]|\\(?:[abfnrtv\\"']|\d{1,3}))*")
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<name>return|true|false|nil)
      | (?P<symbol>[][{}=;])
    )""",
    re.VERBOSE | re.ASCII,
)
_LUA_ESCAPE = re.compile(r"\\(\d{1,3}|.)")
_LUA_ESCAPES = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'"))
_LUA_CONSTANTS = {"true": True, "false": False, "nil": None}


class _LuaReader:
    """Reads what Prosody's util.serialization writes: tables of constants, no expressions."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._kind = ""
        self._word = ""
        self._advance()

    def _advance(self) -> None:
        match = _LUA_TOKEN.match(self._text, self._position)
        if match:
            self._kind = str(match.lastgroup)
            self._word = match[self._kind]
            self._position = match.end()
        elif self._text[self._position :].strip():
            raise self._error()
        else:
            self._kind, self._word = "end", ""

    def _error(self) -> ValueError:
        # The offset and not the text: the files hold keys
        return ValueError(f"unexpected text near offset {self._position}")

    def _take(self, word: str) -> bool:
        found = self._kind in ("symbol", "name") and self._word == word
        if found:
            self._advance()
        return found

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._error()

    def document(self) -> dict[Any, Any]:
        self._expect("return")
        value = self._value()
        self._take(";")
        if self._kind != "end" or not isinstance(value, dict):
            raise self._error()
        return value

    def _value(self) -> Any:
        if self._take("{"):
            return self._table()
        kind, word = self._kind, self._word
        self._advance()
        if kind == "string":
            return unescape(word[1:-1])
        if kind == "number":
            return int(word) if word.lstrip("-").isdigit() else float(word)
        if kind == "name" and word in _LUA_CONSTANTS:
            return _LUA_CONSTANTS[word]
        raise self._error()

    def _table(self) -> dict[Any, Any]:
        table: dict[Any, Any] = {}
        position = 1
        while not self._take("}"):
            if self._take("["):
                key = self._value()
                self._expect("]")
                self._expect("=")
            else:
                key = position
                position += 1
            if isinstance(key, dict) or key is None:
                raise self._error()
            table[key] = self._value()
            self._expect(";")
        return table


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code)) if code.isdigit() else _LUA_ESCAPES[code]


def unescape(text: str) -> str:
    """What stands between the quotes of a Lua string."""
    return _LUA_ESCAPE.sub(_unescape, text)


def lua_text(text: str) -> str:
    """The same of a configuration file, whose bytes are UTF-8."""
    literal = text.encode("utf-8", "surrogateescape").decode("latin-1")
    return unescape(literal).encode("latin-1").decode("utf-8", "replace")


def parse_lua_data(text: str) -> dict[Any, Any]:
    """The table in a data file of Prosody (util/datamanager.lua), bytes as Latin-1 characters.

    Raises ValueError, without quoting the text, for anything that is not plain data.
    """
    return _LuaReader(text).document()


def data_file(data_path: str, host: str, store: str, user: str) -> Path:
    """Where Prosody keeps ``store`` of ``user@host`` (getpath in util/datamanager.lua)."""

    def encode(name: str) -> str:
        return _UNSAFE.sub(lambda match: b"%%%02x" % match[0][0], name.encode()).decode()

    return Path(data_path, encode(host), store, f"{encode(user)}.dat")


def scram_keys(password: str, salt: str, iterations: int, algorithm: str) -> tuple[str, str]:
    """StoredKey and ServerKey in hex (RFC 5802 section 3)."""
    salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt.encode("latin-1"), iterations)
    client_key = hmac.digest(salted, b"Client Key", algorithm)
    server_key = hmac.digest(salted, b"Server Key", algorithm)
    return hashlib.new(algorithm, client_key).hexdigest(), server_key.hex()


def password_is_current(stored: dict[Any, Any], password: str) -> bool:
    """Whether ``password`` logs in to the account ``stored``: ``{salt, iteration_count, …}``."""
    salt, iterations = stored.get("salt"), stored.get("iteration_count")
    keys = (stored.get("stored_key"), stored.get("server_key"))
    algorithm = _HASHES.get(len(str(keys[0])))
    if stored.get("disabled") or not algorithm or not isinstance(iterations, int):
        return False
    return isinstance(salt, str) and keys == scram_keys(password, salt, iterations, algorithm)


def sees_user(roster: dict[Any, Any], contact: str) -> bool:
    """Whether ``contact`` sees the presence of the owner of ``roster``, RFC 6121 2.1.2.5."""
    item = roster.get(contact)
    return isinstance(item, dict) and item.get("subscription") in ("from", "both")


def _split(jid: str) -> tuple[str, str]:
    match = _JID.fullmatch(jid)
    if not match or not match["user"]:
        raise AccountError(
            f"{jid!r} is no address of an account. Write user@host in lower case, without a"
            " resource, e.g. focus@auth.meet.example.org."
        )
    return match["user"], match["host"]


def read_accounts(passwords: dict[str, Any]) -> list[Account]:
    """The parameter ``accounts``, checked."""
    accounts = []
    for jid, password in passwords.items():
        user, host = _split(jid)
        if not isinstance(password, str) or not _PASSWORD.fullmatch(password):
            raise AccountError(
                f"The password of {jid} is not a text of printable ASCII characters. Quote it in"
                " YAML, or choose another one, e.g. from `openssl rand -base64 32`."
            )
        accounts.append(Account(user, host, password))
    return accounts


def read_subscriptions(entries: list[dict[str, str]]) -> list[Subscription]:
    """The parameter ``roster``, checked."""
    subscriptions = []
    for entry in entries:
        if not _JID.fullmatch(entry["contact"]):
            raise AccountError(
                f"{entry['contact']!r} is no address of a contact. Write host or user@host in lower"
                " case, without a resource, e.g. focus.meet.example.org."
            )
        subscriptions.append(Subscription(*_split(entry["user"]), entry["contact"]))
    return subscriptions


class Storage:
    """Prosody's internal storage, read only."""

    def __init__(self, data_path: str) -> None:
        self._data_path = data_path

    def load(self, user: str, host: str, store: str) -> dict[Any, Any] | None:
        """The stored table, None where there is none."""
        path = data_file(self._data_path, host, store, user)
        try:
            return parse_lua_data(path.read_bytes().decode("latin-1"))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise AccountError(f"{path} cannot be read. Run the task as root (become).") from error
        except (OSError, ValueError) as error:
            raise AccountError(
                f"{path} is not what Prosody writes ({error}). Move it away and run again: it is"
                " then made anew."
            ) from error

    def account_state(self, account: Account) -> str:
        """What has to happen: ``unchanged``, ``created`` or ``password_changed``."""
        stored = self.load(account.user, account.host, "accounts")
        if stored is None:
            return "created"
        return "unchanged" if password_is_current(stored, account.password) else "password_changed"

    def roster_state(self, entry: Subscription) -> str:
        """What has to happen: ``unchanged`` or ``subscribed``."""
        roster = self.load(entry.user, entry.host, "roster") or {}
        return "unchanged" if sees_user(roster, entry.contact) else "subscribed"


def render_steps(
    prosodyctl: str,
    accounts: list[Account],
    subscriptions: list[Subscription],
    removed: list[Account],
) -> str:
    """Standard input for the Lua program."""
    steps = [("account", each.user, each.host, each.password) for each in accounts]
    steps += [("subscribe", each.user, each.host, each.contact) for each in subscriptions]
    steps += [("remove", each.user, each.host, "-") for each in removed]
    steps.sort(key=lambda step: step[2])  # stable: accounts first
    return "".join(f"{line}\n" for line in [prosodyctl, *("\t".join(step) for step in steps)])


# State to what the diff says before and after
_ACCOUNT_WORDS = {
    "created": ("no account", "account, password set"),
    "password_changed": ("account, other password", "account, password changed"),
    "removed": ("account", "no account"),
}


def render_diff(accounts: dict[Account, str], roster: dict[Subscription, str]) -> dict[str, str]:
    """Ansible's diff of all that differs, without any secret."""
    lines = [
        [f"{each.jid}: {words}" for words in _ACCOUNT_WORDS[state]]
        for each, state in accounts.items()
        if state != "unchanged"
    ]
    lines += [
        [f"{each.jid}: {words} {each.contact}" for words in ("hidden from", "seen by")]
        for each, state in roster.items()
        if state != "unchanged"
    ]
    before, after = ("".join(f"{line[side]}\n" for line in lines) for side in (0, 1))
    return {"before": before, "after": after}


def apply(
    module: AnsibleModule,
    accounts: list[Account],
    subscriptions: list[Subscription],
    removed: list[Account],
) -> None:
    """Lets Prosody's own code write the accounts and roster entries."""
    prosodyctl = module.get_bin_path("prosodyctl")
    if prosodyctl is None:
        raise AccountError("Prosody is not installed: there is no prosodyctl. Install it first.")
    lua = interpreter(Path(prosodyctl).read_text(encoding="utf-8"))
    if not lua:
        raise AccountError("prosodyctl does not name its interpreter in the first line.")
    done = subprocess.run(
        [*lua, "-e", _LUA],
        input=render_steps(prosodyctl, accounts, subscriptions, removed),
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        said = reason(done.stderr or done.stdout) or "it gave no reason"
        raise AccountError(f"Prosody did not store the accounts: {said}")


def decode(name: str) -> str:
    """The name of a host or user in the name of its folder or file."""
    return re.sub("%([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), name)


def left_over(patterns: list[str], wished: set[str]) -> list[Account]:
    """Accounts like ``focus@auth.*`` that nobody wishes for, as after another domain."""
    found = []
    for pattern in patterns:
        user, _, host = pattern.partition("@")
        paths = Path(DATA).glob(str(data_file("", host, "accounts", user)).replace("%2a", "*"))
        for path in sorted(paths):
            jid = f"{decode(path.stem)}@{decode(path.parent.parent.name)}"
            if _JID.fullmatch(jid) and jid not in wished:
                found.append(Account(*_split(jid), ""))
    return found


def keep_copies(module: AnsibleModule, removed: list[Account]) -> None:
    """Copies of accounts that go, and words for it."""
    stores = ("accounts", "roster")
    folder = leftovers.keep(
        str(data_file(DATA, each.host, store, each.user)) for each in removed for store in stores
    )
    leftovers.tell(module, [each.jid for each in removed], folder, [])


def remove_unserved(accounts: list[Account]) -> None:
    """Remove accounts of hosts that Prosody no longer has, so that it cannot do it itself."""
    for each in accounts:
        for store in ("roster", "accounts"):
            path = data_file(DATA, each.host, store, each.user)
            path.unlink(missing_ok=True)
            for folder in (path.parent, path.parent.parent):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()


def of_others(folder: str) -> list[str]:
    """Folders and data of Prosody that belong to somebody else, so that it cannot write there."""
    try:
        user = pwd.getpwnam("prosody").pw_uid
    except KeyError:
        return []
    found = [folder] if os.path.isdir(folder) else []
    for kind in ("crt", "key"):
        found += glob.glob(os.path.join(folder, f"*.{kind}"))
    # Data are in a folder a host; modules of the operator's own may be beside these
    for host in glob.glob(os.path.join(folder, "*%2e*", "")):
        for place, _, names in os.walk(host.rstrip("/")):
            found += [place, *(os.path.join(place, name) for name in names)]
    return [path for path in found if os.lstat(path).st_uid != user]


def give_to_prosody(paths: list[str]) -> None:
    """Let Prosody have what is its own, and follow no link to something else."""
    user = pwd.getpwnam("prosody")
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compares, changes what differs, and reads it back."""
    accounts = read_accounts(module.params["accounts"])
    subscriptions = read_subscriptions(module.params["roster"])
    storage = Storage(DATA)
    unwanted = [Account(*_split(jid), "") for jid in module.params["absent"]]
    for jid in {each.jid for each in unwanted} & {each.jid for each in accounts}:
        raise AccountError(f"{jid} is in accounts and in absent. Remove it from one.")
    unwanted += left_over(module.params["leftovers"], {each.jid for each in accounts + unwanted})
    removed = [one for one in unwanted if storage.load(one.user, one.host, "accounts")]
    served = module.params["hosts"]
    unserved = [one for one in removed if served is not None and one.host not in served]

    account_states = {each: storage.account_state(each) for each in accounts}
    roster_states = {each: storage.roster_state(each) for each in subscriptions}
    for each in subscriptions:
        listed = any(account.jid == each.jid for account in accounts)
        if not listed and storage.load(each.user, each.host, "accounts") is None:
            raise AccountError(f"{each.jid} is in roster but has no account. List it in accounts.")

    new_accounts = [each for each, state in account_states.items() if state != "unchanged"]
    new_subscriptions = [each for each, state in roster_states.items() if state != "unchanged"]
    strange = of_others(DATA)
    changed = bool(new_accounts or new_subscriptions or removed or strange)
    if strange and not module.check_mode:
        give_to_prosody(strange)
    if changed and not module.check_mode:
        if module.params["keep_former"]:
            touched = {data_file(DATA, each.host, "accounts", each.user) for each in new_accounts}
            touched |= {data_file(DATA, each.host, "accounts", each.user) for each in removed}
            touched |= {
                data_file(DATA, each.host, "roster", each.user)
                for each in [*new_subscriptions, *removed]
            }
            what = dict.fromkeys(map(str, touched), former.WHATEVER)
            former.keep(what, lambda: services.running(module))
        if removed:
            keep_copies(module, removed)
        remove_unserved(unserved)
        served_ones = [one for one in removed if one not in unserved]
        if new_accounts or new_subscriptions or served_ones:
            apply(module, new_accounts, new_subscriptions, served_ones)
        lost = {each.jid for each in new_accounts if storage.account_state(each) != "unchanged"}
        lost |= {
            each.jid for each in new_subscriptions if storage.roster_state(each) != "unchanged"
        }
        lost |= {one.jid for one in removed if storage.load(one.user, one.host, "accounts")}
        if lost:
            raise AccountError(
                f"Prosody took the data of {', '.join(sorted(lost))}, but it is not in"
                f' {DATA}. Set storage = "internal" and authentication = "internal_hashed" for'
                " these hosts, and leave data_path as it is."
            )
    return {
        "changed": changed,
        "accounts": [
            {"jid": each.jid, "state": state}
            for each, state in [*account_states.items(), *((one, "removed") for one in removed)]
        ],
        "roster": [
            {"user": each.jid, "contact": each.contact, "state": s}
            for each, s in roster_states.items()
        ],
        "restart_needed": bool(new_subscriptions),
        "diff": render_diff({**account_states, **dict.fromkeys(removed, "removed")}, roster_states),
    }


SPEC: dict[str, Any] = {
    "accounts": {"type": "dict", "default": {}, "no_log": True},
    "absent": {"type": "list", "elements": "str", "default": []},
    "leftovers": {"type": "list", "elements": "str", "default": []},
    "hosts": {"type": "list", "elements": "str"},
    "roster": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "user": {"type": "str", "required": True},
            "contact": {"type": "str", "required": True},
        },
    },
    "keep_former": {"type": "bool", "default": False},
}


def main() -> None:
    """Ansible's shell around `run`."""
    module = AnsibleModule(
        argument_spec=SPEC,
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except AccountError as error:
        module.fail_json(msg=str(error))

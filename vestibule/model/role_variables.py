"""The variables of roles that an operator sets: what each may be, and the sentence for what is not.

Types and choices are those of ``roles/<role>/meta/argument_specs.yml``. What these cannot say is
here: ranges, forms of text, and what two variables must not be together.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from vestibule.model import ModelError, beside
from vestibule.model.features import LOADER
from vestibule.numbers import changed_number
from vestibule.values import type_name

_SECONDS_A_DAY = 86400
_DEBUG_DAYS = 7
LEAST_MEMORY = 256  # megabytes for Java
_MAX_LINE = 200  # characters that people read in one line or two
_MAX_PATH = 1000  # characters; Linux has 4096 in all, and names are added to ours
# What configures a file system, a shell or a list of folders as well is left out
_PATH = re.compile(r"/[A-Za-z0-9._+@~,=-]+(/[A-Za-z0-9._+@~,=-]+)*/?")
_ADDRESS_OF_REPOSITORY = re.compile(r"(https?|file)://[!#$%&*+,./0-9:=?@A-Z\[\]_a-z~-]{1,2000}")
_HTTPS = re.compile(r"https://[!#$%&*+,./0-9:=?@A-Z\[\]_a-z~-]{1,2000}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+._@-]{0,99}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# What certbot takes, and no option of it
_MAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9_.@+-]{0,99}")
_PROGRAM = re.compile(r"[a-z0-9/][A-Za-z0-9/_.+-]{0,99}")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9._+-]+)*/?")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_VERSION = re.compile(r"[0-9]{1,5}(\.[0-9]{1,5}){0,3}")
_ORIGIN = re.compile(r"https?://(\*\.)?[a-z0-9]([a-z0-9.-]{0,252})(:[0-9]{1,5})?")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:%-]{0,252})")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}")
_SIZE = re.compile(r"([1-9][0-9]{0,5})([kK]?)")
_RATE = re.compile(r"([1-9][0-9]{0,8}) ?([kmgKMG]?[bB])(?:its?|ytes?)?/s")
_BURST = re.compile(r"([1-9][0-9]{0,3}) ?s")
# Options of features, which the model has checked
WEB_PORTS = ("jitsi_web_port", "jitsi_web_proxy_port", "jitsi_turn_tls_port")
TURN_TLS_PORT = 5349  # by default
OPTIONS = (*WEB_PORTS, "jitsi_certificate", "jitsi_features", "jitsi_features_off")
_PORTS_OF_OTHERS = {
    22: "SSH",
    80: "nginx",
    5269: "Prosody's other servers",
    5281: "Prosody's HTTPS",
    5347: "Prosody's components",
    8080: "a bridge's own HTTP",
    8888: "Jicofo",
    9090: "a bridge's WebSockets",
}
# Of the system, and nobody's place for anything else
_SYSTEM = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin"),
    *("/sys", "/usr/bin", "/usr/lib", "/usr/sbin", "/var/log", "/var/run"),
    *("/tmp", "/var/tmp"),  # noqa: S108 — nothing is written there
)
# Nobody's business, with what is above them. None of them is where a web client belongs.
_NOT_SERVED = (
    *_SYSTEM,
    *("/home", "/root", "/usr/local/bin", "/usr/local/etc", "/usr/local/lib"),
    *("/usr/local/share/vestibule", "/var/backups", "/var/cache", "/var/lib", "/var/mail"),
    "/var/spool",
)
# Not themselves, as everything else is below them as well
_TOO_WIDE = frozenset({"/media", "/mnt", "/opt", "/srv", "/usr/local/share", "/usr/share"})
_TOP = frozenset({"/home", "/opt", "/root", "/srv", "/usr", "/var"})
_NO_BACKUPS = (*_SYSTEM, "/var/lib/prosody")
_SESSIONS = ("c2s", "s2sin", "s2sout", "component")

Check = Callable[[str, Any], None]


def _words(variable: str, said: str, remedy: str) -> ModelError:
    return ModelError(f"{variable} {said} {remedy}")


def _text(variable: str, value: Any, example: str) -> str:
    if not isinstance(value, str):
        raise _words(
            variable,
            f"is of type {type_name(value)}, not a text.",
            f'Put it in quotes, e.g. {variable}: "{example}".',
        )
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in value):
        raise _words(
            variable,
            "has a line break or another control character.",
            f'Remove it, e.g. {variable}: "{example}".',
        )
    return value


def _form(form: re.Pattern[str], example: str, description: str, empty: bool = False) -> Check:
    """A text of one form."""

    def check(variable: str, value: Any) -> None:
        text = _text(variable, value, example)
        if not (empty and text == "") and not form.fullmatch(text):
            raise _words(
                variable, f"is not {description}.", f'Write it as in {variable}: "{example}".'
            )

    return check


def _whole(least: int, most: int, example: int) -> Check:
    """A whole number in a range."""

    def check(variable: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _words(
                variable,
                f"must be a whole number without quotes, not of type {type_name(value)};",
                f"on the command line, -e '{{\"{variable}\": {example}}}'.",
            )
        if value < least:
            raise _words(variable, f"is {value}.", f"Set it to {least} or more.")
        if value > most:
            raise _words(variable, f"is {value}.", f"Set it to {most} or less.")

    return check


def _truth(variable: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise _words(
            variable,
            "must be true or false, without quotes;",
            f"on the command line, -e '{{\"{variable}\": true}}'.",
        )


def _truth_or_word(variable: str, value: Any) -> None:
    """Of which ``-e`` makes a text that the role takes as well."""
    if value not in ("true", "false"):
        _truth(variable, value)


def _host_path(variable: str, value: Any) -> None:
    text = _text(variable, value, "/srv/example")
    if not _PATH.fullmatch(text) or len(text) > _MAX_PATH:
        raise _words(
            variable,
            "is no absolute path of letters, digits and . _ + @ ~ , = -.",
            f"Name a place on the host, e.g. {variable}: /srv/example.",
        )
    if {".", ".."} & set(text.split("/")):
        raise _words(variable, "has . or .. in its path.", "Write the path without them.")


def _host_file_or_nothing(variable: str, value: Any) -> None:
    if value != "":
        _host_path(variable, value)
        if value.endswith("/"):
            raise _words(variable, "is a folder.", "Name the file in it.")


def _trusted(variable: str, value: Any) -> None:
    _host_path(variable, value)
    if not value.endswith(".crt"):
        raise _words(
            variable,
            "does not end in .crt, as certificates to be trusted do.",
            f"Name such a file on the host, e.g. {variable}: /etc/ssl/prosody.crt.",
        )


def _backup(variable: str, value: Any) -> None:
    _host_path(variable, value)
    own = "/" + value.strip("/")
    for each in _NO_BACKUPS:
        if own == each or own.startswith(f"{each}/"):
            raise _words(
                variable,
                f"is in {each}, which forgets files, or whose files programs read.",
                f"Name another folder, e.g. {variable}: /var/backups/vestibule.",
            )
    if own in _TOO_WIDE or (own.count("/") == 1 and own in _TOP):
        raise _words(
            variable,
            "is a folder of the system.",
            f"Name one in it, e.g. {variable}: {own}/vestibule.",
        )


def _version(variable: str, value: Any) -> None:
    _form(_VERSION, "0.12", "a version")(variable, value)
    if [int(each) for each in value.split(".")] < [0, 12]:
        raise _words(
            variable, f"is {value}, and nothing here was tried with less than 0.12.", "Remove it."
        )


def _controller_path(variable: str, value: Any) -> None:
    text = _text(variable, value, "files/example")
    if not text.strip() or len(text) > _MAX_PATH:
        raise _words(variable, "names no place on this controller.", "Name one, or remove it.")


def _key_source(variable: str, value: Any) -> None:
    _controller_path(variable, value)
    if "://" in value and not _HTTPS.fullmatch(value):
        raise _words(
            variable, "is no https address.", "Write one, or name a file on this controller."
        )


def _archive(variable: str, value: Any) -> None:
    if value != "":
        _key_source(variable, value)


def _fingerprint(variable: str, value: Any) -> None:
    text = _text(variable, value, "66A9CD0595D6AFA247290D3BEF8B479E2DC1389C")
    if not _FINGERPRINT.fullmatch(re.sub(r"\s", "", text).upper()):
        raise _words(
            variable,
            "is no fingerprint of a key.",
            "Write its 40 or 64 hexadecimal digits in quotes, as `gpg --show-keys` prints them.",
        )


def _packages(variable: str, value: Any) -> None:
    for name in _list(variable, value, "[nginx]"):
        if not isinstance(name, str) or not _PACKAGE.fullmatch(name):
            raise _words(variable, f"has {name!r}, which is no name of a package.", "Correct it.")


def _command(variable: str, value: Any) -> None:
    """A program with its arguments, which no shell reads."""
    example = "[/usr/local/bin/mint, --for, meet]"
    words = _list(variable, value, example)
    for word in words:
        _text(f"An element of {variable}", word, "--for")
    if words and not _PROGRAM.fullmatch(words[0]):
        raise _words(
            variable,
            f"begins with {words[0]!r}, which is no program.",
            f"Write it as in {variable}: {example}; no shell reads it.",
        )


def _list(variable: str, value: Any, example: str) -> list[Any]:
    if not isinstance(value, list):
        raise _words(
            variable,
            f"is of type {type_name(value)}, not a list.",
            f"Write it as in {variable}: {example}.",
        )
    return value


def _addresses(bracketed: bool, example: str) -> Check:
    """Addresses to listen on; nginx has those of IPv6 in brackets, and Prosody has them plain."""

    def check(variable: str, value: Any) -> None:
        found = _list(variable, value, example)
        if not found:
            raise _words(
                variable, "is empty, so nobody could connect.", f"Write e.g. {variable}: {example}."
            )
        seen = set()
        for each in found:
            address = _address(each, bracketed)
            if address is None:
                raise _words(
                    variable,
                    f"has {each!r}, which is no address of this host.",
                    "Name its addresses alone, without port, name or options, in quotes, e.g."
                    f" {variable}: {example}.",
                )
            if address.is_multicast or (address.version == 4 and int(address) == 0xFFFFFFFF):
                raise _words(
                    variable, f"has {each}, where no program can listen.", "Name one of this host."
                )
            if address in seen:
                raise _words(variable, f"has {each} twice.", "Remove one.")
            seen.add(address)

    return check


def _address(text: Any, bracketed: bool) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not isinstance(text, str):
        return None
    plain = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if (plain != text) != (bracketed and ":" in plain):
        return None
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return None
    return None if "%" in plain else address


def _interfaces(variable: str, value: Any) -> None:
    _addresses(False, '["127.0.0.1"]')(variable, value)
    if not {"127.0.0.1", "0.0.0.0"} & set(value):  # noqa: S104 — looked for, not listened on
        raise _words(
            variable,
            "lacks 127.0.0.1, where Jicofo logs in.",
            f'Write it beside the others, e.g. {variable}: ["127.0.0.1", "192.0.2.1"].',
        )


def _size(variable: str, value: Any) -> None:
    match = _SIZE.fullmatch(_text(variable, value, "8k"))
    number = int(match[1]) * (1024 if match[2] else 1) if match else 0
    if not 1024 <= number <= 65536:
        raise _words(
            variable,
            "must be between 1k and 64k.",
            f"Write bytes, or kilobytes with a k, e.g. {variable}: 8k.",
        )


def _limits(variable: str, value: Any) -> None:
    example = f"{variable}: {{c2s: {{rate: 512kb/s, burst: 2s}}}}"
    if not isinstance(value, dict):
        raise _words(
            variable, f"is of type {type_name(value)}, not a mapping.", f"Write e.g. {example}."
        )
    for kind, limit in value.items():
        here = f"{variable}.{kind}"
        if kind not in _SESSIONS:
            raise ModelError(
                f"{variable} has {kind!r}, which is no kind of connection.{_near(kind, _SESSIONS)}"
                f" Write e.g. {example}."
            )
        if not isinstance(limit, dict) or not {"rate"} <= set(limit) <= {"rate", "burst"}:
            raise ModelError(
                f"{here} has to have a rate, and may have a burst. Write e.g. {example}."
            )
        rate = limit["rate"]
        if not isinstance(rate, str) or not _RATE.fullmatch(rate):
            raise ModelError(
                f"{here}.rate is no rate, and Prosody would take 3000 bytes a second instead. Write"
                f" bytes a second with b, kb, mb or gb, e.g. {example}."
            )
        burst = limit.get("burst", "2s")
        if not isinstance(burst, str) or not _BURST.fullmatch(burst):
            raise ModelError(
                f"{here}.burst is no time, and Prosody would take 2 seconds instead. Write whole"
                f" seconds with an s, e.g. {example}."
            )
    if "c2s" not in value:
        raise ModelError(
            f"{variable} has no limit for c2s, the connections of clients, and Prosody would take"
            f" 10 kB a second. Write e.g. {example}."
        )


def _day(variable: str, value: Any) -> None:
    if value != "" and not _is_day(_text(variable, value, "2026-12-31")):
        raise _words(variable, "is no day.", f'Write it as in {variable}: "2026-12-31".')


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _certificate(variable: str, value: Any) -> None:
    if value != "" and (not isinstance(value, str) or "-----BEGIN CERTIFICATE-----" not in value):
        raise _words(
            variable,
            "is no certificate in PEM form.",
            "Put its text there, with the line -----BEGIN CERTIFICATE-----, or leave it empty.",
        )


def _line(variable: str, value: Any) -> None:
    if len(_text(variable, value, "help@example.org")) > _MAX_LINE:
        raise _words(
            variable,
            f"has {len(value)} characters, and {_MAX_LINE} are room for whom people ask.",
            'Shorten it, e.g. to "help@example.org".',
        )


def _any_text(example: str) -> Check:
    """A text on one line."""

    def check(variable: str, value: Any) -> None:
        _text(variable, value, example)

    return check


def _mapping(fields: Mapping[str, Check], example: str) -> Check:
    """A mapping with exactly these keys, or an empty one."""

    def check(variable: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise _words(
                variable,
                f"is of type {type_name(value)}, not a mapping.",
                f"Write it as in {variable}: {example}.",
            )
        for key in value:
            if key not in fields:
                raise ModelError(
                    f"{variable} has {key!r}, which it does not know.{_near(key, fields)} Write it"
                    f" as in {variable}: {example}."
                )
        for key, field in fields.items():
            if value and value.get(key) in (None, ""):
                raise ModelError(f"{variable} lacks {key}. Write it as in {variable}: {example}.")
            if value:
                field(f"{variable}.{key}", value[key])

    return check


def _private_keys(variable: str, value: Any) -> None:
    example = "{idp-2026: \"{{ lookup('file', '/srv/keys/idp.pem') }}\"}"
    remedy = f"Write it as in {variable}: {example}."
    if not isinstance(value, dict):
        raise _words(variable, f"is of type {type_name(value)}, not a mapping.", remedy)
    for kid, key in value.items():
        if not isinstance(kid, str) or not isinstance(key, str) or "PRIVATE KEY" not in key:
            raise _words(variable, "has what is no private key in PEM form by its kid.", remedy)


def _origins(variable: str, value: Any) -> None:
    for origin in _list(variable, value, "[https://intranet.example.org]"):
        if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
            raise _words(
                variable,
                f"has {origin!r}, which is no origin of a site.",
                f"Write scheme and name alone, e.g. {variable}: [https://intranet.example.org].",
            )


def _root(variable: str, value: Any) -> None:
    if value == "/":
        raise _words(variable, "is /, so nginx would serve every file of the host.", _OWN_FOLDER)
    _host_path(variable, value)
    fault = served_folder_fault(value)
    if fault:
        raise _words(variable, fault, _OWN_FOLDER)


def _memory(variable: str, value: Any) -> None:
    _whole(0, 65536, 2048)(variable, value)
    if 0 < value < LEAST_MEMORY:
        raise _words(
            variable,
            f"is {value} MB, with which no bridge starts.",
            f"Set it to {LEAST_MEMORY} or more, or remove it.",
        )


_OWN_FOLDER = "Name a folder that has the web client and nothing else, as /usr/share/jitsi-meet."


def served_folder_fault(folder: str, secret: Iterable[str] = ()) -> str:
    """Why nginx must not serve a folder, or an empty text. ``secret`` are more that it must not."""
    own = "/" + folder.strip("/")
    if own == "/" or own in _TOO_WIDE:
        return f"is {own}, which has more than a web client."
    for each in (*_NOT_SERVED, *secret):
        if own == each or own.startswith(f"{each}/"):
            return f"is {own}, and what is in {each} is for nobody to read."
        if each.startswith(f"{own}/"):
            return f"is {own}, and so has {each} in it, which is for nobody to read."
    return ""


_PORT = _whole(1024, 65535, 5222)
_SECONDS = _whole(1, 3600, 10)

# What the argument specs cannot say, by variable
CHECKS: Mapping[str, Check] = {
    "jitsi_acme_directory": _form(
        _HTTPS, "https://acme.example.org/directory", "an https address of an authority"
    ),
    "jitsi_acme_email": _form(_MAIL, "admin@example.org", "an address for mail", empty=True),
    "jitsi_acme_dns_hook": _host_file_or_nothing,
    "jitsi_acme_dns_cleanup_hook": _host_file_or_nothing,
    "jitsi_tokens_provider_authority": _host_file_or_nothing,
    "jicofo_package": _form(_PACKAGE, "jicofo", "a name of a package"),
    "jicofo_trusted_certificate": _trusted,
    "jitsi_history_adopt": _truth_or_word,
    "jitsi_history_new_keys": _truth_or_word,
    "jitsi_history_backup": _backup,
    "jitsi_lock_directory": _controller_path,
    "jitsi_upgrade_kept": _whole(1, 20, 3),
    "jitsi_tokens_repository_url": _form(
        _ADDRESS_OF_REPOSITORY, "https://download.jitsi.org", "the address of a repository"
    ),
    "jitsi_tokens_repository_suite": _form(_SUITE, "stable/", "a suite of a repository"),
    "jitsi_tokens_repository_key": _key_source,
    "jitsi_tokens_repository_fingerprint": _fingerprint,
    "jitsi_tokens_plugins_package": _form(_PACKAGE, "jitsi-meet-prosody", "a name of a package"),
    "jitsi_tokens_pacman_repository": _mapping(
        {
            "name": _form(_REPOSITORY, "jitsi", "a name of a repository"),
            "server": _form(_ADDRESS_OF_REPOSITORY, "https://arch.example.org/$arch", "an address"),
            "key": _key_source,
            "fingerprint": _fingerprint,
        },
        "{name: jitsi, server: https://arch.example.org/$arch, key: arch.asc, fingerprint: …}",
    ),
    "jitsi_tokens_aur_helper": _mapping(
        {
            "program": _form(_PROGRAM, "paru", "a name of a program"),
            "user": _form(_USER, "builder", "a name of a user"),
        },
        "{program: paru, user: builder}",
    ),
    "jitsi_tokens_aur_timeout": _whole(60, _SECONDS_A_DAY, 3600),
    "jitsi_tokens_archive": _archive,
    "jitsi_tokens_archive_sha256": _form(
        _SHA256, "<64 hexadecimal digits>", "a SHA-256, as sha256sum prints it", empty=True
    ),
    "jitsi_tokens_archive_cache": _controller_path,
    "jitsi_tokens_extra_packages": _packages,
    "jitsi_verify_address": _form(_HOST, "192.0.2.1", "an address or a name of a host"),
    "jitsi_verify_port": _whole(0, 65535, 443),
    "jitsi_verify_certificate": _certificate,
    "jitsi_verify_report_directory": _controller_path,
    "jitsi_verify_note": _any_text("A rented server"),
    "jitsi_verify_private_keys": _private_keys,
    "jitsi_verify_mint_command": _command,
    "jitsi_verify_mint_issuer": _any_text("https://id.example.org"),
    "jitsi_verify_log_unit": _form(_UNIT, "prosody", "a name of a unit"),
    "jitsi_verify_browser": _form(_PROGRAM, "/usr/bin/chromium", "a program", empty=True),
    "jitsi_verify_timeout": _SECONDS,
    "jitsi_verify_focus_timeout": _SECONDS,
    "jitsi_videobridge_memory": _memory,
    "jitsi_videobridge_package": _form(
        _PACKAGE, "jitsi-videobridge2", "a name of a package", empty=True
    ),
    "jitsi_web_addresses": _addresses(True, '["0.0.0.0", "[::]"]'),
    "jitsi_web_certificate": _host_file_or_nothing,
    "jitsi_web_certificate_key": _host_file_or_nothing,
    "jitsi_web_certificate_authority": _host_file_or_nothing,
    "jitsi_web_embedded_by": _origins,
    "jitsi_web_contact": _line,
    "jitsi_web_package": _form(_PACKAGE, "jitsi-meet-web", "a name of a package", empty=True),
    "jitsi_web_archive": _archive,
    "jitsi_web_archive_sha256": _form(
        _SHA256, "<64 hexadecimal digits>", "a SHA-256, as sha256sum prints it", empty=True
    ),
    "jitsi_web_archive_cache": _controller_path,
    "jitsi_web_root": _root,
    "jitsi_web_default_server": _truth,
    "jitsi_web_worker_connections": _whole(512, 1_000_000, 16384),
    "jitsi_web_connections_per_address": _whole(1, 499_999, 1500),
    "jitsi_web_logins_per_second": _whole(1, 100_000, 50),
    "jitsi_web_crowd_per_second": _whole(1, 100_000, 100),
    "jitsi_web_header_size": _size,
    "prosody_interfaces": _interfaces,
    "prosody_c2s_port": _PORT,
    "prosody_http_port": _whole(1024, 65535, 5280),
    "prosody_limits": _limits,
    "prosody_debug_until": _day,
    "prosody_minimum_version": _version,
    "prosody_clock_tolerance": _whole(1, 300, 30),
    "prosody_extra_packages": _packages,
    "prosody_repository_url": _form(
        _ADDRESS_OF_REPOSITORY, "https://packages.prosody.im/debian", "the address of a repository"
    ),
    "prosody_repository_suite": _form(_SUITE, "bookworm", "a suite of a repository", empty=True),
    "prosody_repository_key": _key_source,
    "prosody_repository_fingerprint": _fingerprint,
}


def _near(name: Any, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


@functools.lru_cache(maxsize=1)
def specs() -> dict[str, dict[str, Any]]:
    """The argument specs of all roles, by variable."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(beside("roles").glob("*/meta/argument_specs.yml")):
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 — a safe loader
        found.update(content["argument_specs"]["main"]["options"])
    return found


def fault(
    given: Mapping[str, Any],
    without_effect: Iterable[str] = (),
    *,
    beside: bool = True,
    turn: bool = True,
) -> str:
    """A sentence about the first variable of a role that is not what it may be, or an empty text.

    ``given`` are those that the operator set, ``without_effect`` those of them that a playbook
    works out, whatever the inventory says. ``beside`` is whether the host has the pages, and
    ``turn`` whether it has a TURN server, unless that is switched off.
    """
    for variable in without_effect:
        return (
            f"{variable} is worked out from jitsi_features and other variables, so setting it in an"
            " inventory changes nothing. Remove it; docs/variables.md lists what can be set."
        )
    known = {name: value for name, value in given.items() if name in specs()}
    try:
        for variable, value in known.items():
            _check(variable, value)
        _check_together(given, beside, turn)
    except ModelError as error:
        return str(error)
    return changed_number(known)


def _check(variable: str, value: Any) -> None:
    spec = specs()[variable]
    if value is None:
        default = f" ({spec['default']})" if spec.get("default") not in (None, "") else ""
        raise _words(
            variable, "has no value.", f"Give it one, or remove it to have its default{default}."
        )
    if "choices" in spec and value not in spec["choices"]:
        raise ModelError(
            f"{variable} is {value!r}, which it does not know.{_near(value, spec['choices'])}"
            f" Choose one of: {', '.join(spec['choices'])}."
        )
    if variable in CHECKS:
        CHECKS[variable](variable, value)


def _check_together(given: Mapping[str, Any], beside: bool, turn: bool) -> None:
    """What each may be, and two or three of them not together. Others have their defaults."""

    def now(variable: str) -> Any:
        return given.get(variable, specs()[variable].get("default"))

    def names(feature: str, variable: str) -> bool:
        listed = given.get(variable)
        return isinstance(listed, list) and feature in listed

    # The model refuses what is no number and no list, and comes later
    web = {name: given.get(name) for name in WEB_PORTS}
    web["jitsi_turn_tls_port"] = given.get("jitsi_turn_tls_port", TURN_TLS_PORT)
    if not turn or names("turn", "jitsi_features_off"):
        del web["jitsi_turn_tls_port"]
    web = {name: port for name, port in web.items() if isinstance(port, int) and port and beside}
    _check_ports(web | {name: now(name) for name in ("prosody_c2s_port", "prosody_http_port")})
    on_443 = names("turn_on_443", "jitsi_features")
    each, word = (4, "four") if on_443 else (2, "two")
    if each * now("jitsi_web_connections_per_address") >= now("jitsi_web_worker_connections"):
        raise ModelError(
            "jitsi_web_connections_per_address is"
            f" {now('jitsi_web_connections_per_address')}, and each takes {word} of the"
            f" {now('jitsi_web_worker_connections')} in jitsi_web_worker_connections, so one"
            " address could take all. Lower the one or raise the other."
        )
    if bool(now("jitsi_web_certificate")) != bool(now("jitsi_web_certificate_key")):
        raise ModelError(
            "Only one of jitsi_web_certificate and jitsi_web_certificate_key is set. Set both to"
            " files on the host, or neither, to get a self-signed certificate."
        )
    if on_443 and not now("jitsi_web_default_server"):
        raise ModelError(
            "jitsi_web_default_server is false, so another site has the port of HTTPS as well, and"
            " turn_on_443 is to hand on what comes there. Remove one of them."
        )
    _check_certificate(
        given.get("jitsi_certificate", "") if beside or turn else "",
        *map(now, ("jitsi_web_certificate", "jitsi_acme_dns_hook", "jitsi_acme_dns_cleanup_hook")),
    )
    secret = [now("jitsi_history_backup"), now("jitsi_web_certificate_key")]
    problem = served_folder_fault(now("jitsi_web_root"), [each for each in secret if each])
    if problem:
        raise _words("jitsi_web_root", problem, _OWN_FOLDER)
    if now("jitsi_tokens_source") == "archive":
        if not now("jitsi_tokens_archive"):
            raise ModelError(
                "jitsi_tokens_source is archive, and jitsi_tokens_archive is empty. Name a tarball"
                " there, or remove jitsi_tokens_source."
            )
        _check_archive("jitsi_tokens_archive", now)
    if now("jitsi_web_archive"):
        _check_archive("jitsi_web_archive", now)
        for other in ("jitsi_web_package", "jitsi_web_root"):
            if given.get(other):
                raise ModelError(
                    f"Both jitsi_web_archive and {other} are set, and the web client comes from one"
                    " place. Remove one."
                )
    if now("jitsi_tokens_pacman_repository") and now("jitsi_tokens_aur_helper"):
        raise ModelError(
            "Both jitsi_tokens_pacman_repository and jitsi_tokens_aur_helper are set. Remove one."
        )
    if now("prosody_log_level") == "debug" and not _debug_ends(now("prosody_debug_until")):
        raise ModelError(
            "prosody_log_level is debug, which writes the key of the tokens into the journal."
            " Choose info; or, while you look for a fault, set prosody_debug_until to one of the"
            f' next {_DEBUG_DAYS} days, e.g. "{_today()}".'
        )


def _check_certificate(source: Any, own: str, hook: str, cleanup: str) -> None:
    if source == "files" and not own:
        raise ModelError(
            "jitsi_certificate is files, and jitsi_web_certificate is empty. Name the file with the"
            " certificate there, and its key in jitsi_web_certificate_key."
        )
    if source in ("self_signed", "acme") and own:
        raise ModelError(
            f"jitsi_certificate is {source}, and jitsi_web_certificate names another certificate."
            " Remove one of them."
        )
    if cleanup and not hook:
        raise ModelError(
            "jitsi_acme_dns_cleanup_hook takes away what jitsi_acme_dns_hook makes, and that is"
            " empty. Name both programs, or neither."
        )


def _check_archive(variable: str, now: Callable[[str], Any]) -> None:
    if now(variable).startswith("https://") and not now(f"{variable}_sha256"):
        raise ModelError(
            f"{variable} is an address, but {variable}_sha256 is empty. Set it to the checksum of"
            " the tarball."
        )


def _check_ports(ports: Mapping[str, int]) -> None:
    taken: dict[int, str] = dict(_PORTS_OF_OTHERS)
    for variable, port in ports.items():
        if port in taken:
            raise ModelError(
                f"{variable} is {port}, which belongs to {taken[port]}. Choose another port."
            )
        taken[port] = variable


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _debug_ends(until: str) -> bool:
    last = _today() + datetime.timedelta(days=_DEBUG_DAYS)
    return until != "" and str(_today()) <= until <= str(last)

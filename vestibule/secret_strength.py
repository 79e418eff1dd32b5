"""Whether a secret can be guessed, by a rule that people can follow by eye.

What it repeats, the names of the server, common words and rows of keys are taken out of it. At
least `LEAST_LEFT` characters have to be left, of which `LEAST_DIFFERENT` differ. What generators of
random text make passes.
"""

from __future__ import annotations

from collections.abc import Iterable

LENGTH = 32  # characters: RFC 7518 section 3.2 asks for a key as long as the hash
LEAST_LEFT = 16  # characters
LEAST_DIFFERENT = 8  # characters
PIECE = 3  # characters: what is shorter repeats in random text as well

_ROWS = (
    *("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "qwertzuiop", "azertyuiop"),
    *("asdfghjkl", "yxcvbnm", "zxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "!@#$%^&*()"),
)
_WORDS = (
    *("admin", "administrator", "application", "audience", "canary", "change", "changeme", "claim"),
    *(
        "company",
        "conference",
        "correct",
        "default",
        "demo",
        "example",
        "focus",
        "hello",
        "iloveyou",
    ),
    *("issuer", "jibri", "jicofo", "jigasi", "jitsi", "keyboard", "letmein", "login", "master"),
    *(
        "meeting",
        "monkey",
        "passphrase",
        "password",
        "passwort",
        "placeholder",
        "private",
        "prosody",
    ),
    *("public", "random", "replace", "sample", "secret", "server", "shared", "string", "superman"),
    *("test", "this", "token", "vestibule", "video", "welcome", "your"),
)
_KNOWN = (*_ROWS, *(row[::-1] for row in _ROWS), *_WORDS)


def weakness(secret: str, public: Iterable[str] = ()) -> str:
    """Why ``secret`` can be guessed, as the end of a sentence, or an empty text.

    ``public`` are names that everybody knows: the domain, the issuer, the audience.
    """
    if len(secret) < LENGTH:
        return f"is shorter than {LENGTH} characters"
    left = _left(secret, public)
    if len(left) < LEAST_LEFT:
        return (
            f"can be guessed: without what it repeats, names of this server, common words and rows"
            f" of keys, {len(left)} of its {len(secret)} characters are left, and {LEAST_LEFT} are"
            " needed"
        )
    if len(set(left)) < LEAST_DIFFERENT:
        return (
            f"can be guessed: it has {len(set(left))} different characters, and {LEAST_DIFFERENT}"
            " are needed"
        )
    return ""


def _left(secret: str, public: Iterable[str]) -> str:
    """The characters that stand in no piece of what was there before, whatever the case."""
    folded = secret.lower()
    if len(folded) != len(secret):  # some letters become two: compare them as they are
        folded = secret
    names = [name.lower() for name in public if len(name) >= PIECE]
    before = "\0".join([*_KNOWN, *names]) + "\0"
    known = before + folded
    left, place = [], 0
    while place < len(secret):
        size = 0
        # What begins earlier may reach over here: aaaa repeats a
        while (
            place + size < len(secret)
            and known.find(folded[place : place + size + 1], 0, len(before) + place + size) >= 0
        ):
            size += 1
        if size < PIECE:
            size = 1
            left.append(secret[place])
        place += size
    return "".join(left)

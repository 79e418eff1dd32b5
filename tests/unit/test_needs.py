"""Which packages have to stay, as something that is not ours needs them."""

from __future__ import annotations

from ansible.module_utils.vestibule.needs import Package, needed, parse_dpkg, parse_pacman

_DPKG = (
    "nginx\tinstalled\thttpd, nginx-full (= 1.26)\tnginx-common (= 1.26), libc6 (>= 2.4)\t\n"
    "nginx-common\tinstalled\t\tdebconf (>= 0.5) | debconf-2.0\t\n"
    "libc6:amd64\tinstalled\t\t\t\n"
    "half\thalf-configured\t\t\t\n"
    "site\tinstalled\t\thttpd | apache2\tbackground\n"
)
_PACMAN = """\
Name            : prosody
Provides        : None
Depends On      : lua  lua-expat>=1.3  sh

Name            : lua
Provides        : lua=5.4
Depends On      : None
"""


def package(*depends: str, recommends: tuple[str, ...] = (), name: str = "") -> Package:
    """A package whose clauses are written with ``|``."""

    def clauses(texts: tuple[str, ...]) -> tuple[frozenset[str], ...]:
        return tuple(frozenset(text.split("|")) for text in texts)

    return Package(frozenset({name}), clauses(depends), clauses(recommends))


def packages(**known: Package) -> dict[str, Package]:
    return {
        name: Package(each.provides - {""} | {name}, each.depends, each.recommends)
        for name, each in known.items()
    }


def test_what_dpkg_says() -> None:
    found = parse_dpkg(_DPKG)
    assert "half" not in found
    assert found["nginx"].provides == {"nginx", "httpd", "nginx-full"}
    assert list(found["nginx"].depends) == [{"nginx-common"}, {"libc6"}]
    assert list(found["nginx-common"].depends) == [{"debconf", "debconf-2.0"}]
    assert list(found["site"].recommends) == [{"background"}]


def test_what_pacman_says() -> None:
    found = parse_pacman(_PACMAN)
    assert found["prosody"].provides == {"prosody"}
    assert list(found["prosody"].depends) == [{"lua"}, {"lua-expat"}, {"sh"}]
    assert found["lua"].provides == {"lua"}


def test_what_nothing_needs_goes() -> None:
    known = packages(jicofo=package("java"), java=package("libc"), libc=package())
    assert needed(known, ["jicofo", "java"], {}, ["libc"]) == {}


def test_what_another_package_needs_stays_with_all_that_it_needs() -> None:
    known = packages(
        theirs=package("java"), java=package("certs"), certs=package(), jicofo=package("java")
    )
    stay = needed(known, ["jicofo", "java", "certs"], {}, [])
    assert stay == {"java": "theirs needs it", "certs": "java needs it"}


def test_of_alternatives_one_is_enough() -> None:
    known = packages(theirs=package("nginx|apache"), nginx=package(), apache=package())
    assert needed(known, ["nginx"], {}, []) == {}
    del known["apache"]
    assert "nginx" in needed(known, ["nginx"], {}, [])


def test_what_provides_it_counts() -> None:
    known = packages(theirs=package("httpd"), nginx=package(name="httpd"))
    assert "nginx" in needed(known, ["nginx"], {}, [])


def test_what_is_in_use_stays_with_what_it_needs() -> None:
    known = packages(java=package("certs"), certs=package(), jicofo=package("java"))
    stay = needed(known, ["jicofo", "java", "certs"], {"java": "it runs"}, [])
    assert stay == {"java": "it runs", "certs": "java needs it"}


def test_what_was_there_before_did_without_what_it_recommends() -> None:
    known = packages(theirs=package(recommends=("nginx",)), nginx=package())
    assert needed(known, ["nginx"], {}, ["theirs"]) == {}
    assert needed(known, ["nginx"], {}, []) == {"nginx": "theirs needs it"}

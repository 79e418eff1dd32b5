"""What Arch does not have was built by the helper, as a user and not as root."""

from __future__ import annotations

from testinfra.host import Host

CACHE = "/home/builder/.cache/aur-stand-in"


def test_the_helper_built_as_its_user_what_arch_does_not_have(host: Host) -> None:
    built = host.file(CACHE).listdir()
    assert {host.file(f"{CACHE}/{name}").user for name in built} == {"builder"}
    # jitsi-meet-prosody-bin as well, unless the plugins come from a tarball
    assert {name.rsplit("-", 3)[0] for name in built} >= {"jicofo-bin", "lua-inspect"}

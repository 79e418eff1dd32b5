"""Which system a host runs, by the names that Ansible's own facts have for it.

``ansible.module_utils.facts`` has a class for that, and brings ninety modules of other facts along,
which takes longer to send, compile and import than all else that is asked of a host.
"""

from __future__ import annotations

from ansible.module_utils import distro
from ansible.module_utils.common.sys_info import get_distribution, get_distribution_version

# Where Ansible's name is not the ID in os-release(5) with a capital letter
_NAMES = {"arch": "Archlinux", "raspbian": "Debian"}
# Where it has no version or no name, as Arch
_NONE = "NA"
# By words of ID and ID_LIKE
_FAMILIES = {"debian": "Debian", "arch": "Archlinux"}


def facts() -> dict[str, str]:
    """Name, version and family of the distribution, of os-release(5)."""
    name = _NAMES.get(distro.id(), str(get_distribution()))
    version = get_distribution_version() or _NONE
    release = distro.os_release_info().get("version_codename") or distro.codename() or _NONE
    alike = [_FAMILIES[each] for each in (distro.id(), *distro.like().split()) if each in _FAMILIES]
    return {
        "distribution": name,
        "distribution_version": version,
        "distribution_major_version": version.partition(".")[0],
        "distribution_release": release,
        "os_family": alike[0] if alike else name,
    }

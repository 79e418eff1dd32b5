#!/usr/bin/python
"""Module ``lua_libraries``: Lua libraries that load in the Lua that runs Prosody."""

from __future__ import annotations

from ansible.module_utils.vestibule.lua_libraries import main

DOCUMENTATION = r"""
module: lua_libraries
short_description: Make installed Lua libraries load in the Lua that runs Prosody
description:
  - Asks the interpreter that runs Prosody to load each library, in one process.
  - Where the package of a library written in Lua has files for other versions of Lua only, links
    such a file into C(/usr/local/share/lua/), where that interpreter looks as well. Debian 12 and
    13 need this for C(lua-basexx) and C(lua-inspect).
  - Fails when a library does not load in the end. Prosody itself would start all the same, without
    the modules that need it.
  - Installs no package and downloads nothing.
options:
  libraries:
    description: Libraries that have to load.
    type: list
    elements: dict
    required: true
    suboptions:
      module:
        description: Name in C(require), for example C(cjson.safe).
        type: str
        required: true
      package:
        description: Package of the distribution that ships the library.
        type: str
        required: true
      pure:
        description:
          - Whether the library is written in Lua alone, so that a file made for another version of
            Lua works. Compiled libraries are never linked.
        type: bool
        default: false
attributes:
  check_mode:
    description: >-
      Tells which links would be made. Packages that are not installed yet, Prosody among them, are
      no failure then.
    support: full
  diff_mode:
    description: Names the links.
    support: full
author: Vestibule contributors
"""

EXAMPLES = r"""
- name: configure | Make the Lua libraries of the token plugins load
  lua_libraries:
    libraries:
      - {module: basexx, package: lua-basexx, pure: true}
      - {module: cjson.safe, package: lua-cjson}
"""

RETURN = r"""
lua_version:
  description: Version of Lua that runs Prosody, empty where Prosody is not installed.
  type: str
  returned: success
  sample: "5.4"
interpreter:
  description: Command that starts that Lua.
  type: str
  returned: success
  sample: /usr/bin/env lua5.4
libraries:
  description: Each library that was asked for.
  type: list
  elements: dict
  returned: success
  contains:
    module:
      description: Name in C(require).
      type: str
    package:
      description: Package that ships it.
      type: str
    state:
      description: C(loads), C(linked) (in check mode, would be) or C(missing).
      type: str
missing:
  description: Names of the libraries that do not load.
  type: list
  elements: str
  returned: success
"""

if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module ``config_files``: install configuration files as one set, or not at all."""

from __future__ import annotations

from ansible.module_utils.vestibule.config_files import main

DOCUMENTATION = r"""
module: config_files
short_description: Install a set of configuration files together, or not at all
description:
  - Writes files, links and directories as one transaction. Either the whole set is in place and
    passes its check, or the previous files are back.
  - Compares first. Where nothing differs, nothing is written and no check is run.
  - Every new file is written beside its target with its final owner and mode, flushed to disk, and
    then renamed into place, so that no program ever reads half a file.
  - A run that is cut off (a crash, a reboot) is noticed and undone by the next run.
options:
  files:
    description: The files and links of the set, in the order in which they are put into place.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path. A link that stands there is replaced, never followed.
        type: path
        required: true
      content:
        description: What the file holds, written as UTF-8.
        type: str
      link:
        description: Make I(path) a symbolic link to this target instead, which need not exist.
        type: str
      copy_of:
        description: File on the host of which I(path) is a copy. In check mode it may be missing.
        type: path
      state:
        description: With V(absent), the file or link is removed.
        type: str
        choices: [present, absent]
        default: present
      owner:
        description: Name or number of the user who owns the file. Links have no owner of interest.
        type: str
        default: root
      group:
        description: Name or number of the group of the file.
        type: str
        default: root
      mode:
        description: >-
          Permissions, four octal digits in quotes. Required with I(content) and I(copy_of).
        type: str
      secret:
        description:
          - Never show what the file holds or held, in no diff, result or system log.
          - The words of I(check) are shown as they are. If that program may quote the file, set
            C(no_log) on the task.
        type: bool
        default: false
  directories:
    description: Directories that must exist, created in this order before the files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path. A link to a directory is followed.
        type: path
        required: true
      owner:
        description: Name or number of the user who owns the directory.
        type: str
        default: root
      group:
        description: Name or number of the group of the directory.
        type: str
        default: root
      mode:
        description: Permissions, four octal digits in quotes.
        type: str
        default: "0755"
  check:
    description: Program that judges the files once all of them are in place.
    type: dict
    suboptions:
      argv:
        description: The program and its arguments.
        type: list
        elements: str
        required: true
      ok_codes:
        description: Exit codes that mean the configuration is good.
        type: list
        elements: int
        default: [0]
      noise:
        description:
          - Regular expression of output that the program always prints and nobody has to read. It
            is left out of the message of a refusal. C(.) also means a line break.
        type: str
  reader:
    description:
      - Services that read the files when they start, or nginx, which also reads them at a reload.
        Where one has done so for the last time before one of the files was written, the task is
        changed, so that it notifies the restart that an earlier run was cut off before.
    type: list
    elements: str
    default: []
  product:
    description:
      - File that a program makes of the files. Where it is older than one of them, the task is
        changed, so that it notifies the making that an earlier run was cut off before.
    type: path
  reread:
    description:
      - By module of Prosody the settings that it reads again when Prosody is told to reload. Where
        nothing but these differs, on hosts that have the module, RV(rereads) says so.
    type: dict
    default: {}
  keep_former:
    description:
      - Keep what is replaced where only root may read it, so that M(former_files) can go back to it
        when the new configuration turns out to be no good, and forget it otherwise.
    type: bool
    default: false
  leftovers:
    description:
      - Take away, in the same transaction, what was put on the host for a wish that is gone. Copies
        are kept in C(/var/backups/vestibule), and a warning names both.
      - What a set has is written down in C(/var/lib/vestibule/files), with SHA-256 of what is no
        secret.
    type: dict
    suboptions:
      name:
        description: Name of the set, the same whatever is wished for.
        type: str
        required: true
      also:
        description: Paths that belong to the set, and that other tasks write.
        type: list
        elements: str
        default: []
      keep:
        description: Paths that stay, whether they belong to the set or not.
        type: list
        elements: str
        default: []
      places:
        description:
          - Where files of the set are, with C(*) for anything, to find those from before they were
            written down. Ours is what says C(Made by Vestibule), and a certificate that signs
            itself and has no other name than its file, with its key.
          - A place without C(*) is ours by its name.
        type: list
        elements: str
        default: []
  check_requires:
    description: Path without which I(check) is skipped, e.g. because the package comes later.
    type: path
attributes:
  check_mode:
    description: Reports what would change. I(check) is not run, as the files are not in place.
    support: full
  diff_mode:
    description: Shows every file before and after, except those marked I(secret).
    support: full
"""

EXAMPLES = r"""
- name: Write the configuration of Prosody, and keep the old one if the new one is wrong
  config_files:
    directories:
      - {path: /etc/prosody/conf.avail, group: prosody, mode: "0750"}
    files:
      - path: /etc/prosody/conf.avail/meet.example.org.cfg.lua
        content: "{{ lookup('ansible.builtin.template', 'hosts.cfg.lua.j2') }}"
        group: prosody
        mode: "0640"
      - path: /etc/prosody/conf.d/meet.example.org.cfg.lua
        link: ../conf.avail/meet.example.org.cfg.lua
      - path: /etc/prosody/conf.d/localhost.cfg.lua
        state: absent
    check: {argv: [prosodyctl, check, config]}
    check_requires: /usr/bin/prosodyctl
"""

RETURN = r"""
paths:
  description: The paths that changed (or would, in check mode), directories first.
  type: list
  elements: str
  returned: success
  sample: [/etc/prosody/conf.avail/meet.example.org.cfg.lua]
differences:
  description: How each of these paths differed, in words that show nothing of what it holds.
  type: dict
  returned: success
  sample: {/etc/prosody/conf.avail/meet.example.org.cfg.lua: ["mode 0644, not 0640"]}
checked:
  description: Whether I(check) was run and found the files good.
  type: bool
  returned: success
unchecked_because:
  description: Why I(check) was not run. Empty when it was.
  type: str
  returned: success
  sample: nothing changed
unread:
  description: Files that are newer than the start of I(reader), or than I(product).
  type: list
  elements: str
  returned: success
rereads:
  description: >-
    Files whose new content counts once Prosody has reloaded, with the list of the set. Empty where
    anything that changed needs a restart, and where Prosody has not read what it replaces.
  type: list
  elements: str
  returned: success
rc:
  description: Exit code of I(check).
  type: int
  returned: when the check refused the files
stdout:
  description: What I(check) wrote to its standard output.
  type: str
  returned: when the check refused the files
stderr:
  description: What I(check) wrote to its standard error.
  type: str
  returned: when the check refused the files
"""

if __name__ == "__main__":
    main()

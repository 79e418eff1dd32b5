"""Lookup ``vestibule_template``: what a template becomes, without a copy of all variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

from vestibule.texts import render_all

DOCUMENTATION = r"""
name: vestibule_template
short_description: Render templates of roles
description:
  - Does what P(ansible.builtin.template#lookup) does, in a tenth of the time, as it does not copy
    every variable of the host for every file.
  - What a role wishes for is also rendered outside of its tasks, where nothing but the name of the
    role says where its templates are.
options:
  _terms:
    description: Templates, each as the name of its role and that of the file in its C(templates).
    type: list
    elements: str
    required: true
notes:
  - Every other option is a variable for the templates.
"""

EXAMPLES = r"""
- name: Write a page
  config_files:
    files:
      - path: /etc/vestibule/web/index.html
        content: "{{ lookup('vestibule_template', 'jitsi_web/page.html.j2', page=it) }}"
        mode: "0644"
"""

RETURN = r"""
_raw:
  description: The texts, in the order of the terms.
  type: list
  elements: str
"""


_ROLES = Path(__file__).resolve().parents[1] / "roles"


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Reads by the loader of the play, and renders with the variables of the task."""

    def run(
        self, terms: list[Any], variables: Mapping[str, Any] | None = None, **more: Any
    ) -> list[str]:
        """The texts of these templates."""
        known = {**(variables or {}), **more}
        templar = self._templar.copy_with_new_env(available_variables=known)
        return render_all(
            _ROLES,
            terms,
            lambda path: trust_as_template(self._loader.get_text_file_contents(path)),
            lambda text: templar.template(text, escape_backslashes=False),
        )

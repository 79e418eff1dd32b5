"""What runs on the controller, and needs no Ansible but where it says so.

``model``        the operator's features compiled into one model of the server
``tokens``       tokens of people, and the links with them
``access``       the access cases, played live
``rendering``    values as Lua literals
``archives``     tarballs of Prosody plugins and of the client (fetched by Ansible's own client)
``secret_store`` what is made once and kept beside the inventory (sealed by Ansible's Vault)
``versions``     what proved good, written down beside the inventory
``secret_strength`` whether a secret can be guessed
``arguments``    the arguments of filters, checked by their documentation
``numbers``      numbers that YAML reads otherwise than they are written (by Ansible's tags)
``values``       what YAML and Ansible hand over, called by names that people know

What people extend lies beside this package: ``features`` and ``contradictions.yml``.
"""

"""What the modules in ``library/`` share. Ansible sends it with them; Python 3.9 alone."""

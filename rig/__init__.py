"""Fresh servers for the demo and the tests: systemd containers reached over SSH.

A server is a privileged podman container in which systemd is PID 1. Its image is made of Debian
packages by mmdebstrap, so no container registry is needed. It is attached to podman's own bridge
and publishes nothing: the machine reaches it by its address, the network does not.

Ubuntu and Arch come as **facsimiles**: Debian servers that look like them to Ansible and to a
package manager. They are called so wherever they appear. ``VESTIBULE_IMAGES=registry`` takes the
real images, where a registry is in reach.

What is kept where:

* ``build/rig/containers/<checkout>`` — podman's storage, apart from the machine's own containers
* ``build/rig/id_ed25519`` — the key that opens the servers
* ``build/rig/hosts/<name>`` — ``address``, ``known_hosts`` and ``ssh_config`` of a running server,
  and ``facsimile``, which is empty or says what the server is in truth
* ``/run/vestibule/<checkout>`` — podman's runtime state and, where one is needed, the namespace

``<checkout>`` is derived from the path of the repository, because podman refuses storage that
has moved: a moved checkout begins with storage of its own.

The modules: ``images`` says what can be booted and makes it, ``servers`` boots it, ``podman`` is
what both run on, ``command_line`` is ``python -m rig``. Nothing that is deployed knows the rig.
"""

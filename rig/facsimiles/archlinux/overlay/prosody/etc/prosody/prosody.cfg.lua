-- Facsimile of what Arch ships: two settings for systemd, of which Prosody 13 does not know the first
-- any more, and a host on which people can log in
daemonize = true
pidfile = "/run/prosody/prosody.pid"

modules_enabled = { "roster", "saslauth", "tls", "dialback", "disco", "posix", "admin_shell", "ping", "register" }
authentication = "internal_hashed"
log = { info = "*syslog" }
certificates = "certs"

VirtualHost "localhost"

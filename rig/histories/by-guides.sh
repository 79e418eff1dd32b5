#!/bin/sh
# What the guides of 2021 add to the packages by hand.
set -eu
sed -i 's/storage = "memory"/storage = "null"/' /etc/prosody/conf.avail/meet.example.org.cfg.lua
echo org.jitsi.jicofo.auth.URL=XMPP:meet.example.org >> /etc/jitsi/jicofo/sip-communicator.properties
mkdir -p /usr/local/share/lua/5.4
echo "return {}" > /usr/local/share/lua/5.4/luajwtjitsi.lua
cat > /usr/share/jitsi-meet/prosody-plugins/mod_token_owner_by_hand.lua <<'LUA'
-- Fetched from somewhere in 2021: whoever has a token owns the room.
module:hook("muc-occupant-pre-join", function (event)
	event.room:set_affiliation(true, event.occupant.bare_jid, "owner");
end);
LUA
cat > /etc/apt/sources.list.d/extra.sources <<'APT'
Types: deb
URIs: http://127.0.0.1:8099/apt
Suites: stable/
Trusted: yes

# Somebody else's
Types: deb
URIs: http://127.0.0.1:8099/apt-of-others
Suites: stable/
Enabled: no
APT
systemctl restart prosody

#!/bin/sh
# Prosody of the distribution, with hosts in its global file and more of them in conf.d.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq --yes --no-install-recommends install prosody nginx
cat > /etc/prosody/prosody.cfg.lua <<'LUA'
modules_enabled = { "roster", "saslauth", "tls", "disco", "bosh", "websocket" }
storage = "null"
http_interfaces = { "*" }
VirtualHost "meet.example.org"
    authentication = "anonymous"
Component "conference.meet.example.org" "muc"
Include "conf.d/*.cfg.lua"
LUA
cat > /etc/prosody/conf.d/chat.example.org.cfg.lua <<'LUA'
VirtualHost "chat.example.org"
    authentication = "anonymous"
LUA
cat > /etc/nginx/conf.d/meet.conf <<'NGINX'
server {
    listen 80;
    server_name www.example.org meet.example.org;
    location / { return 204; }
}
NGINX
# A site of its own behind the name of the package's, and one that only looks related
rm /etc/nginx/sites-enabled/default
printf 'server { listen 8081; server_name shop.example.org; }\n' > /etc/nginx/sites-enabled/default
cat > /etc/nginx/conf.d/beta.conf <<'NGINX'
# server_name meet.example.org;
server { listen 8082; server_name beta.meet.example.org meet.example.org.example.net; }
NGINX
# Jitsi's repository among others, with a key of its own
echo 'deb [trusted=yes] http://127.0.0.1:8099/apt stable/' >> /etc/apt/sources.list
systemctl restart prosody nginx

#!/bin/sh
# Jitsi's packages as they come: their maintainer scripts write the configuration.
set -eu
export DEBIAN_FRONTEND=noninteractive
cat > /etc/apt/sources.list.d/jitsi.list <<'APT'
deb [trusted=yes] http://127.0.0.1:8099/apt stable/
APT
debconf-set-selections <<'DEBCONF'
jitsi-videobridge jitsi-videobridge/jvb-hostname string meet.example.org
jitsi-meet-web-config jitsi-meet/cert-choice select Generate a new self-signed certificate
jitsi-meet-tokens jitsi-meet-tokens/appid string old
jitsi-meet-tokens jitsi-meet-tokens/appsecret password an-old-secret-that-people-know
DEBCONF
apt-get -qq update
apt-get -qq --yes --no-install-recommends install \
  prosody openjdk-21-jre-headless jitsi-meet-prosody jitsi-meet-tokens jicofo

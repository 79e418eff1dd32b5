#!/bin/bash
# Stand-in (test double) for jicofo: not Jitsi's code.
#
# The double needs no Java, but without it the real one would not start.
set -e

settings=/etc/jitsi/jicofo/jicofo.conf
if [[ $JAVA_SYS_PROPS =~ -Dconfig\.file=([^ ]+) ]]; then
    settings=${BASH_REMATCH[1]}
elif [ ! -f "$settings" ]; then
    echo "Stand-in: no $settings" >&2
    exit 2
fi
command -v java > /dev/null || { echo "Stand-in: no java" >&2; exit 127; }
exec python3 "$(dirname "$(readlink -f "$0")")/jicofo.py" "$settings"

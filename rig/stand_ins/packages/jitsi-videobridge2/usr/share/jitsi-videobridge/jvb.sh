#!/bin/bash
# Stand-in (test double) for jitsi-videobridge2: not Jitsi's code.
#
# The double needs no Java, but without it, or with memory that it cannot read, the real one would
# not start.
set -e

if [[ ! $JAVA_SYS_PROPS =~ -Dconfig\.file=([^ ]+) ]]; then
    echo "Stand-in: nobody said where the settings are" >&2
    exit 78
fi
settings=${BASH_REMATCH[1]}
command -v java > /dev/null || { echo "Stand-in: no java" >&2; exit 127; }
if [[ ! ${VIDEOBRIDGE_MAX_MEMORY:-3072m} =~ ^[1-9][0-9]*[kmg]$ ]]; then
    echo "Stand-in: Invalid maximum heap size: -Xmx$VIDEOBRIDGE_MAX_MEMORY" >&2
    exit 1
fi
exec python3 "$(dirname "$(readlink -f "$0")")/jvb.py" "$settings"

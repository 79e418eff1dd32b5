# shellcheck shell=bash
# Sourced by the scripts: one line a step for people, all output in a log.

# Begins the log of a script: open_log NAME
open_log() {
  log=build/logs/$1.log
  mkdir -p "${log%/*}"
  : >"$log"
}

# Seconds since a moment of $EPOCHREALTIME, as 12.3: since MOMENT
since() {
  local microseconds=$((${EPOCHREALTIME/./} - ${1/./}))
  printf '%d.%d' $((microseconds / 1000000)) $((microseconds / 100000 % 10))
}

# What says most about a failure: what Ansible calls fatal, else the last lines.
# excerpt FIRST_BYTE_IN_LOG
excerpt() {
  local output fatal
  output=$(tail -c "+$1" "$log")
  fatal=$(sed -n '/^fatal: /,/^PLAY RECAP/{/^PLAY RECAP/!p}' <<<"$output")
  printf '\n%s\n' "${fatal:-$output}" | tail -n 25 | sed 's/^/    /'
  printf '\n  Full log: %s\n\n' "$log"
}

# Runs a command with its output in the log and prints what it is and how long it took:
# step LABEL COMMAND…
step() {
  local label=$1 began=$EPOCHREALTIME status=0 start
  shift
  printf '  %-46s' "$label"
  printf '\n## %s: %s\n' "$label" "$*" >>"$log"
  start=$(($(wc -c <"$log") + 1))
  "$@" >>"$log" 2>&1 || status=$?
  [[ -z ${times:-} ]] || printf '%s\t%s\n' "$(since "$began")" "$label" >>"$times"
  if ((status == 0)); then
    printf '%8s s\n' "$(since "$began")"
    return
  fi
  printf '%8s s  FAILED\n' "$(since "$began")"
  excerpt "$start"
  return "$status"
}

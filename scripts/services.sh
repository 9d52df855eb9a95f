#!/usr/bin/env bash
# Starts and stops the real servers that tests and campaigns talk to, without a container engine, on loopback.
#
#   scripts/services.sh start [--with PID] [SERVICE…]   prints lines for eval: export QICORE_<SERVICE>_URL=…,
#                                                       of Kafka QICORE_KAFKA_BROKERS=HOST:PORT
#   scripts/services.sh stop|kill|status|clean [SERVICE…]
#
# Services: kafka timescale clickhouse postgres redis; none named means all that are available.
#   start    picks a free port the first time and keeps it; the URL of a running server is just printed
#   --with   kills the server and removes its state once the process PID is gone (all such PIDs, if there are several);
#            a server that ran before without it is left alone
#   stop     ends the server cleanly, kill with SIGKILL; a later start finds the data on the same port
#   clean    removes the state of stopped servers
#
# QICORE_SERVICES_DIR    the folder of the state, target/services by default; each folder has servers of its own
# QICORE_SERVICES_CACHE  the folder of downloads that all states share, target/services-npm by default
# QICORE_<SERVICE>_PORT  a fixed port
# Exits with 2 for what it doesn't know or have, with 1 for what fails.
#
# What each service understands besides is told in scripts/services/SERVICE.sh. A service is one such file with:
#   prepare               installs what is missing and makes the data, in the folder $home; may run again
#   server_command PORT   sets the array $server, which runs detached with its output in $home/log
#   ready PID PORT        true once the server answers
#   url PORT              prints the URL
#   stop_signal           the signal of a clean stop
# and where they differ from what is set here:
#   exported              what the printed variable's name ends with
#   collision PORT        true if another process has a port of the service's
# What it has to keep elsewhere is in a folder /tmp/qicore-… that the file $home/outside names.
set -euo pipefail

known=(kafka timescale clickhouse postgres redis)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=$(realpath -m "${QICORE_SERVICES_DIR:-$root/target/services}")
# shellcheck disable=SC2034 # for the services
cache=$(realpath -m "${QICORE_SERVICES_CACHE:-$root/target/services-npm}")
start_seconds=120
stop_seconds=60
name='' home='' with='' pid=''
server=() stop_signal=TERM exported=URL

say() { echo "services: ${name:+$name: }$*" >&2; }
fail() { say "$@"; exit 1; }
usage() { sed -n '2,/^#   clean/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

# shellcheck source-path=SCRIPTDIR source=services/processes.sh
. "$root/scripts/services/processes.sh"

running() { alive "$home/pid"; }

# One at a time for each service of a state folder. The folder may be removed while this waits.
lock() {
  until
    mkdir -p "$home"
    exec 9>>"$home/lock"
    flock -w 300 9 || fail "another start or stop has not ended for 300 s"
    [ "$home/lock" -ef /proc/self/fd/9 ]
  do :; done
}

launch() { # PORT
  local until=$((SECONDS + start_seconds))
  server_command "$1"
  detach "$home/log" "${server[@]}"
  mark "$pid" >"$home/pid"
  until ready "$pid" "$1"; do
    running || return 1
    [ "$SECONDS" -lt "$until" ] || { kill_hard "$(cat "$home/pid")"; return 1; }
    sleep 0.05
  done
}

print_url() { printf 'export QICORE_%s_%s=%s\n' "${name^^}" "$exported" "$(url "$(cat "$home/port")")" >&3; }

collision() { taken "$1"; } # PORT

start() {
  local fixed=QICORE_${name^^}_PORT port picked='' began=$EPOCHREALTIME
  lock
  own
  if running; then print_url; return; fi
  prepare
  port=${!fixed:-$(cat "$home/port" 2>/dev/null || true)}
  for _ in {1..5}; do
    if [ -z "$port" ]; then
      picked=1
      port=$(free_port)
    elif taken "$port"; then
      fail "port $port is taken by another process: free it, or set $fixed"
    fi
    if launch "$port"; then
      echo "$port" >"$home/port"
      say "started, pid $pid, port $port, after $(((${EPOCHREALTIME/[.,]/} - ${began/[.,]/}) / 1000)) ms"
      print_url
      return
    fi
    # Another state folder may have picked the same port at the same time.
    if [ -z "$picked" ] || ! collision "$port"; then break; fi
    port=''
  done
  tail -n 5 "$home/log" >&2
  fail "did not start; its log is $home/log"
}

end() { # stop|kill
  if [ -d "$home" ]; then lock; fi
  if ! running; then say "not running"; return; fi
  local ended=$pid
  if [ "$1" = kill ]; then
    kill_hard "$(cat "$home/pid")"
  else
    kill "-$stop_signal" "$pid"
    gone_within "$stop_seconds" "$(cat "$home/pid")" || fail "did not stop within $stop_seconds s"
  fi
  rm -f "$home/pid"
  say "$1: process $ended has ended"
}

status() {
  local port
  port=$(cat "$home/port" 2>/dev/null || true)
  if running; then
    echo "$name running pid=$pid port=$port" >&3
  else
    echo "$name stopped${port:+ port=$port}" >&3
  fi
}

clean() {
  [ -d "$home" ] || return 0
  lock
  ! running || fail "is running: stop it first"
  remove "$(cat "$home/outside" 2>/dev/null || true)"
}

remove_outside() { [[ $1 != /tmp/qicore-?*.?????? ]] || rm -rf "$1"; } # FOLDER

remove() { # OUTSIDE
  remove_outside "$1"
  rm -rf "$home"
  rmdir "$state" 2>/dev/null || true
}

# Ties the server to the process of --with: its mark is kept, and a process that outlives this one watches.
own() {
  [ -n "$with" ] || return 0
  if running && [ ! -e "$home/owners" ]; then
    say "ran before and is not tied to process $with"
    return
  fi
  mark "$with" >>"$home/owners"
  if alive "$home/watcher"; then return; fi
  QICORE_SERVICES_DIR=$state detach /dev/null bash "$root/scripts/services.sh" watch "$name"
  mark "$pid" >"$home/watcher"
}

watching() { alive "$home/watcher" && [ "$pid" = $$ ]; }

# Whether this is the watcher and one of the owners is alive. Fails without an owner or a state folder.
wanted() {
  local owner
  watching || return 1
  while read -r owner; do
    if same "$owner"; then return 0; fi
  done <"$home/owners"
  return 1
}

# What has to be ended is kept in mind, as a test may remove the whole state folder itself.
watch() {
  local last='' outside=''
  keep() {
    last=$(cat "$home/pid" 2>/dev/null || true)
    outside=$(cat "$home/outside" 2>/dev/null || true)
  }
  while sleep 0.5; do
    if wanted; then keep && continue; fi
    [ -e "$home/owners" ] || break
    lock # a start that runs ends first, and may bring another owner
    if wanted; then exec 9>&- && continue; fi
    watching || return 0
    keep
    break
  done
  kill_hard "$last"
  if watching; then remove "$outside"; else remove_outside "$outside"; fi
}

main() {
  local verb=${1:-} service names=()
  case $verb in start | stop | kill | status | clean | watch) shift ;; *) usage ;; esac
  while [ $# -gt 0 ]; do
    if [ "$1" = --with ] && [ "$verb" = start ]; then
      with=${2:-}
      started "$with" >/dev/null || { say "--with: there is no process '$with'"; exit 2; }
      shift 2
    elif [[ " ${known[*]} " = *" $1 "* ]]; then
      [ -e "$root/scripts/services/$1.sh" ] || { say "$1: not available yet"; exit 2; }
      names+=("$1")
      shift
    else
      usage
    fi
  done
  if [ ${#names[@]} = 0 ]; then
    for service in "${known[@]}"; do
      [ ! -e "$root/scripts/services/$service.sh" ] || names+=("$service")
    done
  fi
  exec 3>&1 1>&2
  for service in "${names[@]}"; do
    (
      name=$service home=$state/$service
      # shellcheck source=/dev/null
      . "$root/scripts/services/$name.sh"
      case $verb in
        start) start ;;
        stop | kill) end "$verb" ;;
        status) status ;;
        clean) clean ;;
        watch) watch ;;
      esac
    )
  done
}

main "$@"
exit

# shellcheck shell=bash disable=SC2154 # variables of services.sh
# Processes and ports, for services.sh. A process is known by its mark: its id and the instant it started.

# When a process started, in clock ticks since boot. Fails when it is gone; a zombie is gone, unless threads of it still
# end: they hold its ports.
started() { # PID
  local line fields
  [[ $1 =~ ^[0-9]+$ ]] || return 1
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${line##*) }"
  [[ ${fields[0]} != [ZX] || ${fields[17]} -gt 1 ]] && echo "${fields[19]}"
}

mark() { echo "$1 $(started "$1")"; } # PID

# Whether the process of a mark still runs; its id is left in $pid.
same() { # MARK
  local began
  read -r pid began <<<"$1"
  [ -n "$began" ] && [ "$(started "$pid")" = "$began" ]
}

# Whether the process whose mark a file holds still runs; its id is left in $pid.
alive() { # FILE
  [ -e "$1" ] && same "$(cat "$1" 2>/dev/null)"
}

children() { # PID
  local file line fields
  for file in /proc/[0-9]*/stat; do
    { read -r line <"$file"; } 2>/dev/null || continue
    read -ra fields <<<"${line##*) }"
    if [ "${fields[1]}" = "$1" ]; then file=${file%/stat} && mark "${file##*/}"; fi
  done
}

gone_within() { # SECONDS MARK
  local until=$((SECONDS + $1))
  while same "$2"; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.05
  done
}

# Kills a server and the processes it has started, which are looked up while it is stopped and can't start more.
# System V shared memory is not freed with its processes: what the server made goes too.
kill_hard() { # MARK
  local server family member id
  same "$1" || return 0
  server=$pid
  kill -STOP "$server"
  mapfile -t family < <(echo "$1" && children "$server")
  for member in "${family[@]}"; do
    kill -KILL "${member% *}" 2>/dev/null || true
  done
  for member in "${family[@]}"; do
    gone_within "$stop_seconds" "$member" || fail "process ${member% *} does not die"
  done
  [ -r /proc/sysvipc/shm ] || return 0
  while read -r id; do
    ipcrm -m "$id" || true
  done < <(awk -v pid="$server" '$5 == pid && $7 == 0 { print $2 }' /proc/sysvipc/shm)
}

# Runs a command in a session of its own that holds nothing of the caller; its id is left in $pid.
detach() { # LOG COMMAND…
  local log=$1 fd
  shift
  (
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      if [ "$fd" -gt 2 ] && [ "$fd" -lt 255 ]; then exec {fd}>&-; fi
    done
    cd /
    exec setsid "$@" </dev/null >>"$log" 2>&1
  ) &
  pid=$!
}

taken() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; } # PORT

# Below the ports that the kernel gives to outgoing connections, so that none of those sits on it at a restart.
free_port() {
  local port
  for _ in {1..100}; do
    port=$((20000 + RANDOM % 12000))
    taken "$port" || { echo "$port"; return; }
  done
  fail "no free port found"
}

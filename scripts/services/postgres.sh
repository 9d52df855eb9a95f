# shellcheck shell=bash disable=SC2034,SC2154 # variables of services.sh
# PostgreSQL as Debian packages it: a throw-away cluster with a password (SCRAM) and TLS. The certificate is for
# localhost and 127.0.0.1, signed by $home/ca.crt. fsync and synchronous_commit are on. As root the server runs as
# another user, and its folder is put below /tmp where that user can't reach the state folder. Dynamic shared memory is
# kept in the cluster's folder, so that a killed server leaves none elsewhere.
#
# QICORE_POSTGRES_SHARED_BUFFERS  256MB by default
# QICORE_POSTGRES_OPTS            more settings, as `-c name=value` pairs
# QICORE_POSTGRES_STANDBY_OF      the URL of a server of this script: the new cluster is its hot standby
stop_signal=INT

# shellcheck source-path=SCRIPTDIR/../.. source=scripts/services/certificates.sh
. "$root/scripts/services/certificates.sh"

if [ "$(id -u)" = 0 ]; then
  user=postgres
  id -u "$user" >/dev/null 2>&1 || user=nobody
  as_user=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups)
else
  user=''
  as_user=()
fi

programs() {
  local folder
  for folder in "$(pg_config --bindir 2>/dev/null || true)" $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
    if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then echo "$folder"; return; fi
  done
  return 1
}

# Without the cluster that Debian would make and start.
install_package() {
  local folder=/etc/postgresql-common/createcluster.d
  if [ "$(id -u)" != 0 ] || ! type apt-get >/dev/null 2>&1; then
    fail "PostgreSQL's server programs are missing: install the package postgresql"
  fi
  say "installing the package postgresql"
  mkdir -p "$folder"
  echo 'create_main_cluster = false' >"$folder/qicore.conf"
  trap 'rm -f /etc/postgresql-common/createcluster.d/qicore.conf' EXIT
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq -o DPkg::Lock::Timeout=300 postgresql postgresql-client
  rm -f "$folder/qicore.conf"
}

data() { echo "$(cat "$home/outside" 2>/dev/null || echo "$home")/cluster"; }

# The cluster's folder, made under a name of its own until it is complete.
make_cluster() { # PROGRAMS
  local place=$home new
  rm -rf "$home"/new.*
  if [ -n "$user" ] && ! "${as_user[@]}" test -x "$home"; then
    place=$(mktemp -d /tmp/qicore-postgres.XXXXXX)
    echo "$place" >"$home/outside"
    chmod 755 "$place"
  fi
  new=$(mktemp -d "$place/new.XXXXXX")
  certificates "$new"
  if [ -n "${QICORE_POSTGRES_STANDBY_OF:-}" ]; then
    copy_cluster "$1" "$new"
  else
    init_cluster "$1" "$new"
  fi
  mv "$new" "$place/cluster"
}

init_cluster() { # PROGRAMS FOLDER
  (umask 077 && openssl rand -hex 16 >"$home/password")
  cp "$home/password" "$2/password"
  [ -z "$user" ] || chown -R "$user" "$2"
  (cd / && "${as_user[@]}" "$1/initdb" --pgdata="$2/data" --username=postgres --pwfile="$2/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync) >>"$home/log" 2>&1 ||
    { tail -n 5 "$home/log" >&2; fail "initdb failed; its log is $home/log"; }
  rm "$2/password"
}

# A standby has its primary's passwords.
copy_cluster() { # PROGRAMS FOLDER
  local password=${QICORE_POSTGRES_STANDBY_OF#*://*:}
  (umask 077 && echo "${password%%@*}" >"$home/password")
  [ -z "$user" ] || chown -R "$user" "$2"
  (cd / && PGCONNECT_TIMEOUT=10 "${as_user[@]}" "$1/pg_basebackup" --dbname="$QICORE_POSTGRES_STANDBY_OF" --pgdata="$2/data" \
    --write-recovery-conf --checkpoint=fast --no-sync) >>"$home/log" 2>&1 ||
    { tail -n 5 "$home/log" >&2; fail "pg_basebackup failed; its log is $home/log"; }
}

# A postmaster.pid that a killed server left stops the next one while backends of the killed one still end, which is
# waited for, and when its process id is a stranger's by now, for which it is removed.
clear_traces() {
  local file process
  file=$(data)/data/postmaster.pid
  [ -e "$file" ] || return 0
  for _ in {1..100}; do
    for process in /proc/[0-9]*/cwd; do
      [ ! "$process" -ef "$(data)/data" ] || { sleep 0.1; continue 2; }
    done
    rm -f "$file"
    return
  done
  fail "processes of an earlier server still work in $(data)/data"
}

prepare() {
  local bin
  if ! bin=$(programs); then
    install_package
    bin=$(programs) || fail "the package postgresql has brought no server programs"
  fi
  [ -d "$(data)" ] || make_cluster "$bin"
  clear_traces
}

server_command() { # PORT
  local cluster more
  cluster=$(data)
  read -ra more <<<"${QICORE_POSTGRES_OPTS:-}"
  server=("${as_user[@]}" "$(programs)/postgres" -D "$cluster/data" -c "port=$1" -c listen_addresses=127.0.0.1
    -c unix_socket_directories= -c max_connections=100 -c max_wal_size=2GB
    -c dynamic_shared_memory_type=mmap
    -c "shared_buffers=${QICORE_POSTGRES_SHARED_BUFFERS:-256MB}"
    -c ssl=on -c "ssl_cert_file=$cluster/server.crt" -c "ssl_key_file=$cluster/server.key" "${more[@]}")
}

# The server writes its state into the last line of postmaster.pid.
ready() { # PID PORT
  local lines
  { mapfile -t lines <"$(data)/data/postmaster.pid"; } 2>/dev/null || return 1
  [ "${lines[0]:-}" = "$1" ] && [[ ${lines[7]:-} = @(ready|standby)* ]]
}

url() { echo "postgres://postgres:$(<"$home/password")@127.0.0.1:$1/postgres"; }

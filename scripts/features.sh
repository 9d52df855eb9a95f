#!/usr/bin/env bash
# Checks that each feature of each crate compiles alone, without warnings. By clippy: warnings are then no part of how
# dependencies are built, which are there from the lint of the whole.
set -euo pipefail
cd "$(dirname "$0")/.."

for crate in qicore-stores qicore-sources qicore-sinks qicore-stream qicore; do
  features=$(cargo metadata --no-deps --format-version 1 |
    python3 -c 'import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == sys.argv[1]:
        print(*sorted(name for name in package["features"] if name != "default"))' "$crate")
  for feature in "" $features; do
    echo "$crate --features '$feature'"
    cargo clippy --quiet -p "$crate" --no-default-features --features "$feature" -- -D warnings
  done
done

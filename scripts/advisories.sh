#!/usr/bin/env bash
# Looks whether what we depend on has vulnerabilities that are known: by the live database of RustSec where cargo-audit and the
# database can be had, else by the snapshot in advisories/.
set -euo pipefail
cd "$(dirname "$0")/.."

database=https://github.com/RustSec/advisory-db.git
if command -v cargo-audit >/dev/null && GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --exit-code "$database" HEAD >/dev/null 2>&1; then
  echo "Asking the live database."
  ignored=()
  while read -r id; do ignored+=(--ignore "$id"); done < <(sed -n 's/^id = "\(.*\)"$/\1/p' advisories/exceptions.toml)
  exec cargo audit --deny unsound --deny unmaintained "${ignored[@]}"
fi
echo "No cargo-audit, or its database cannot be fetched: going by the snapshot of $(sed -n 's/^newest = "\(.*\)"$/\1/p' advisories/snapshot.toml) in advisories/."
exec cargo test --locked --test advisories -- --nocapture

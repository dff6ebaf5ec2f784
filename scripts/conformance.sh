#!/bin/sh
# Runs the tests over published resources and test suites, which are not part of the repository.
#
# They are looked for in the folder that ANAMNESIS_CORPUS names, else in ../shared/corpus. Without them this
# fails: a check that did not happen is not a check that passed.
set -eu

cd "$(dirname "$0")/.."
corpus=${ANAMNESIS_CORPUS:-$PWD/../shared/corpus}
if [ ! -d "$corpus" ]; then
    echo "conformance: no corpus at $corpus; set ANAMNESIS_CORPUS to the folder that has it" >&2
    exit 1
fi
scripts/setup.sh
ANAMNESIS_CORPUS=$(cd "$corpus" && pwd) exec cargo test --workspace --locked --all-features --test 'conformance*'

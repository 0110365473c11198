# Shared by the scripts beside it; sourced, not run.
# shellcheck shell=bash disable=SC2034
set -Eeuo pipefail

CALLER=$PWD
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ROOT CALLER
cd "$ROOT"

JOBS=${JOBS:-$(nproc 2>/dev/null || echo 2)}

if [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-} != dumb ]]; then
  BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' DIM=$'\e[2m' PLAIN=$'\e[0m'
else
  BOLD='' RED='' GREEN='' DIM='' PLAIN=''
fi

say() { printf '%s\n' "${BOLD}$*${PLAIN}" >&2; }
die() {
  printf '%s\n' "${RED}error:${PLAIN} $*" >&2
  exit 1
}

# configure PRESET: runs cmake when the build tree does not exist yet; ninja runs it again when a list changes.
configure() {
  local preset=$1 log
  [[ -f build/$preset/build.ninja ]] && return
  mkdir -p "build/$preset"
  log=build/$preset/configure.log
  cmake --preset "$preset" >"$log" 2>&1 || {
    cat "$log" >&2
    die "cmake could not configure build/$preset (scripts/setup installs what it needs)"
  }
}

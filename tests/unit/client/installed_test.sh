#!/bin/sh
# Installs the client library elsewhere and builds a program with nothing but what was installed.
# Usage: installed_test.sh BUILD_DIR CC SOURCE.c
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cmake --install "$1" --component client --prefix "$dir" >/dev/null
lib=$(dirname "$(find "$dir" -name libluna-client.so)")
# The .pc file names the prefix of the configuration: this installation is elsewhere.
flags="$(PKG_CONFIG_PATH="$lib/pkgconfig" pkg-config --define-variable=prefix="$dir" \
  --cflags --libs luna-client)"
# shellcheck disable=SC2086 # the flags are words
"$2" -Wall -Wextra -Werror "$3" -o "$dir/program" $flags
LD_LIBRARY_PATH="$lib" "$dir/program"
if nm -D --defined-only "$lib/libluna-client.so" | awk '{print $3}' |
    grep -vE '^(luna_|luna__|google__|grpc__)'; then
  echo "libluna-client.so shows symbols that are not its own" >&2
  exit 1
fi
test -x "$dir/bin/luna"

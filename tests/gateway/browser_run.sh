#!/bin/sh
# browser_run.sh SERVER GATEWAY ECHO_SERVER ECHO_DESCRIPTORS [TEST]: runs TEST (browser_test.mjs) beside a Luna of its own, in headless Chromium
# ($LUNA_CHROMIUM, or chromium on the path) through playwright-core ($LUNA_NODE_MODULES, or build/node/node_modules).
# What ./dev deps would install and is missing: skipped (77), on CI failed.
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
LUNA_CHROMIUM=${LUNA_CHROMIUM:-$(command -v chromium)}
LUNA_NODE_MODULES=${LUNA_NODE_MODULES:-$root/build/node/node_modules}
LUNA_ARTIFACTS=${LUNA_ARTIFACTS:-$root/build/artifacts}
LUNA_GATEWAY=$2
LUNA_ECHO_SERVER=$3
LUNA_ECHO_DESCRIPTORS=$4
export LUNA_GATEWAY LUNA_ECHO_SERVER LUNA_ECHO_DESCRIPTORS
export LUNA_CHROMIUM LUNA_NODE_MODULES LUNA_ARTIFACTS
missing=
[ -x "$LUNA_CHROMIUM" ] || missing=chromium
command -v node > /dev/null || missing=node
test=${5:-browser_test.mjs}
packages=playwright-core
[ "$test" = browser_test.mjs ] || packages="playwright-core esbuild grpc-web @bufbuild/protoc-gen-es @connectrpc/connect-web"
for package in $packages; do
    [ -d "$LUNA_NODE_MODULES/$package" ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "SKIPPED: $missing missing, run ./dev deps"
    [ "$CI" = true ] && exit 1
    exit 77
fi
exec python3 -B "$here/browser_stack.py" "$1" "$2" -- node "$here/$test"

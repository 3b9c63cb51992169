#!/bin/sh
# Runs a test written for Python's grpcio: with $LUNA_TEST_PYTHON, or the one that ./dev deps installs.
# Without grpcio: skipped (77), on CI failed.
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
script=$1
shift
case $script in
/*) ;;
*) script=$here/$script ;;
esac
for python in "$LUNA_TEST_PYTHON" "$root/build/venv/bin/python" python3; do
    if [ -n "$python" ] && "$python" -c 'import grpc' 2>/dev/null; then
        exec "$python" "$script" "$@"
    fi
done
echo "SKIPPED: grpcio missing, run ./dev deps"
[ "$CI" = true ] && exit 1
exit 77

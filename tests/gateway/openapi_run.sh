#!/bin/sh
# openapi_run.sh SERVER GATEWAY LUNA_OPENAPI: runs openapi_test.py beside a Luna of its own, with
# $LUNA_TEST_PYTHON or the Python that ./dev deps prepares. Without the validator: skipped (77), on CI failed.
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
for python in "$LUNA_TEST_PYTHON" "$root/build/venv/bin/python" python3; do
    if [ -n "$python" ] && "$python" -c 'import openapi_spec_validator' 2>/dev/null; then
        exec python3 -B "$here/browser_stack.py" "$1" "$2" -- "$python" -B "$here/openapi_test.py" "$3"
    fi
done
echo "SKIPPED: openapi-spec-validator missing, run ./dev deps"
[ "$CI" = true ] && exit 1
exit 77

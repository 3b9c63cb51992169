#!/bin/sh
# fetch.sh FOLDER: puts the files of Swagger UI and Redoc that the gateway embeds into FOLDER, from the
# npm registry, each package of one version and one checksum. Needs npm, tar and openssl.
# Does nothing when the folder holds these versions already.
set -eu

SWAGGER=swagger-ui-dist@5.35.0
SWAGGER_SHA512=U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==
REDOC=redoc@2.5.4
REDOC_SHA512=M6jWhG1qoBnH6TFmzJnstyCZ87HmOY/UzDm78mHiYihEdlV/YcS9ogOo1NlElnJMeLsyxHFe2yFc4sNjHTrABQ==

[ $# -eq 1 ] || { echo "usage: fetch.sh FOLDER" >&2; exit 2; }
target=$1
if [ "$(cat "$target/versions" 2>/dev/null)" = "$SWAGGER $REDOC" ]; then
    exit 0
fi
mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT

fetch() { # package@version, checksum, folder
    mkdir "$work/$3"
    file=$(cd "$work" && npm pack --silent "$1")
    sum=$(openssl dgst -sha512 -binary "$work/$file" | base64 | tr -d '\n')
    if [ "$sum" != "$2" ]; then
        echo "fetch.sh: $1 has the checksum $sum and not $2" >&2
        exit 1
    fi
    tar -xzf "$work/$file" -C "$work/$3" --strip-components=1
}

fetch "$SWAGGER" "$SWAGGER_SHA512" swagger
fetch "$REDOC" "$REDOC_SHA512" redoc

mkdir "$work/out"
cp "$work/swagger/swagger-ui.css" "$work/swagger/swagger-ui-bundle.js" "$work/out/"
# No page may ask another host: Redoc's badge is the one thing that would.
blank='data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=='
sed "s|https://cdn\.redoc\.ly/redoc/logo-mini\.svg|$blank|" "$work/redoc/bundles/redoc.standalone.js" \
    > "$work/out/redoc.standalone.js"
if grep -q 'cdn\.redoc' "$work/out/redoc.standalone.js"; then
    echo "fetch.sh: $REDOC names another host" >&2
    exit 1
fi
# Source maps are not served.
sed -i 's,^//# sourceMappingURL=.*$,,' "$work/out/redoc.standalone.js" "$work/out/swagger-ui-bundle.js"
sed -i 's,/\*# sourceMappingURL=[^*]*\*/,,' "$work/out/swagger-ui.css"
{
    printf '%s\n\n' "$SWAGGER"
    cat "$work/swagger/NOTICE" "$work/swagger/LICENSE" "$work/swagger/swagger-ui-bundle.js.LICENSE.txt"
    printf '\n%s\n\n' "$REDOC"
    cat "$work/redoc/LICENSE" "$work/redoc/bundles/redoc.standalone.js.LICENSE.txt"
} > "$work/out/licenses.txt"
echo "$SWAGGER $REDOC" > "$work/out/versions"
rm -rf "$target"
mv "$work/out" "$target"

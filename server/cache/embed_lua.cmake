# Run by luna_embed_lua(): cmake -DIN=x.lua -DOUT=x.lua.h -DNAME=x -P embed_lua.cmake
# Writes `static const struct redis_script x_lua`: the text without comment lines, and its SHA1.
file(READ ${IN} TEXT)
string(REGEX REPLACE "(^|\n)[ \t]*--[^\n]*" "\\1" TEXT "${TEXT}")
string(REGEX REPLACE "\n[ \t\n]*\n" "\n" TEXT "${TEXT}")
string(REGEX REPLACE "^\n+" "" TEXT "${TEXT}")
string(SHA1 SHA "${TEXT}")
string(LENGTH "${TEXT}" SIZE)
string(REPLACE "\\" "\\\\" C "${TEXT}")
string(REPLACE "\"" "\\\"" C "${C}")
string(REPLACE "\n" "\\n\"\n    \"" C "${C}")
file(WRITE ${OUT}.tmp "/* Made from ${NAME}.lua. */
#include \"cache/script.h\"
static const struct redis_script ${NAME}_lua = {
    .name = \"${NAME}\",
    .size = ${SIZE},
    .sha1 = \"${SHA}\",
    .text =
    \"${C}\",
};
")
file(COPY_FILE ${OUT}.tmp ${OUT} ONLY_IF_DIFFERENT)

# cmake -DHEADER=x.rpc.h -DINCLUDE=luna/v1/x.rpc.h -DOUT=x_table.c -P tables.cmake
# A C file that gives every handler of a generated header a body, so that its tables can be read
# without the services behind them.
file(READ ${HEADER} text)
set(code "/* Made from ${INCLUDE}. */\n#include \"contract/tables.h\"\n#include \"${INCLUDE}\"\n")
string(REGEX MATCHALL "\nstatic enum status [a-z0-9_]+\\([^;{]*\\);" prototypes "${text}")
foreach(prototype ${prototypes}) # the list's separator has eaten the semicolons
  string(STRIP "${prototype}" prototype)
  if(prototype)
    string(APPEND code "${prototype}\n{\n    return UNIMPLEMENTED;\n}\n")
  endif()
endforeach()
string(REGEX MATCHALL "\nconst struct rpc_service [a-z0-9_]+" services "${text}")
foreach(service ${services})
  string(REGEX REPLACE ".* " "" name "${service}")
  string(APPEND code "__attribute__((constructor)) static void\nadd_${name}(void)\n"
    "{\n    tables_add(&${name});\n}\n")
endforeach()
file(WRITE ${OUT} "${code}")

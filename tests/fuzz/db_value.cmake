# value.c itself is compiled in, so that the fuzzer sees its branches.
luna_fuzzer(db_value_fuzz
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/db_value_fuzz.c ${CMAKE_SOURCE_DIR}/server/db/value.c
  LIBS luna_base)

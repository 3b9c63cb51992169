luna_fuzzer(db_value_fuzz SOURCES ${CMAKE_CURRENT_LIST_DIR}/db_value_fuzz.c LIBS luna_db)

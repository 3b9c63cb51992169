luna_program(counts_bench SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/counts_bench.c
  LIBS luna_client luna_client_stubs luna_proto luna_base)

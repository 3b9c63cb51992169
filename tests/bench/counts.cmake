luna_program(counts_bench SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/counts_bench.c
  LIBS luna_client luna_client_stubs luna_proto luna_base)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
luna_program(counts_load SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/counts_load.c LIBS PkgConfig::NGHTTP2)

# The gateway as it is, but for its main().
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(BROTLI REQUIRED IMPORTED_TARGET libbrotlienc)
luna_fuzzer(http
  SOURCES http_fuzz.c $<FILTER:$<TARGET_OBJECTS:luna-gateway>,EXCLUDE,program\\.c>
  LIBS $<TARGET_PROPERTY:luna-gateway,LINK_LIBRARIES>)

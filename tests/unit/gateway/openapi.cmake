pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)

add_custom_command(
  OUTPUT ${GEN_DIR}/gateway/openapi_types.bin
  COMMAND protoc --include_imports --include_source_info
    -I ${CMAKE_CURRENT_SOURCE_DIR} -I ${CMAKE_SOURCE_DIR}/proto
    --descriptor_set_out=${GEN_DIR}/gateway/openapi_types.bin openapi_types.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/openapi_types.proto ${CMAKE_CURRENT_SOURCE_DIR}/all_types.proto
    ${CMAKE_SOURCE_DIR}/proto/luna/v1/options.proto
  VERBATIM)
add_custom_target(gateway_openapi_types DEPENDS ${GEN_DIR}/gateway/openapi_types.bin)

luna_test(gateway_openapi_test
  SOURCES openapi_test.cc openapi_pages_test.cc
  LIBS luna_web luna_descriptors PkgConfig::PROTOBUF PkgConfig::ZLIB
  LABELS unit)
target_compile_definitions(gateway_openapi_test PRIVATE
  DOCS="${GEN_DIR}/gateway/openapi_types.bin")
add_dependencies(gateway_openapi_test gateway_openapi_types)

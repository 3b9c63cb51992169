# The gateway's codec beside protobuf's C++ json_util.
pkg_check_modules(PROTOBUF REQUIRED IMPORTED_TARGET protobuf)
set(GATEWAY_BENCH_TYPES ${GEN_DIR}/gateway/bench_types.bin)
add_custom_command(
  OUTPUT ${GATEWAY_BENCH_TYPES}
  COMMAND protoc --include_imports -I ${CMAKE_CURRENT_SOURCE_DIR}
    --descriptor_set_out=${GATEWAY_BENCH_TYPES} gateway_types.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/gateway_types.proto
  VERBATIM)
add_custom_target(gateway_bench_types DEPENDS ${GATEWAY_BENCH_TYPES})

luna_program(gateway_json_bench SOURCES gateway_json_bench.cc LIBS luna_gateway PkgConfig::PROTOBUF)
target_include_directories(gateway_json_bench PRIVATE ${CMAKE_SOURCE_DIR}/tests)
target_compile_definitions(gateway_json_bench PRIVATE BENCH_TYPES="${GATEWAY_BENCH_TYPES}")
add_dependencies(gateway_json_bench gateway_bench_types)

luna_program(mhd_bare SOURCES mhd_bare.c LIBS PkgConfig::MHD Threads::Threads)
luna_program(paced_load SOURCES paced_load.c LIBS m)
luna_program(gateway_sse SOURCES gateway_sse.c LIBS luna_base)

luna_program(kalman_bench SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/kalman_bench.c LIBS luna_kalman_math)
target_compile_definitions(kalman_bench PRIVATE
  LUNA_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/support/data")
luna_program(kalman_stream_bench SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/kalman_stream_bench.cc
  LIBS luna_rpc_client_testing luna_proto luna_proto_testing)

luna_program(kalman_bench SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/kalman_bench.c LIBS luna_kalman_math)
target_compile_definitions(kalman_bench PRIVATE
  LUNA_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/support/data")

luna_program(run_bench SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/run_bench.c LIBS luna_run)

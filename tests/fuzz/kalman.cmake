luna_fuzzer(kalman_model SOURCES kalman_model_fuzz.c ${CMAKE_SOURCE_DIR}/tests/unit/kalman/probe.c LIBS luna_kalman)

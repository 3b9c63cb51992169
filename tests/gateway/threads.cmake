# The service of tests/rpc's interop_server with paths of HTTP.
set(ECHO ${GEN_DIR}/gateway/browser_echo.bin)
add_custom_command(
  OUTPUT ${ECHO}
  COMMAND protoc --include_imports --include_source_info
    -I ${CMAKE_CURRENT_SOURCE_DIR} -I ${CMAKE_SOURCE_DIR}/proto
    --descriptor_set_out=${ECHO} browser_echo.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/browser_echo.proto ${CMAKE_SOURCE_DIR}/proto/luna/v1/options.proto
  VERBATIM)
add_custom_target(gateway_browser_echo ALL DEPENDS ${ECHO})

# The gateway's threads under every kind of load at once; in the tsan preset it fails at a race. The clients are Python's:
# gRPC's C++ library, which the other tests are written with, is full of races of its own.
add_custom_target(gateway_threads_test DEPENDS luna-gateway interop_server gateway_browser_echo)
add_test(NAME gateway_threads_test
  COMMAND python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/threads_test.py $<TARGET_FILE:luna-gateway>
    $<TARGET_FILE:interop_server> ${ECHO})
set_tests_properties(gateway_threads_test PROPERTIES LABELS gateway TIMEOUT 120)

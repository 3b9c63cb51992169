# The document under an independent validator, and against a gateway with a server behind it.
add_test(NAME gateway_openapi
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/openapi_run.sh $<TARGET_FILE:luna-server>
    $<TARGET_FILE:luna-gateway> $<TARGET_FILE:luna-openapi>)
set_tests_properties(gateway_openapi PROPERTIES LABELS gateway TIMEOUT 300 SKIP_RETURN_CODE 77)

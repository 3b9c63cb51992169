# Envoy's rate limit service, beside a whole Luna.
add_test(NAME rpc_envoy
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/browser_stack.py $<TARGET_FILE:luna-server> $<TARGET_FILE:luna-gateway> --
    ${CMAKE_SOURCE_DIR}/tests/rpc/run_python.sh envoy_client.py)
set_tests_properties(rpc_envoy PROPERTIES LABELS rpc TIMEOUT 300 SKIP_RETURN_CODE 77)

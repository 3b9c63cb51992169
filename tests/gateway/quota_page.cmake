# Programs beside a whole Luna: the commands of the quota page, and Envoy's rate limit service.
set(STACK python3 ${CMAKE_CURRENT_SOURCE_DIR}/browser_stack.py $<TARGET_FILE:luna-server> $<TARGET_FILE:luna-gateway> --)
add_test(NAME gateway_quota_page
  COMMAND ${STACK} ${CMAKE_CURRENT_SOURCE_DIR}/quota_page.py ${CMAKE_SOURCE_DIR}/docs/quota.md
    $<TARGET_FILE:luna-server>)
add_test(NAME rpc_envoy
  COMMAND ${STACK} ${CMAKE_SOURCE_DIR}/tests/rpc/run_python.sh envoy_client.py)
set_tests_properties(gateway_quota_page PROPERTIES LABELS gateway TIMEOUT 300)
set_tests_properties(rpc_envoy PROPERTIES LABELS rpc TIMEOUT 300 SKIP_RETURN_CODE 77)

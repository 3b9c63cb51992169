# The pages in headless Chromium. Not under sanitizers: what is tried there is the pages, not the programs.
if(NOT LUNA_SANITIZE)
  set(ECHO ${GEN_DIR}/gateway/browser_echo.bin)
  add_custom_command(
    OUTPUT ${ECHO}
    COMMAND protoc --include_imports --include_source_info
      -I ${CMAKE_CURRENT_SOURCE_DIR} -I ${CMAKE_SOURCE_DIR}/proto
      --descriptor_set_out=${ECHO} browser_echo.proto
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/browser_echo.proto ${CMAKE_SOURCE_DIR}/proto/luna/v1/options.proto
    VERBATIM)
  add_custom_target(gateway_browser_echo ALL DEPENDS ${ECHO})
  add_test(NAME gateway_browser
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/browser_run.sh $<TARGET_FILE:luna-server>
      $<TARGET_FILE:luna-gateway> $<TARGET_FILE:interop_server> ${ECHO})
  add_test(NAME gateway_browser_clients
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/browser_run.sh $<TARGET_FILE:luna-server>
      $<TARGET_FILE:luna-gateway> $<TARGET_FILE:interop_server> ${ECHO} browser_clients_test.mjs)
  set_tests_properties(gateway_browser gateway_browser_clients
    PROPERTIES LABELS gateway TIMEOUT 600 SKIP_RETURN_CODE 77)
endif()

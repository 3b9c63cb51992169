# The pages in headless Chromium. Not under sanitizers: what is tried there is the pages, not the programs.
if(NOT LUNA_SANITIZE)
  add_test(NAME gateway_browser
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/browser_run.sh $<TARGET_FILE:luna-server>
      $<TARGET_FILE:luna-gateway> $<TARGET_FILE:interop_server> ${ECHO})
  add_test(NAME gateway_browser_clients
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/browser_run.sh $<TARGET_FILE:luna-server>
      $<TARGET_FILE:luna-gateway> $<TARGET_FILE:interop_server> ${ECHO} browser_clients_test.mjs)
  set_tests_properties(gateway_browser gateway_browser_clients
    PROPERTIES LABELS gateway TIMEOUT 600 SKIP_RETURN_CODE 77)
endif()

# The pages in headless Chromium. Not under sanitizers: what is tried there is the pages, not the programs.
if(NOT LUNA_SANITIZE)
  add_test(NAME gateway_browser
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/browser_run.sh $<TARGET_FILE:luna-server>
      $<TARGET_FILE:luna-gateway>)
  set_tests_properties(gateway_browser PROPERTIES LABELS gateway TIMEOUT 600 SKIP_RETURN_CODE 77)
endif()

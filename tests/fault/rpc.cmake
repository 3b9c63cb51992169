find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME rpc_hostile
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/rpc_hostile.py
      $<TARGET_FILE:interop_server>)
  set_tests_properties(rpc_hostile PROPERTIES LABELS fault TIMEOUT 600 RUN_SERIAL ON)
  if(LUNA_SANITIZE)
    set_tests_properties(rpc_hostile PROPERTIES ENVIRONMENT LUNA_HOSTILE_KIND=asan)
  endif()
endif()

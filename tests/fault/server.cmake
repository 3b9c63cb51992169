# The whole server while what it stands on breaks.
if(TARGET luna-server)
  luna_test(server_fault_test LABELS fault TIMEOUT 300 SOURCES server_fault_test.cc
    LIBS luna_client luna_client_stubs luna_proto PkgConfig::PQ)
  target_compile_definitions(server_fault_test PRIVATE
    LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>")
  add_dependencies(server_fault_test luna-server)
endif()

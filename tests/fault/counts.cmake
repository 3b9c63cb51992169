# Counts while the server or PostgreSQL dies.
if(TARGET luna-server)
  luna_test(counts_fault_test LABELS fault TIMEOUT 300 SOURCES counts_fault_test.cc
    LIBS luna_client luna_client_stubs luna_proto PkgConfig::PQ)
  target_compile_definitions(counts_fault_test PRIVATE
    LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>")
  add_dependencies(counts_fault_test luna-server)
endif()

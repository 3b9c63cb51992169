# The limiter while what it stands on breaks, and callers who try what they should not.
if(TARGET luna-server)
  luna_test(gate_fault_test LABELS fault TIMEOUT 300 SOURCES gate_fault_test.cc
    LIBS luna_rpc_client_testing luna_proto PkgConfig::PQ)
  target_include_directories(gate_fault_test PRIVATE ${CMAKE_SOURCE_DIR}/tests/rpc)
  target_compile_definitions(gate_fault_test PRIVATE
    LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>")
  add_dependencies(gate_fault_test luna-server)
endif()

# Tests of the whole program: luna-server as a process, on a real PostgreSQL and Redis.
if(TARGET luna-server)
  luna_test(rpc_quota_test LABELS rpc SOURCES quota_test.cc
    LIBS luna_rpc_client_testing luna_proto PkgConfig::PQ)
  target_compile_definitions(rpc_quota_test PRIVATE
    LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>")
  add_dependencies(rpc_quota_test luna-server)
endif()
if(TARGET luna-server)
  foreach(part gate gate_flood gate_race idempotency)
    luna_test(rpc_${part}_test LABELS rpc SOURCES ${part}_test.cc
      LIBS luna_rpc_client_testing luna_proto PkgConfig::PQ)
    target_compile_definitions(rpc_${part}_test PRIVATE
      LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>")
    add_dependencies(rpc_${part}_test luna-server)
  endforeach()
  target_sources(rpc_gate_flood_test PRIVATE flood.cc)
  target_link_libraries(rpc_gate_test PRIVATE luna_gateway)
endif()
if(TARGET luna-server)
  pkg_check_modules(PROTOBUF REQUIRED IMPORTED_TARGET protobuf)
  foreach(part access update)
    luna_test(rpc_${part}_test LABELS rpc TIMEOUT 300
      SOURCES ${part}_test.cc ../contract/descriptors.cc
      LIBS luna_rpc_client_testing luna_proto luna_descriptors PkgConfig::PQ PkgConfig::PROTOBUF)
    target_compile_definitions(rpc_${part}_test PRIVATE
      LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>")
    add_dependencies(rpc_${part}_test luna-server)
  endforeach()
endif()

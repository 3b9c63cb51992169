# Durable filters on the whole program.
if(TARGET luna-server)
  foreach(name kalman kalman_crash kalman_methods kalman_servers kalman_streams)
    luna_test(rpc_${name}_test LABELS rpc SOURCES ${name}_test.cc
      LIBS luna_rpc_client_testing luna_proto PkgConfig::PQ)
    target_compile_definitions(rpc_${name}_test PRIVATE
      LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>"
      LUNA_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/support/data")
    add_dependencies(rpc_${name}_test luna-server)
  endforeach()
endif()

# The Counts service as its callers see it: luna-server as a process, on a real PostgreSQL and Redis.
if(TARGET luna-server)
  luna_test(rpc_counts_test LABELS rpc SOURCES counts_test.cc counts_watch_test.cc
    LIBS luna_client luna_client_stubs luna_proto PkgConfig::PQ)
  target_compile_definitions(rpc_counts_test PRIVATE
    LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>")
  add_dependencies(rpc_counts_test luna-server)
endif()

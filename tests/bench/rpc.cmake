luna_program(core_echo SOURCES core_echo.c LIBS PkgConfig::GRPC Threads::Threads)
luna_program(rpc_bench_server SOURCES rpc_bench_server.c LIBS luna_rpc_testing)
target_include_directories(rpc_bench_server PRIVATE ${CMAKE_SOURCE_DIR}/tests)

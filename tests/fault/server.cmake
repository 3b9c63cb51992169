# The whole server while what it stands on breaks.
if(TARGET luna-server)
  luna_test(server_fault_test LABELS fault TIMEOUT 300 SOURCES server_fault_test.cc
    LIBS luna_client luna_client_stubs luna_proto PkgConfig::PQ)
  target_compile_definitions(server_fault_test PRIVATE
    LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>")
  add_dependencies(server_fault_test luna-server)
endif()

# A sanitizer's own functions would stand before the shim's.
if(TARGET luna-server AND NOT LUNA_SANITIZE)
  add_library(syscall_shim SHARED syscall_shim.c)
  target_link_libraries(syscall_shim PRIVATE ${CMAKE_DL_LIBS})
  luna_test(syscall_fault_test LABELS fault TIMEOUT 300 SOURCES syscall_fault_test.cc
    LIBS luna_client luna_client_stubs luna_proto PkgConfig::PQ)
  target_include_directories(syscall_fault_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(syscall_fault_test PRIVATE
    LUNA_SERVER_PROGRAM="$<TARGET_FILE:luna-server>" LUNA_SHIM="$<TARGET_FILE:syscall_shim>")
  add_dependencies(syscall_fault_test luna-server syscall_shim)
endif()

luna_test(db_lost_test LABELS fault db SOURCES ${CMAKE_CURRENT_LIST_DIR}/db_lost_test.cc
  LIBS db_test_statements luna_db)
luna_test(db_crash_test LABELS fault db TIMEOUT 300 SOURCES ${CMAKE_CURRENT_LIST_DIR}/db_crash_test.cc
  LIBS db_test_statements luna_db)

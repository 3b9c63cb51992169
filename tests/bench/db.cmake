# Selects a second through server/db; `./dev bench` runs pgbench beside it.
luna_program(db_bench SOURCES ${CMAKE_CURRENT_LIST_DIR}/db_bench.c LIBS luna_db)
luna_sql(db_bench ${CMAKE_CURRENT_LIST_DIR}/db_bench.sql)

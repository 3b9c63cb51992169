# luna_sql(target file.sql): embeds the statements of a .sql file into a target.
#
# server/quota/quota.sql becomes ${GEN_DIR}/quota/quota.sql.{h,c}: include "quota/quota.sql.h", and name
# `quota_sql` among the sets of db_open. A file under tests/ is included as "tests/unit/db/x.sql.h".
# embed_sql.py says how a .sql file looks.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(LUNA_EMBED_SQL ${CMAKE_CURRENT_LIST_DIR}/embed_sql.py CACHE INTERNAL "")
set(LUNA_PYTHON ${Python3_EXECUTABLE} CACHE INTERNAL "")

function(luna_sql target file)
  cmake_path(ABSOLUTE_PATH file OUTPUT_VARIABLE source)
  cmake_path(GET source PARENT_PATH folder)
  cmake_path(GET source FILENAME name)
  set(root ${CMAKE_SOURCE_DIR})
  if(folder MATCHES "^${CMAKE_SOURCE_DIR}/server/")
    set(root ${CMAKE_SOURCE_DIR}/server)
  endif()
  cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${root})
  set(out ${GEN_DIR}/${folder})
  add_custom_command(
    OUTPUT ${out}/${name}.h ${out}/${name}.c
    COMMAND ${LUNA_PYTHON} ${LUNA_EMBED_SQL} statements ${source} ${out} ${folder}/${name}.h
    DEPENDS ${source} ${LUNA_EMBED_SQL}
    VERBATIM)
  target_sources(${target} PRIVATE ${out}/${name}.c ${out}/${name}.h)
endfunction()

# luna_migrations(target folder): embeds NNNN_name.{up,down}.sql as db_migrations[].
function(luna_migrations target folder)
  file(GLOB files CONFIGURE_DEPENDS ${folder}/*.up.sql ${folder}/*.down.sql)
  set(out ${GEN_DIR}/migrations.c)
  add_custom_command(
    OUTPUT ${out}
    # Their names stand in the command: a file that comes or goes, however old it is, runs it again.
    COMMAND ${CMAKE_COMMAND} -E true ${files}
    COMMAND ${LUNA_PYTHON} ${LUNA_EMBED_SQL} migrations ${folder} ${out}
    DEPENDS ${files} ${LUNA_EMBED_SQL}
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()

# The pages of luna-gateway. The assets of /docs and /redoc are those that web/fetch.sh (./dev deps) put into
# build/web-assets; without them both paths show the plain reference.
set(LUNA_WEB_ASSETS AUTO CACHE STRING "Embed Swagger UI and Redoc: ON (fetched when they are missing), OFF, or AUTO: when they are there")
set(WEB_ASSETS_DIR ${CMAKE_SOURCE_DIR}/build/web-assets)
set(WEB_ASSETS swagger-ui.css swagger-ui-bundle.js redoc.standalone.js licenses.txt)

if(LUNA_WEB_ASSETS STREQUAL "ON")
  execute_process(COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/web/fetch.sh ${WEB_ASSETS_DIR}
    COMMAND_ERROR_IS_FATAL ANY)
endif()
# Seen by the next build when the folder comes or goes.
file(GLOB WEB_ASSETS_FOUND CONFIGURE_DEPENDS ${WEB_ASSETS_DIR}/versions)

luna_library(luna_web SOURCES web/web.c web/reference.c web/html.c LIBS luna_openapi PkgConfig::ZLIB)

# luna_web_embed(file name): the bytes of a file as the symbols web_<name> and web_<name>_size.
function(luna_web_embed file name)
  string(REGEX REPLACE "[^a-zA-Z0-9]" "_" EMBED_NAME web_${name})
  set(EMBED_FILE ${file})
  set(source ${GEN_DIR}/luna/${EMBED_NAME}.c)
  configure_file(${CMAKE_SOURCE_DIR}/proto/codegen/embed.c.in ${source} @ONLY)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${file} COMPILE_OPTIONS -w)
  target_sources(luna_web PRIVATE ${source})
endfunction()

foreach(name index.html docs.html redoc.html luna.css frame.css status.js docs.js redoc.js luna.svg examples.json)
  luna_web_embed(${CMAKE_CURRENT_SOURCE_DIR}/web/${name} ${name})
endforeach()
if(WEB_ASSETS_FOUND AND NOT LUNA_WEB_ASSETS STREQUAL "OFF")
  target_compile_definitions(luna_web PUBLIC LUNA_WEB_ASSETS=1)
  foreach(name ${WEB_ASSETS})
    set(packed ${GEN_DIR}/web/${name}.gz)
    file(MAKE_DIRECTORY ${GEN_DIR}/web)
    add_custom_command(OUTPUT ${packed}
      COMMAND gzip -9 -n -c ${WEB_ASSETS_DIR}/${name} > ${packed}
      DEPENDS ${WEB_ASSETS_DIR}/${name}
      VERBATIM)
    luna_web_embed(${WEB_ASSETS_DIR}/${name} ${name})
    luna_web_embed(${packed} ${name}.gz)
  endforeach()
endif()
set_source_files_properties(web/web.c web/reference.c openapi_print.c PROPERTIES
  COMPILE_DEFINITIONS LUNA_VERSION="${PROJECT_VERSION}")
if(TARGET luna-gateway)
  target_link_libraries(luna-gateway PRIVATE luna_web)
endif()

luna_program(luna-openapi SOURCES openapi_print.c LIBS luna_web luna_descriptors)

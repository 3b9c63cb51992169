# The OpenAPI document, and luna-openapi, which prints it.
luna_library(luna_openapi
  SOURCES
    openapi.c openapi_errors.c openapi_examples.c openapi_limits.c openapi_oneof.c openapi_parameters.c
    openapi_paths.c openapi_responses.c openapi_schemas.c openapi_write.c
  LIBS luna_gateway)

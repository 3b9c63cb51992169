luna_fuzzer(api_key SOURCES api_key_fuzz.c LIBS luna_quota_key)
luna_fuzzer(auth_header SOURCES auth_header_fuzz.c LIBS luna_edge)
luna_fuzzer(page_token SOURCES page_token_fuzz.c LIBS luna_edge)

luna_fuzzer(filter SOURCES filter_fuzz.c LIBS luna_edge)

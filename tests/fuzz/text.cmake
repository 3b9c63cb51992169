luna_fuzzer(text SOURCES text_fuzz.c LIBS luna_base)

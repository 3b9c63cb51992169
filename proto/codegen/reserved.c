#include <stdlib.h>
#include <string.h>

#include "plugin.h"

/*
 * Words that a method's name could plausibly be and that a handler cannot: keywords of C, functions
 * and macros of libc (with _GNU_SOURCE) that service files or what they include may see, gcc's
 * built-ins, and macros of server/. Sorted: looked up by bisection.
 */
static const char *const reserved[] = {
    "abort",    "abs",      "accept",    "access",  "acos",     "alarm",    "alloca",   "asin",
    "asprintf", "assert",   "atan",      "atexit",  "atof",     "atoi",     "atol",     "auto",
    "basename", "bcmp",     "bcopy",     "bind",    "bool",     "break",    "bsearch",  "bzero",
    "call",     "calloc",   "case",      "cbrt",    "ceil",     "char",     "chdir",    "chmod",
    "chown",    "chroot",   "clock",     "clone",   "close",    "closedir", "conj",     "connect",
    "const",    "continue", "cos",       "creat",   "daemon",   "default",  "difftime", "div",
    "do",       "double",   "dprintf",   "dup",     "else",     "enum",     "environ",  "erf",
    "errno",    "exec",     "execl",     "execv",   "exit",     "exp",      "extern",   "fail",
    "false",    "ffs",      "ffsl",      "fileno",  "float",    "flock",    "floor",    "for",
    "fork",     "free",     "fsync",     "gamma",   "getdate",  "getenv",   "getline",  "getopt",
    "getpid",   "gets",     "getsubopt", "getuid",  "goto",     "hypot",    "if",       "index",
    "inline",   "int",      "ioctl",     "isalnum", "j0",       "j1",       "jn",       "kill",
    "labs",     "ldexp",    "link",      "linux",   "listen",   "log",      "long",     "longjmp",
    "lseek",    "main",     "malloc",    "memchr",  "memcmp",   "memcpy",   "memmove",  "memset",
    "mkdir",    "mknod",    "mktime",    "mmap",    "modf",     "mount",    "munmap",   "nan",
    "nice",     "open",     "opendir",   "pause",   "perror",   "pipe",     "poll",     "popen",
    "pow",      "printf",   "putenv",    "puts",    "qsort",    "raise",    "rand",     "random",
    "read",     "readdir",  "readlink",  "realloc", "reboot",   "recv",     "register", "remainder",
    "remove",   "rename",   "restrict",  "return",  "rewind",   "rindex",   "rint",     "round",
    "scanf",    "seekdir",  "select",    "send",    "setenv",   "setjmp",   "shmat",    "short",
    "shutdown", "signal",   "signed",    "sin",     "sizeof",   "sleep",    "snprintf", "socket",
    "splice",   "sprintf",  "sqrt",      "srand",   "sscanf",   "stat",     "static",   "statx",
    "stderr",   "stdin",    "stdout",    "strchr",  "strcmp",   "strdup",   "strerror", "strlen",
    "strsep",   "strtok",   "struct",    "swab",    "switch",   "symlink",  "sync",     "syscall",
    "syslog",   "system",   "tan",       "tee",     "telldir",  "time",     "timer",    "times",
    "toupper",  "trunc",    "truncate",  "typedef", "typeof",   "umask",    "uname",    "union",
    "unix",     "unlink",   "unsetenv",  "unshare", "unsigned", "usleep",   "void",     "volatile",
    "wait",     "waitpid",  "while",     "write",   "y0",       "y1",       "yn",
};

static int
compare(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

bool
name_is_reserved(const char *name)
{
    return bsearch(name, reserved, sizeof(reserved) / sizeof(reserved[0]), sizeof(reserved[0]),
                   compare) != NULL;
}

#include <stdlib.h>
#include <string.h>

#include "plugin.h"

/* Both lists are sorted: they are looked up by bisection. */

/* Keywords of C and macros without parentheses. protobuf-c makes struct members of methods' names,
 * which these cannot be. */
static const char *const keywords[] = {
    "asm",      "auto",    "bool",   "break",    "case",     "char",     "const",
    "continue", "default", "do",     "double",   "else",     "enum",     "errno",
    "extern",   "false",   "float",  "for",      "goto",     "if",       "inline",
    "int",      "linux",   "long",   "register", "restrict", "return",   "short",
    "signed",   "sizeof",  "static", "struct",   "switch",   "true",     "typedef",
    "typeof",   "union",   "unix",   "unsigned", "void",     "volatile", "while",
};

/* Words that a method's name could plausibly be and that a handler cannot: functions of libc (with
 * _GNU_SOURCE) that service files or what they include may see, gcc's built-ins, macros and
 * functions of server/. */
static const char *const reserved[] = {
    "abort",    "abs",       "accept",   "access",   "acos",    "alarm",    "alloca",   "asin",
    "asprintf", "assert",    "atan",     "atexit",   "atof",    "atoi",     "atol",     "basename",
    "bcmp",     "bcopy",     "bind",     "bsearch",  "bzero",   "call",     "calloc",   "cbrt",
    "ceil",     "chdir",     "chmod",    "chown",    "chroot",  "clock",    "clone",    "close",
    "closedir", "conj",      "connect",  "cos",      "creat",   "daemon",   "difftime", "div",
    "dprintf",  "dup",       "environ",  "erf",      "exec",    "execl",    "execv",    "exit",
    "exp",      "fail",      "ffs",      "ffsl",     "fileno",  "flock",    "floor",    "fork",
    "free",     "fsync",     "gamma",    "getdate",  "getenv",  "getline",  "getopt",   "getpid",
    "gets",     "getsubopt", "getuid",   "hypot",    "index",   "ioctl",    "isalnum",  "j0",
    "j1",       "jn",        "kill",     "labs",     "ldexp",   "link",     "listen",   "log",
    "longjmp",  "lseek",     "main",     "malloc",   "memchr",  "memcmp",   "memcpy",   "memmove",
    "memset",   "mkdir",     "mknod",    "mktime",   "mmap",    "modf",     "mount",    "munmap",
    "nan",      "nice",      "open",     "opendir",  "pause",   "perror",   "pipe",     "poll",
    "popen",    "pow",       "printf",   "putenv",   "puts",    "qsort",    "raise",    "rand",
    "random",   "read",      "readdir",  "readlink", "realloc", "reboot",   "recv",     "remainder",
    "remove",   "rename",    "rewind",   "rindex",   "rint",    "round",    "scanf",    "seekdir",
    "select",   "send",      "setenv",   "setjmp",   "shmat",   "shutdown", "signal",   "sin",
    "sleep",    "snprintf",  "socket",   "splice",   "sprintf", "sqrt",     "srand",    "sscanf",
    "stat",     "statx",     "stderr",   "stdin",    "stdout",  "strchr",   "strcmp",   "strdup",
    "strerror", "strlen",    "strsep",   "strtok",   "swab",    "symlink",  "sync",     "syscall",
    "syslog",   "system",    "tan",      "tee",      "telldir", "time",     "timer",    "times",
    "toupper",  "trunc",     "truncate", "umask",    "uname",   "unlink",   "unsetenv", "unshare",
    "usleep",   "wait",      "waitpid",  "write",    "y0",      "y1",       "yn",
};

static int
compare(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

static bool
contains(const char *const *list, size_t n, const char *name)
{
    return bsearch(name, list, n, sizeof(list[0]), compare) != NULL;
}

bool
name_is_keyword(const char *name)
{
    return contains(keywords, sizeof(keywords) / sizeof(keywords[0]), name);
}

bool
name_is_reserved(const char *name)
{
    return contains(reserved, sizeof(reserved) / sizeof(reserved[0]), name);
}

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "edge/metrics_private.h"

struct proc_stat {
    double start_s; /* since boot */
    long threads;
    double virtual_bytes;
    double resident_bytes;
};

/* Fields of proc(5) /proc/self/stat behind the program's name, which may hold anything. */
static bool
read_proc_stat(struct proc_stat *ret)
{
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    long threads;
    unsigned long long start_ticks;
    unsigned long long virtual_bytes;
    long long resident_pages;
    /* 3 state ... 20 num_threads 21 itrealvalue 22 starttime 23 vsize 24 rss */
    if (!p || sscanf(p + 1,
                     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d "
                     "%llu %llu %lld",
                     &threads, &start_ticks, &virtual_bytes, &resident_pages) != 4)
        return false;
    ret->threads = threads;
    ret->start_s = (double)start_ticks / (double)sysconf(_SC_CLK_TCK);
    ret->virtual_bytes = (double)virtual_bytes;
    ret->resident_bytes = (double)resident_pages * (double)sysconf(_SC_PAGESIZE);
    return true;
}

static double
boot_unix_s(void)
{
    struct timespec wall;
    struct timespec since_boot;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    return (double)(wall.tv_sec - since_boot.tv_sec) +
           (double)(wall.tv_nsec - since_boot.tv_nsec) * 1e-9;
}

static long
count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return -1;
    long n = 0;
    struct dirent *e;
    while ((e = readdir(d)))
        n += e->d_name[0] != '.';
    closedir(d);
    return n - 1; /* the folder itself was open */
}

static void
put(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    metrics_family(out, name, type, help);
    metrics_f64(out, name, "", value);
}

static double
seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

void
metrics_render_process(struct buf *out)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        put(out, "process_cpu_seconds_total", "counter", "User and system CPU time.",
            seconds(usage.ru_utime) + seconds(usage.ru_stime));
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        put(out, "process_max_fds", "gauge", "Most open file descriptors.", (double)files.rlim_cur);
    long fds = count_fds();
    if (fds >= 0)
        put(out, "process_open_fds", "gauge", "Open file descriptors.", (double)fds);
    struct proc_stat st;
    if (!read_proc_stat(&st))
        return;
    put(out, "process_resident_memory_bytes", "gauge", "Resident memory.", st.resident_bytes);
    put(out, "process_virtual_memory_bytes", "gauge", "Address space.", st.virtual_bytes);
    put(out, "process_threads", "gauge", "Threads.", (double)st.threads);
    put(out, "process_start_time_seconds", "gauge", "When it started, Unix time.",
        boot_unix_s() + st.start_s);
}

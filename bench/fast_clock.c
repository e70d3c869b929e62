/* LD_PRELOAD: for a process, time runs CLOCK_SPEED times as fast as it does, from when the process starts. For traces
 * that would take hours at the pace at which they happened: bench/served.py. Waiting takes as long as ever. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CLOCKS 12 /* Those of linux/time.h. */

static long long began[CLOCKS];
static long long speed = 1;

static long long real(clockid_t clock) {
    struct timespec now;
    if (syscall(SYS_clock_gettime, clock, &now)) return 0;
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int counts_time(clockid_t clock) {
    return clock >= 0 && clock < CLOCKS && clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID;
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("CLOCK_SPEED");
    for (int clock = 0; clock < CLOCKS; clock++)
        if (counts_time(clock)) began[clock] = real(clock);
    if (text) speed = atoll(text);
}

static long long fast(clockid_t clock) {
    return began[clock] + (real(clock) - began[clock]) * speed;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!counts_time(clock)) return syscall(SYS_clock_gettime, clock, now);
    long long ns = fast(clock);
    now->tv_sec = ns / 1000000000LL;
    now->tv_nsec = ns % 1000000000LL;
    return 0;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    long long ns = fast(CLOCK_REALTIME);
    now->tv_sec = ns / 1000000000LL;
    now->tv_usec = ns % 1000000000LL / 1000;
    return 0;
}

time_t time(time_t *now) {
    time_t seconds = fast(CLOCK_REALTIME) / 1000000000LL;
    if (now) *now = seconds;
    return seconds;
}

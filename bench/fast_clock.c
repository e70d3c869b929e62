/* LD_PRELOAD: the calendar runs CLOCK_SPEED times as fast as it does, from when the process starts. The monotonic clock,
 * and with it every timer, stays as it is. For traces that would take hours at the pace at which they happened:
 * bench/served.py. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long began;
static long long speed = 1;

static long long real(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("CLOCK_SPEED");
    if (text) speed = atoll(text);
    began = real();
}

static long long calendar(void) {
    return began ? began + (real() - began) * speed : real();
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return syscall(SYS_clock_gettime, clock, now);
    long long ns = calendar();
    now->tv_sec = ns / 1000000000LL;
    now->tv_nsec = ns % 1000000000LL;
    return 0;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    long long ns = calendar();
    now->tv_sec = ns / 1000000000LL;
    now->tv_usec = ns % 1000000000LL / 1000;
    return 0;
}

time_t time(time_t *now) {
    time_t seconds = calendar() / 1000000000LL;
    if (now) *now = seconds;
    return seconds;
}

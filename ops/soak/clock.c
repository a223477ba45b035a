/* A wall clock that is wrong, for the process that preloads this: CLOCK_AHEAD seconds ahead, and as many microseconds more
   as stand in the first eight bytes of the file CLOCK_STEP, which may change while the process runs. The monotonic clock,
   and with it every wait, stays the host's. (libfaketime shifts those as well: Python's sleeps then fail, or last for
   minutes.) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step;
static int64_t ahead;

__attribute__((constructor)) static void begin(void) {
  const char *seconds = getenv("CLOCK_AHEAD"), *path = getenv("CLOCK_STEP");
  ahead = seconds ? atoll(seconds) * 1000000 : 0;
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *found = mmap(0, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
  if (found != MAP_FAILED) step = found;
  close(file);
}

int clock_gettime(clockid_t which, struct timespec *now) {
  int failed = syscall(SYS_clock_gettime, which, now);
  if (failed || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return failed;
  int64_t micros = now->tv_sec * 1000000LL + now->tv_nsec / 1000 + ahead + (step ? *step : 0);
  now->tv_nsec = micros % 1000000 * 1000 + now->tv_nsec % 1000;
  now->tv_sec = micros / 1000000;
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *where) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (where) *where = exact.tv_sec;
  return exact.tv_sec;
}

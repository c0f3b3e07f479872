/*
 * Loaded before the C library of a node (LD_PRELOAD), this stands between the program and its machine. The file that
 * FAULT_CONTROL names is mapped into memory, so that what is written there holds from that moment on:
 *
 *   byte 0   milliseconds by which the wall clock is wrong; the monotonic clock is left alone
 *   byte 8   milliseconds that a sync of a file of the log takes longer
 *   byte 16  whose syncs fail: 1 those of the files log.*, 2 those of the files state.*
 *
 * Each is a signed number of 64 bits.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
  volatile int64_t clock_ms;
  volatile int64_t stall_ms;
  volatile int64_t failing;
};

enum { LOG = 1, STATE = 2 };

static struct control none;
static struct control *control = &none;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_day)(struct timeval *, void *);
static int (*real_sync)(int);
static int (*real_data_sync)(int);

__attribute__((constructor)) static void begin(void) {
  real_clock = dlsym(RTLD_NEXT, "clock_gettime");
  real_day = dlsym(RTLD_NEXT, "gettimeofday");
  real_sync = dlsym(RTLD_NEXT, "fsync");
  real_data_sync = dlsym(RTLD_NEXT, "fdatasync");
  const char *path = getenv("FAULT_CONTROL");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) control = mapped;
}

int clock_gettime(clockid_t id, struct timespec *now) {
  if (!real_clock) real_clock = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real_clock(id, now);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
    int64_t ms = control->clock_ms;
    int64_t ns = now->tv_nsec + ms % 1000 * 1000000;
    now->tv_sec += ms / 1000 + (ns >= 1000000000) - (ns < 0);
    now->tv_nsec = ns + (ns < 0 ? 1000000000 : ns >= 1000000000 ? -1000000000 : 0);
  }
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  if (zone && real_day) real_day(now, zone);
  struct timespec wall;
  int result = clock_gettime(CLOCK_REALTIME, &wall);
  now->tv_sec = wall.tv_sec;
  now->tv_usec = wall.tv_nsec / 1000;
  return result;
}

time_t time(time_t *out) {
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  if (out) *out = wall.tv_sec;
  return wall.tv_sec;
}

/* Whose file it is, by its name: LOG, STATE or neither. */
static int owner(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  if (!strncmp(name, "log.", 4)) return LOG;
  return strncmp(name, "state.", 6) ? 0 : STATE;
}

static int sync_with(int (*real)(int), int fd) {
  int64_t stall_ms = control->stall_ms;
  if (stall_ms || control->failing) {
    int whose = owner(fd);
    if (whose & control->failing) {
      errno = EIO;
      return -1;
    }
    if (whose == LOG && stall_ms) {
      struct timespec stall = {stall_ms / 1000, stall_ms % 1000 * 1000000};
      nanosleep(&stall, NULL);
    }
  }
  return real(fd);
}

int fsync(int fd) { return sync_with(real_sync, fd); }

int fdatasync(int fd) { return sync_with(real_data_sync, fd); }

/*
 * The disk and the clock of one process, as a test wants them. Loaded with LD_PRELOAD; it watches
 * the files under DISK_SHIM_ROOT and writes down in DISK_SHIM_STATE whatever a power cut
 * would take back: for each file what stood where a write went that no sync covers yet, and the
 * names made, moved and removed since their directory was last synced. power-cut.ts takes it back
 * when the process is gone. The first page of DISK_SHIM_STATE/control turns on what else a disk and a
 * clock may do, and counts what was seen, so that a run can prove that the shim was there.
 *
 * What is watched: open, fopen (LevelDB writes with stdio, whose own write() nobody can catch: of
 * such files the length at the last sync counts), write, pwrite, writev, pwritev, ftruncate, fsync,
 * fdatasync, O_DSYNC, rename, unlink, mkdir, rmdir; read, pread, readv, preadv, fread, mmap (LevelDB
 * maps its tables: making the map fails, a map that is there is not touched); clock_gettime,
 * gettimeofday, time. Not link: what it makes stays. Nothing here writes through mmap, sendfile or
 * a ring.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#undef fwrite_unlocked
#undef fread_unlocked

/* The layout of control.ts. */
struct control {
  _Atomic uint64_t seq;
  _Atomic uint64_t file_syncs;    /* of files written with write and its kin: the commit log */
  _Atomic uint64_t stdio_syncs;   /* of files written with stdio: LevelDB */
  _Atomic uint64_t dir_syncs;
  _Atomic uint64_t dsync_writes;
  _Atomic uint64_t failed_syncs;
  _Atomic uint64_t refused_writes;
  _Atomic uint64_t delayed;
  _Atomic uint64_t shifted_reads;
  _Atomic int64_t fail_sync_in;   /* the n-th sync from now fails with EIO, once; 0 = none */
  _Atomic int64_t is_full;        /* writes that make a file grow fail with ENOSPC; 2 = the first
                                     of them writes half of its bytes before */
  _Atomic int64_t sync_delay_us;
  _Atomic int64_t clock_offset_ms;
  _Atomic uint64_t short_writes;
  _Atomic uint64_t failed_writes;
  _Atomic uint64_t failed_reads;
  _Atomic int64_t fail_write_in;  /* the n-th write from now, of these classes, fails with EIO */
  _Atomic int64_t fail_writes_of;
  _Atomic int64_t fail_reads_of;  /* every read of these classes fails with EIO */
};

/* What a file is for, by its place under the root; bits of the masks above. */
enum { LOG = 1, SIDECAR = 2, MARKER = 4, STATE = 8, CHECKPOINT = 16, OTHER = 32 };

enum { NEW = 1, WRITE = 2, SYNCED = 3, DURABLE = 4, BASE = 5, RESIZE = 6, FAILED = 7 };

/* Followed by `kept` bytes that stood at `offset`; what is not kept was zero, or beyond the end. */
struct record {
  uint32_t type;
  uint32_t kept;
  uint64_t seq;
  uint64_t offset; /* of a sync: the number up to which it covers what was written before */
  uint64_t length;
  uint64_t size; /* of the file: before a write, durable otherwise */
};

struct file {
  dev_t dev;
  ino_t ino;
  int journal;
  uint64_t end;     /* of the journal */
  int class;
  int pending;      /* writes that no sync covers */
  int is_stdio;
  int is_doomed;    /* a sync failed: what it should have covered is not on the disk, ever */
  struct file *next;
};

static struct control *control;
static char root[PATH_MAX], state_dir[PATH_MAX];
static size_t root_length;
static int ops_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files[4096];

/* One per place of use: two threads may both look it up, and find the same. */
#define REAL(name)                                                    \
  ({                                                                  \
    static _Atomic(void *) known;                                     \
    if (known == NULL) known = dlsym(RTLD_NEXT, #name);               \
    (__typeof__(&name))known;                                         \
  })

static void die(const char *what) {
  dprintf(2, "shim: %s: %s\n", what, strerror(errno));
  _exit(70);
}

__attribute__((constructor)) static void begin(void) {
  const char *r = getenv("DISK_SHIM_ROOT"), *s = getenv("DISK_SHIM_STATE");
  if (r == NULL || s == NULL) return;
  snprintf(root, sizeof root, "%s", r);
  root_length = strlen(root);
  snprintf(state_dir, sizeof state_dir, "%s", s);
  char name[PATH_MAX + 16];
  snprintf(name, sizeof name, "%s/control", state_dir);
  int fd = REAL(open)(name, O_RDWR | O_CLOEXEC);
  if (fd < 0) die("no control page");
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) die("no control page");
  REAL(close)(fd);
  snprintf(name, sizeof name, "%s/ops", state_dir);
  ops_fd = REAL(open)(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (ops_fd < 0) die("no list of operations");
  control = page;
}

static int is_inside(const char *path) {
  return control != NULL && strncmp(path, root, root_length) == 0 && path[root_length] == '/';
}

static int class_of(const char *path) {
  const char *within = path + root_length, *base = strrchr(path, '/') + 1;
  if (strncmp(within, "/state/", 7) == 0) return strncmp(base, "LOG", 3) == 0 ? 0 : STATE;
  if (strncmp(within, "/checkpoints/", 13) == 0) return CHECKPOINT;
  if (strncmp(within, "/log/", 5) != 0) return OTHER;
  size_t length = strlen(base);
  if (strcmp(base, "marker") == 0) return MARKER;
  return length > 4 && strcmp(base + length - 4, ".idx") == 0 ? SIDECAR : LOG;
}

/* Absolute, without symbolic links in its folder; 0 = not watched. */
static int resolve(const char *path, char *out) {
  if (control == NULL || path == NULL) return 0;
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  const char *base = slash == NULL ? path : path + (slash - folder) + 1;
  if (slash == NULL) strcpy(folder, ".");
  else if (slash == folder) slash[1] = 0;
  else *slash = 0;
  char whole[PATH_MAX];
  if (realpath(folder, whole) == NULL) return 0;
  int n = snprintf(out, PATH_MAX, "%s/%s", whole, base);
  return n < PATH_MAX && is_inside(out);
}

/* One line per change of names: kind, then paths or numbers, tab-separated. */
static void note(const char *format, ...) {
  char line[3 * PATH_MAX];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (REAL(write)(ops_fd, line, n) != n) die("list of operations");
}

static void put(struct file *f, struct record r, const void *kept) {
  struct iovec parts[2] = {{&r, sizeof r}, {(void *)kept, r.kept}};
  ssize_t n = REAL(pwritev)(f->journal, parts, r.kept > 0 ? 2 : 1, f->end);
  if (n != (ssize_t)(sizeof r + r.kept)) die("journal");
  f->end += n;
}

/* An empty journal, should we be killed in between, says that all of the file is durable. */
static void start_anew(struct file *f, struct record first) {
  f->end = 0;
  if (REAL(ftruncate64)(f->journal, 0) != 0) die("journal");
  put(f, first, NULL);
}

/* All that the file holds is durable: what the journal kept is not needed any more. */
static void settle(struct file *f, uint64_t size) {
  f->pending = 0;
  uint64_t seq = ++control->seq;
  start_anew(f, (struct record){.type = SYNCED, .seq = seq, .offset = seq, .size = size});
}

/* What an earlier process left un-synced stays so; the record in which it was killed is no record. */
static void go_on(struct file *f) {
  struct record r;
  off_t length = lseek(f->journal, 0, SEEK_END);
  while (REAL(pread64)(f->journal, &r, sizeof r, f->end) == sizeof r) {
    if (f->end + sizeof r + r.kept > (uint64_t)length) break;
    f->end += sizeof r + r.kept;
    if (r.type == WRITE || r.type == RESIZE) f->pending++;
    if (r.type == FAILED) f->is_doomed = 1;
  }
  if (REAL(ftruncate64)(f->journal, f->end) != 0) die("journal");
}

static struct file *file_of(const struct stat *st, int is_new) {
  struct file **slot = &files[(st->st_ino ^ st->st_dev) % 4096];
  struct file *f = *slot;
  while (f != NULL && (f->ino != st->st_ino || f->dev != st->st_dev)) f = f->next;
  if (f == NULL) {
    f = calloc(1, sizeof *f);
    f->dev = st->st_dev;
    f->ino = st->st_ino;
    f->next = *slot;
    char name[PATH_MAX + 64];
    snprintf(name, sizeof name, "%s/%lu.journal", state_dir, (unsigned long)st->st_ino);
    f->journal = REAL(open)(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (f->journal < 0) die("journal");
    go_on(f);
    *slot = f;
    if (f->end == 0 && !is_new) put(f, (struct record){.type = BASE, .size = st->st_size}, NULL);
  }
  if (is_new) {
    f->pending = 0;
    f->is_stdio = 0;
    f->is_doomed = 0;
    start_anew(f, (struct record){.type = NEW, .seq = ++control->seq});
  }
  return f;
}

/* The file behind a descriptor, if it is watched. */
static struct file *watched(int fd, struct stat *st) {
  if (control == NULL || fstat(fd, st) != 0 || !S_ISREG(st->st_mode)) return NULL;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return NULL;
  path[n] = 0;
  if (!is_inside(path)) return NULL;
  pthread_mutex_lock(&lock);
  struct file *f = file_of(st, 0);
  f->class = class_of(path);
  pthread_mutex_unlock(&lock);
  return f;
}

static int is_zero(const unsigned char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (bytes[i] != 0) return 0;
  }
  return 1;
}

/* Before `length` bytes at `offset` change: what stands there. The lock is held. */
static void keep(struct file *f, int fd, struct record r) {
  uint64_t offset = r.offset, length = r.length, size = r.size;
  uint64_t there = offset >= size ? 0 : size - offset < length ? size - offset : length;
  unsigned char *bytes = there > 0 ? malloc(there) : NULL;
  uint32_t kept = 0;
  if (there > 0) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int reader = REAL(open)(link, O_RDONLY | O_CLOEXEC);
    if (reader < 0 || REAL(pread64)(reader, bytes, there, offset) != (ssize_t)there) die("keep");
    REAL(close)(reader);
    kept = is_zero(bytes, there) ? 0 : there;
  }
  r.kept = kept;
  r.seq = ++control->seq;
  put(f, r, bytes);
  free(bytes);
  f->pending++;
}

/* Before a sync, by whatever means: 1 = it shall fail. */
static int delay_sync(void) {
  int64_t delay = control->sync_delay_us;
  if (delay > 0) {
    control->delayed++;
    usleep(delay);
  }
  if (control->fail_sync_in > 0 && --control->fail_sync_in == 0) {
    control->failed_syncs++;
    errno = EIO;
    return 1;
  }
  return 0;
}

/* Linux calls the pages clean now: no later sync writes them (and none may clear this). */
static void fail(struct file *f) {
  pthread_mutex_lock(&lock);
  f->is_doomed = 1;
  put(f, (struct record){.type = FAILED, .seq = ++control->seq}, NULL);
  pthread_mutex_unlock(&lock);
  errno = EIO;
}

/* After a write: on a descriptor with O_DSYNC it was a sync too, and may fail as one. */
static ssize_t wrote(struct file *f, int fd, uint64_t offset, ssize_t got) {
  if ((fcntl(fd, F_GETFL) & O_DSYNC) == 0 || got <= 0) return got;
  if (delay_sync()) {
    fail(f);
    return -1;
  }
  control->dsync_writes++;
  control->file_syncs++;
  struct stat st;
  pthread_mutex_lock(&lock);
  if (f->pending == 1 && !f->is_doomed && fstat(fd, &st) == 0) settle(f, st.st_size);
  else {
    put(f, (struct record){DURABLE, 0, ++control->seq, offset, got, offset + got}, NULL);
    f->pending--;
  }
  pthread_mutex_unlock(&lock);
  return got;
}

static int fails_with(int number, _Atomic uint64_t *count) {
  ++*count;
  errno = number;
  return 1;
}

/* The n-th write of a class: 1 = it shall fail. */
static int is_bad_write(const struct file *f) {
  if (control->fail_write_in <= 0 || (f->class & control->fail_writes_of) == 0) return 0;
  return --control->fail_write_in == 0 ? fails_with(EIO, &control->failed_writes) : 0;
}

/* Room for half of a write, once: the rest finds the disk full. */
static int is_cut_short(size_t length) {
  int64_t first = 2;
  if (length < 2 || !atomic_compare_exchange_strong(&control->is_full, &first, 1)) return 0;
  control->short_writes++;
  return 1;
}

/* Before a write of `length` bytes, of which fewer may find room: 1 = it shall fail. */
static int is_refused(const struct file *f, uint64_t at, uint64_t *length, const struct stat *st) {
  if (is_bad_write(f)) return 1;
  if (control->is_full == 0 || at + *length <= (uint64_t)st->st_size) return 0;
  if (!is_cut_short(*length)) return fails_with(ENOSPC, &control->refused_writes);
  *length /= 2;
  return 0;
}

static uint64_t bytes_in(const struct iovec *parts, int count) {
  uint64_t sum = 0;
  for (int i = 0; i < count; i++) sum += parts[i].iov_len;
  return sum;
}

/* The parts, or as many bytes of them as are wanted, in `room`. */
static const struct iovec *first_of(const struct iovec *parts, int *count, uint64_t wanted,
                                    struct iovec *room) {
  if (bytes_in(parts, *count) == wanted) return parts;
  int taken = 0;
  for (; wanted > 0; taken++) {
    room[taken] = parts[taken];
    if (room[taken].iov_len > wanted) room[taken].iov_len = wanted;
    wanted -= room[taken].iov_len;
  }
  *count = taken;
  return room;
}

/* `call` writes `wanted` bytes. */
#define AROUND_WRITE(fd, at, length, call)                                  \
  struct stat st;                                                           \
  uint64_t wanted = (length);                                               \
  struct file *f = watched(fd, &st);                                        \
  if (f == NULL) return call;                                               \
  uint64_t offset = (at);                                                   \
  if (is_refused(f, offset, &wanted, &st)) return -1;                       \
  pthread_mutex_lock(&lock);                                                \
  keep(f, fd, (struct record){WRITE, 0, 0, offset, wanted, st.st_size});    \
  pthread_mutex_unlock(&lock);                                              \
  ssize_t got = call;                                                       \
  return wrote(f, fd, offset, got);

static uint64_t position(int fd, const struct stat *st) {
  if ((fcntl(fd, F_GETFL) & O_APPEND) != 0) return st->st_size;
  return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  AROUND_WRITE(fd, position(fd, &st), length, REAL(write)(fd, bytes, wanted))
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  AROUND_WRITE(fd, at, length, REAL(pwrite64)(fd, bytes, wanted, at))
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  return pwrite64(fd, bytes, length, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  struct iovec room[count > 0 ? count : 1];
  AROUND_WRITE(fd, position(fd, &st), bytes_in(parts, count),
               ({ parts = first_of(parts, &count, wanted, room); REAL(writev)(fd, parts, count); }))
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  struct iovec room[count > 0 ? count : 1];
  AROUND_WRITE(fd, at, bytes_in(parts, count),
               ({ parts = first_of(parts, &count, wanted, room); REAL(pwritev64)(fd, parts, count, at); }))
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  return pwritev64(fd, parts, count, at);
}

int ftruncate64(int fd, off64_t size) {
  struct stat st;
  struct file *f = watched(fd, &st);
  if (f == NULL) return REAL(ftruncate64)(fd, size);
  if (control->is_full != 0 && size > st.st_size) {
    fails_with(ENOSPC, &control->refused_writes);
    return -1;
  }
  pthread_mutex_lock(&lock);
  uint64_t from = size < st.st_size ? size : st.st_size;
  uint64_t to = size < st.st_size ? st.st_size : size;
  keep(f, fd, (struct record){RESIZE, 0, 0, from, to - from, st.st_size});
  pthread_mutex_unlock(&lock);
  return REAL(ftruncate64)(fd, size);
}

int ftruncate(int fd, off_t size) {
  return ftruncate64(fd, size);
}

struct aside {
  uint64_t seq;
  char folder[PATH_MAX];
  struct aside *next;
};
static struct aside *asides;

static void name_aside(char *out, uint64_t seq) {
  snprintf(out, PATH_MAX + 32, "%s/%lu.aside", state_dir, seq);
}

/* What was removed from that directory before `seq` is gone for good. The lock is held. */
static void forget_asides(const char *folder, uint64_t seq) {
  char name[PATH_MAX + 32];
  for (struct aside **at = &asides; *at != NULL;) {
    struct aside *one = *at;
    if (one->seq > seq || strcmp(one->folder, folder) != 0) {
      at = &one->next;
      continue;
    }
    name_aside(name, one->seq);
    REAL(unlink)(name);
    *at = one->next;
    free(one);
  }
}

/* The content that a name stood for is kept under another one until its directory is synced. */
static uint64_t put_aside(const char *whole) {
  struct stat st;
  if (lstat(whole, &st) != 0 || !S_ISREG(st.st_mode)) return 0;
  uint64_t seq = ++control->seq;
  char name[PATH_MAX + 32];
  name_aside(name, seq);
  if (link(whole, name) != 0) die("put aside");
  struct aside *one = calloc(1, sizeof *one);
  one->seq = seq;
  snprintf(one->folder, sizeof one->folder, "%.*s", (int)(strrchr(whole, '/') - whole), whole);
  one->next = asides;
  asides = one;
  return seq;
}

static int sync_of(int fd, int (*sync)(int)) {
  struct stat st;
  if (control == NULL || fstat(fd, &st) != 0) return sync(fd);
  if (S_ISDIR(st.st_mode)) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return sync(fd);
    path[n] = 0;
    if (!is_inside(path) && strcmp(path, root) != 0) return sync(fd);
    uint64_t seq = ++control->seq;
    if (delay_sync() || sync(fd) != 0) return -1;
    control->dir_syncs++;
    pthread_mutex_lock(&lock);
    note("D\t%lu\t%s\n", seq, path);
    forget_asides(path, seq);
    pthread_mutex_unlock(&lock);
    return 0;
  }
  struct file *f = watched(fd, &st);
  if (f == NULL) return sync(fd);
  pthread_mutex_lock(&lock);
  uint64_t seq = ++control->seq;
  int before = f->pending;
  int is_stdio = f->is_stdio;
  if (fstat(fd, &st) != 0) die("size");
  pthread_mutex_unlock(&lock);
  if (delay_sync()) {
    fail(f);
    return -1;
  }
  if (sync(fd) != 0) return -1;
  if (is_stdio) control->stdio_syncs++;
  else control->file_syncs++;
  pthread_mutex_lock(&lock);
  if (f->pending == before && !f->is_doomed) settle(f, st.st_size);
  else {
    uint64_t now = ++control->seq;
    put(f, (struct record){.type = SYNCED, .seq = now, .offset = seq, .size = st.st_size}, NULL);
  }
  pthread_mutex_unlock(&lock);
  return 0;
}

int fsync(int fd) {
  return sync_of(fd, REAL(fsync));
}

int fdatasync(int fd) {
  return sync_of(fd, REAL(fdatasync));
}

/* Of a file that is about to be opened: 1 = it will be made now. */
static int is_to_come(const char *path, char *whole) {
  struct stat st;
  return resolve(path, whole) && stat(whole, &st) != 0;
}

static void made(int fd, const char *whole, int is_stdio) {
  struct stat st;
  if (fstat(fd, &st) != 0) return;
  pthread_mutex_lock(&lock);
  file_of(&st, 1)->is_stdio = is_stdio;
  note("C\t%lu\t%s\n", ++control->seq, whole);
  pthread_mutex_unlock(&lock);
}

static int open_any(const char *path, int flags, mode_t mode) {
  char whole[PATH_MAX];
  int is_new = (flags & O_CREAT) != 0 && (flags & O_TMPFILE) != O_TMPFILE && is_to_come(path, whole);
  int cuts = (flags & O_TRUNC) != 0 && !is_new && resolve(path, whole);
  int fd = REAL(open64)(path, cuts ? flags & ~O_TRUNC : flags, mode);
  if (fd >= 0 && is_new) made(fd, whole, 0);
  if (fd >= 0 && cuts && ftruncate64(fd, 0) != 0) {
    REAL(close)(fd);
    return -1;
  }
  return fd;
}

#define MODE_OF(flags)                                   \
  mode_t mode = 0;                                       \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {          \
    va_list args;                                        \
    va_start(args, flags);                               \
    mode = va_arg(args, mode_t);                         \
    va_end(args);                                        \
  }

int open64(const char *path, int flags, ...) {
  MODE_OF(flags)
  return open_any(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  MODE_OF(flags)
  return open_any(path, flags, mode);
}

FILE *fopen64(const char *path, const char *mode) {
  char whole[PATH_MAX];
  int is_new = mode[0] != 'r' && is_to_come(path, whole);
  FILE *stream = REAL(fopen64)(path, mode);
  if (stream == NULL) return NULL;
  if (is_new) made(fileno(stream), whole, 1);
  else if (mode[0] != 'r' && resolve(path, whole)) {
    struct stat st;
    pthread_mutex_lock(&lock);
    if (fstat(fileno(stream), &st) == 0) file_of(&st, 0)->is_stdio = 1;
    pthread_mutex_unlock(&lock);
  }
  return stream;
}

FILE *fopen(const char *path, const char *mode) {
  return fopen64(path, mode);
}

/* stdio: a full disk is met when bytes leave the buffer; LevelDB asks after each record. */
size_t fwrite_unlocked(const void *bytes, size_t size, size_t count, FILE *stream) {
  struct stat st;
  int is_on = control != NULL && (control->is_full != 0 || control->fail_write_in > 0);
  struct file *f = is_on ? watched(fileno(stream), &st) : NULL;
  if (f == NULL) return REAL(fwrite_unlocked)(bytes, size, count, stream);
  if (is_bad_write(f)) return 0;
  if (control->is_full != 0) {
    if (is_cut_short(count)) REAL(fwrite_unlocked)(bytes, size, count / 2, stream);
    fails_with(ENOSPC, &control->refused_writes);
    return 0;
  }
  return REAL(fwrite_unlocked)(bytes, size, count, stream);
}

/* Sockets and pipes come by here, too: a look at one number, as long as nothing is on. */
static int is_bad_read(int fd) {
  struct stat st;
  if (control == NULL || control->fail_reads_of == 0 || fd < 0) return 0;
  struct file *f = watched(fd, &st);
  if (f == NULL || (f->class & control->fail_reads_of) == 0) return 0;
  return fails_with(EIO, &control->failed_reads);
}

ssize_t read(int fd, void *bytes, size_t length) {
  return is_bad_read(fd) ? -1 : REAL(read)(fd, bytes, length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
  return is_bad_read(fd) ? -1 : REAL(pread64)(fd, bytes, length, at);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at) {
  return pread64(fd, bytes, length, at);
}

ssize_t readv(int fd, const struct iovec *parts, int count) {
  return is_bad_read(fd) ? -1 : REAL(readv)(fd, parts, count);
}

ssize_t preadv64(int fd, const struct iovec *parts, int count, off64_t at) {
  return is_bad_read(fd) ? -1 : REAL(preadv64)(fd, parts, count, at);
}

ssize_t preadv(int fd, const struct iovec *parts, int count, off_t at) {
  return preadv64(fd, parts, count, at);
}

/* Without the mark of an error in the stream, which nobody can set from outside. */
size_t fread_unlocked(void *bytes, size_t size, size_t count, FILE *stream) {
  return is_bad_read(fileno(stream)) ? 0 : REAL(fread_unlocked)(bytes, size, count, stream);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
  if (is_bad_read(fd)) return MAP_FAILED;
  return REAL(mmap64)(at, length, protection, flags, fd, offset);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
  return mmap64(at, length, protection, flags, fd, offset);
}

int unlink(const char *path) {
  char whole[PATH_MAX];
  if (!resolve(path, whole)) return REAL(unlink)(path);
  pthread_mutex_lock(&lock);
  uint64_t aside = put_aside(whole);
  int result = REAL(unlink)(path);
  if (result == 0) note("U\t%lu\t%s\t%lu\n", ++control->seq, whole, aside);
  pthread_mutex_unlock(&lock);
  return result;
}

int rename(const char *from, const char *to) {
  char whole_from[PATH_MAX], whole_to[PATH_MAX];
  if (!resolve(from, whole_from) || !resolve(to, whole_to)) return REAL(rename)(from, to);
  pthread_mutex_lock(&lock);
  uint64_t aside = put_aside(whole_to);
  int result = REAL(rename)(from, to);
  if (result == 0) note("R\t%lu\t%s\t%s\t%lu\n", ++control->seq, whole_from, whole_to, aside);
  pthread_mutex_unlock(&lock);
  return result;
}

int mkdir(const char *path, mode_t mode) {
  char whole[PATH_MAX];
  int is_watched = resolve(path, whole);
  int result = REAL(mkdir)(path, mode);
  if (result == 0 && is_watched) note("M\t%lu\t%s\n", ++control->seq, whole);
  return result;
}

int rmdir(const char *path) {
  char whole[PATH_MAX];
  int is_watched = resolve(path, whole);
  int result = REAL(rmdir)(path);
  if (result == 0 && is_watched) note("X\t%lu\t%s\n", ++control->seq, whole);
  return result;
}

/* glibc's own remove() calls its own unlink() and rmdir(). */
int remove(const char *path) {
  return unlink(path) == 0 ? 0 : errno == EISDIR || errno == EPERM ? rmdir(path) : -1;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = REAL(clock_gettime)(clock, now);
  if (result != 0 || control == NULL) return result;
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return result;
  int64_t offset = control->clock_offset_ms;
  if (offset == 0) return 0;
  control->shifted_reads++;
  now->tv_sec += offset / 1000;
  now->tv_nsec += (offset % 1000) * 1000000;
  if (now->tv_nsec >= 1000000000) {
    now->tv_nsec -= 1000000000;
    now->tv_sec++;
  }
  if (now->tv_nsec < 0) {
    now->tv_nsec += 1000000000;
    now->tv_sec--;
  }
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &exact) != 0) return -1;
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (out != NULL) *out = exact.tv_sec;
  return exact.tv_sec;
}

/* Stands between a process and the C library: counts the calls that change files below one directory, and at a chosen
 * one kills the process or fails; or records them all. Preloaded with LD_PRELOAD and driven by the exported shim_*
 * functions: see shim.py, which also names the numbers below. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE = 2, SYNC = 4, RENAME = 8, LINK = 16, MKDIR = 32, UNLINK = 64, OPEN = 128 };
enum { COUNT, KILL, KILL_TORN, FAIL, SHORT, LIE };
enum { T_WRITE, T_TRUNCATE, T_SYNC, T_SYNC_ALL, T_RENAME, T_LINK, T_MKDIR, T_UNLINK, T_CREATE, T_MARK, T_SYNC_FAILED };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static unsigned kinds;
static int action, number, for_good, trace = -1;
static long at, seen, hits;
static char hit[PATH_MAX + 32];

static const char *name_of(int kind) {
    switch (kind) {
    case WRITE: return "write";
    case TRUNCATE: return "truncate";
    case SYNC: return "sync";
    case RENAME: return "rename";
    case LINK: return "link";
    case MKDIR: return "mkdir";
    case UNLINK: return "unlink";
    default: return "open";
    }
}

#define REAL(result, name, ...)                                                                                        \
    static result (*real_##name)(__VA_ARGS__);                                                                         \
    if (!real_##name) real_##name = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static ssize_t raw_write(int fd, const void *data, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    return real_write(fd, data, length);
}

/* --- what a call concerns ------------------------------------------------------------------------------------- */

static int active(void) { return root_length != 0; }

static int below_root(const char *path) {
    return strncmp(path, root, root_length) == 0 && (path[root_length] == 0 || path[root_length] == '/');
}

static void path_of_descriptor(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

static void path_at(int directory, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char above[PATH_MAX];
    if (directory == AT_FDCWD) {
        if (!getcwd(above, sizeof above)) above[0] = 0;
    } else {
        path_of_descriptor(directory, above);
    }
    if ((size_t)snprintf(path, PATH_MAX, "%s/%s", above, name) >= PATH_MAX) path[0] = 0;
}

/* --- the trace ------------------------------------------------------------------------------------------------ */

struct entry {
    int64_t kind, inode, offset, length, path_length, target_length;
};

static void record(int kind, int64_t inode, int64_t offset, const char *path, const char *target, const void *data,
                   size_t length) {
    struct entry entry = {kind, inode, offset, (int64_t)length, (int64_t)strlen(path), (int64_t)strlen(target)};
    struct iovec parts[] = {{&entry, sizeof entry},
                            {(void *)path, (size_t)entry.path_length},
                            {(void *)target, (size_t)entry.target_length},
                            {(void *)data, length}};
    for (int part = 0; part < 4; part++) {
        const char *bytes = parts[part].iov_base;
        size_t left = parts[part].iov_len;
        while (left > 0) {
            ssize_t written = raw_write(trace, bytes, left);
            if (written <= 0) raise(SIGABRT); /* a trace with a gap would prove nothing */
            bytes += written;
            left -= (size_t)written;
        }
    }
}

static int64_t inode_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? -1 : (int64_t)found.st_ino;
}

static int64_t inode_at(const char *path) {
    struct stat found;
    return lstat(path, &found) ? -1 : (int64_t)found.st_ino;
}

/* --- the faults ----------------------------------------------------------------------------------------------- */

enum { GO_ON, REFUSE, TEAR, PRETEND };

/* Counts a call and says what becomes of it. Called with the lock held. */
static int decide(int kind, const char *path) {
    if (!(kinds & (unsigned)kind) || !below_root(path)) return GO_ON;
    seen++;
    if (action == LIE) return kind == SYNC ? PRETEND : GO_ON;
    int fails_now = action == SHORT ? seen == at + 1 || (for_good && seen > at) : seen == at || (for_good && seen > at);
    int short_now = action == SHORT && seen == at;
    if (at == 0 || action == COUNT || !(fails_now || short_now)) return GO_ON;
    if (!hits++) snprintf(hit, sizeof hit, "%s %s", name_of(kind), path);
    if (action == KILL || (action == KILL_TORN && kind != WRITE)) kill(getpid(), SIGKILL);
    return action == KILL_TORN || short_now ? TEAR : REFUSE;
}

static int refuse(void) {
    errno = number;
    return -1;
}

/* Every interposed call is of this shape: who is concerned, the verdict, the real call, the trace. */
#define BEGIN(kind, fill)                                                                                              \
    char path[PATH_MAX];                                                                                               \
    int verdict = GO_ON, concerned = 0, held = 0;                                                                      \
    if (active()) {                                                                                                    \
        fill;                                                                                                          \
        pthread_mutex_lock(&lock);                                                                                     \
        concerned = below_root(path);                                                                                  \
        verdict = decide(kind, path);                                                                                  \
        held = trace >= 0; /* until the end of the call: the trace is in the order of the calls */                     \
        if (!held) pthread_mutex_unlock(&lock);                                                                        \
    }                                                                                                                  \
    (void)concerned
#define END(result)                                                                                                    \
    do {                                                                                                               \
        int saved = errno;                                                                                             \
        if (held) pthread_mutex_unlock(&lock);                                                                         \
        errno = saved;                                                                                                 \
        return result;                                                                                                 \
    } while (0)
#define TRACED (held && concerned && result >= 0)

#define WRITE_BODY(call, half_call, where, data, length)                                                               \
    int64_t offset = held ? (where) : 0;                                                                               \
    ssize_t result;                                                                                                    \
    if (verdict == REFUSE) END(refuse());                                                                              \
    if (verdict == TEAR && action == KILL_TORN) {                                                                      \
        if ((length) > 1 && (half_call) < 0) raise(SIGABRT);                                                           \
        kill(getpid(), SIGKILL);                                                                                       \
    }                                                                                                                  \
    result = verdict == TEAR && (length) > 1 ? (half_call) : (call); /* one byte has no half */                        \
    if (TRACED) record(T_WRITE, inode_of(fd), offset, path, "", data, (size_t)result);                                 \
    END(result)

static int64_t position_of(int fd) {
    struct stat found;
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_APPEND) && !fstat(fd, &found)) return found.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t length) {
    BEGIN(WRITE, path_of_descriptor(fd, path));
    WRITE_BODY(raw_write(fd, data, length), raw_write(fd, data, length / 2), position_of(fd), data, length);
}

#define PWRITE(name)                                                                                                   \
    ssize_t name(int fd, const void *data, size_t length, off_t start) {                                               \
        REAL(ssize_t, name, int, const void *, size_t, off_t);                                                         \
        BEGIN(WRITE, path_of_descriptor(fd, path));                                                                    \
        WRITE_BODY(real_##name(fd, data, length, start), real_##name(fd, data, length / 2, start), start, data,        \
                   length);                                                                                            \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

/* Of a vector, the first part alone is written: a short write is always allowed. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    if (!active()) return real_writev(fd, parts, count);
    return write(fd, parts[0].iov_base, parts[0].iov_len);
}

#define PWRITEV(name)                                                                                                  \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t start) {                                          \
        REAL(ssize_t, name, int, const struct iovec *, int, off_t);                                                    \
        if (!active()) return real_##name(fd, parts, count, start);                                                    \
        return pwrite(fd, parts[0].iov_base, parts[0].iov_len, start);                                                 \
    }
PWRITEV(pwritev)
PWRITEV(pwritev64)

#define FTRUNCATE(name)                                                                                                \
    int name(int fd, off_t length) {                                                                                   \
        REAL(int, name, int, off_t);                                                                                   \
        BEGIN(TRUNCATE, path_of_descriptor(fd, path));                                                                 \
        if (verdict != GO_ON) END(refuse());                                                                           \
        int result = real_##name(fd, length);                                                                          \
        if (TRACED) record(T_TRUNCATE, inode_of(fd), length, path, "", "", 0);                                         \
        END(result);                                                                                                   \
    }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

#define FALLOCATE(name)                                                                                                \
    int name(int fd, int mode, off_t start, off_t length) {                                                            \
        REAL(int, name, int, int, off_t, off_t);                                                                       \
        BEGIN(TRUNCATE, path_of_descriptor(fd, path));                                                                 \
        if (verdict != GO_ON) END(refuse());                                                                           \
        int result = real_##name(fd, mode, start, length);                                                             \
        if (TRACED) raise(SIGABRT); /* nothing here allocates ahead; the trace would need to know how */               \
        END(result);                                                                                                   \
    }
FALLOCATE(fallocate)
FALLOCATE(fallocate64)

#define SYNCS(name, kind)                                                                                              \
    int name(int fd) {                                                                                                 \
        REAL(int, name, int);                                                                                          \
        BEGIN(SYNC, path_of_descriptor(fd, path));                                                                     \
        if (verdict == PRETEND) END(0);                                                                                \
        if (verdict != GO_ON && held) record(T_SYNC_FAILED, inode_of(fd), (kind) == T_SYNC_ALL, path, "", "", 0);       \
        if (verdict != GO_ON) END(refuse());                                                                           \
        int result = real_##name(fd);                                                                                  \
        if (TRACED) record(kind, inode_of(fd), 0, path, "", "", 0);                                                    \
        END(result);                                                                                                   \
    }
SYNCS(fsync, T_SYNC)
SYNCS(fdatasync, T_SYNC)
SYNCS(syncfs, T_SYNC_ALL)

/* Makes nothing durable by its own description: counted, not traced. */
int sync_file_range(int fd, off_t start, off_t length, unsigned flags) {
    REAL(int, sync_file_range, int, off_t, off_t, unsigned);
    BEGIN(SYNC, path_of_descriptor(fd, path));
    if (verdict == PRETEND) END(0);
    if (verdict != GO_ON) END(refuse());
    END(real_sync_file_range(fd, start, length, flags));
}

static int two_names(int kind, int traced_as, int from, const char *name, int to, const char *target, int flags,
                     int (*call)(int, const char *, int, const char *, int)) {
    char other[PATH_MAX];
    BEGIN(kind, { path_at(from, name, other); path_at(to, target, path); });
    if (verdict != GO_ON) END(refuse());
    int result = call(from, name, to, target, flags);
    if (TRACED) record(traced_as, inode_at(path), 0, other, path, "", 0);
    END(result);
}

static int call_rename(int from, const char *name, int to, const char *target, int flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    return real_renameat2(from, name, to, target, (unsigned)flags);
}

static int call_link(int from, const char *name, int to, const char *target, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    return real_linkat(from, name, to, target, flags);
}

int rename(const char *name, const char *target) {
    return two_names(RENAME, T_RENAME, AT_FDCWD, name, AT_FDCWD, target, 0, call_rename);
}
int renameat(int from, const char *name, int to, const char *target) {
    return two_names(RENAME, T_RENAME, from, name, to, target, 0, call_rename);
}
int renameat2(int from, const char *name, int to, const char *target, unsigned flags) {
    return two_names(RENAME, T_RENAME, from, name, to, target, (int)flags, call_rename);
}
int link(const char *name, const char *target) {
    return two_names(LINK, T_LINK, AT_FDCWD, name, AT_FDCWD, target, 0, call_link);
}
int linkat(int from, const char *name, int to, const char *target, int flags) {
    return two_names(LINK, T_LINK, from, name, to, target, flags, call_link);
}

int mkdirat(int directory, const char *name, mode_t mode) {
    REAL(int, mkdirat, int, const char *, mode_t);
    BEGIN(MKDIR, path_at(directory, name, path));
    if (verdict != GO_ON) END(refuse());
    int result = real_mkdirat(directory, name, mode);
    if (TRACED) record(T_MKDIR, 0, 0, path, "", "", 0);
    END(result);
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int unlinkat(int directory, const char *name, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    BEGIN(UNLINK, path_at(directory, name, path));
    if (verdict != GO_ON) END(refuse());
    int result = real_unlinkat(directory, name, flags);
    if (TRACED) record(T_UNLINK, 0, 0, path, "", "", 0);
    END(result);
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

static int open_any(int directory, const char *name, int flags, mode_t mode) {
    REAL(int, openat, int, const char *, int, ...);
    BEGIN(OPEN, path_at(directory, name, path));
    if (verdict != GO_ON) END(refuse());
    int new = held && concerned && (flags & O_CREAT) && inode_at(path) < 0;
    if (held && concerned && (flags & O_TRUNC)) raise(SIGABRT); /* nothing here does; the trace knows no such step */
    int result = real_openat(directory, name, flags, mode);
    if (TRACED && new) record(T_CREATE, inode_of(result), 0, path, "", "", 0);
    END(result);
}

#define MODE                                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }
int open(const char *name, int flags, ...) { MODE return open_any(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE return open_any(AT_FDCWD, name, flags, mode); }
int openat(int directory, const char *name, int flags, ...) { MODE return open_any(directory, name, flags, mode); }
int openat64(int directory, const char *name, int flags, ...) { MODE return open_any(directory, name, flags, mode); }

/* --- what the tests call --------------------------------------------------------------------------------------- */

void shim_arm(const char *below, unsigned which, int what, long nth, int error, int from_then_on, int trace_to) {
    pthread_mutex_lock(&lock);
    snprintf(root, sizeof root, "%s", below);
    kinds = which;
    action = what;
    at = nth;
    number = error;
    for_good = from_then_on;
    seen = hits = 0;
    hit[0] = 0;
    trace = trace_to;
    root_length = strlen(root);
    pthread_mutex_unlock(&lock);
}

void shim_disarm(void) {
    pthread_mutex_lock(&lock);
    root_length = 0;
    trace = -1;
    pthread_mutex_unlock(&lock);
}

long shim_seen(void) { return seen; }
long shim_hits(void) { return hits; }
const char *shim_hit(void) { return hit; }

void shim_mark(const char *text) {
    pthread_mutex_lock(&lock);
    if (trace >= 0) record(T_MARK, 0, 0, "", "", text, strlen(text));
    pthread_mutex_unlock(&lock);
}

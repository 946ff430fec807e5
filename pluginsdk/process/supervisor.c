// The task supervisor: what remains of the plugin binary when it is started
// under one of the two names below. It runs as a constructor, before the Go
// runtime exists, so that a supervised task costs a few dozen private pages
// and no thread. supervisor.md specifies its input, output and states.

//go:build linux && cgo

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAME_SUPERVISE "serai-supervisor"
#define NAME_EXEC "serai-task-exec"

#define SPEC_FD 3
#define SPEC_MAGIC 0x53524931

enum {
	FLAG_ADOPT = 1,        // the child exists already: supervise pid, start nothing
	FLAG_CREDENTIALS = 2,  // uid, gid and groups are set
	FLAG_OOM_SCORE = 4,    // oom_score_adj is set
	FLAG_NO_NEW_PRIVS = 8, // set PR_SET_NO_NEW_PRIVS
	FLAG_TERMINAL = 16,    // make fd 0 the controlling terminal
};

// Keep in step with wireHeader in wire.go.
struct header {
	uint32_t magic, flags;
	int32_t pid;
	uint32_t uid, gid, groups;
	int32_t oom_score_adj;
	uint32_t args, env;
	int32_t status_fd;  // SOCK_SEQPACKET to the plugin
	int32_t state_fd;   // directory that receives the exit record, or -1
	int32_t unified_fd; // cgroup v2 directory to start in, or -1
	int32_t kill_fd;    // cgroup.kill of that directory, or -1
	int32_t procs_fd;   // cgroup.procs to empty when there is no cgroup.kill, or -1
	int32_t join_fd;    // first of joins cgroup v1 membership files
	uint32_t joins;
	uint32_t size; // of the whole spec
	int32_t netns_fd; // network namespace to enter, or -1
};

// Stages of a start, reported with errno. Keep in step with stageNames in wire.go.
enum { STAGE_STARTED, STAGE_SPEC, STAGE_FORK, STAGE_CGROUP, STAGE_SESSION,
	STAGE_OOM_SCORE, STAGE_USER, STAGE_DIR, STAGE_PRIVS, STAGE_EXEC, STAGE_LAUNCH, STAGE_NETWORK };

struct status {
	int32_t stage, error, pid;
};

static char *next_string(char **at) {
	char *s = *at;
	*at += strlen(s) + 1;
	return s;
}

static int write_all(int fd, const char *s, size_t n) {
	while (n > 0) {
		ssize_t w = write(fd, s, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		s += w;
		n -= (size_t)w;
	}
	return 0;
}

static int write_number(const char *path, int n) {
	char text[16];
	int len = snprintf(text, sizeof text, "%d\n", n);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int r = write_all(fd, text, (size_t)len);
	int e = errno;
	close(fd);
	errno = e;
	return r;
}

static void close_on_exec_from(unsigned first) {
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
	if (syscall(SYS_close_range, first, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) == 0)
		return;
	for (int fd = (int)first; fd < 4096; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// become_task turns this process into the task. It returns only on failure:
// the stage that failed, with errno set.
static int become_task(struct header *h, uint32_t *groups, char *path, char *dir, char **argv, char **envp) {
	sigset_t none;
	sigemptyset(&none);
	// By the system call: the C library keeps two signals to itself and
	// would leave them ignored. All zero is the default action.
	unsigned long standard[4] = {0};
	for (int s = 1; s < NSIG; s++)
		syscall(SYS_rt_sigaction, s, standard, NULL, 8);
	sigprocmask(SIG_SETMASK, &none, NULL);

	// "0" means the writing process: the kernel then need not stop every
	// other fork and exit on the machine, which costs milliseconds.
	for (uint32_t i = 0; i < h->joins; i++)
		if (write_all(h->join_fd + (int)i, "0\n", 2) < 0)
			return STAGE_CGROUP;
	if (setsid() < 0 && errno != EPERM)
		return STAGE_SESSION;
	if ((h->flags & FLAG_TERMINAL) && ioctl(0, TIOCSCTTY, 0) < 0)
		return STAGE_SESSION;
	if (h->netns_fd >= 0 && setns(h->netns_fd, CLONE_NEWNET) < 0)
		return STAGE_NETWORK;
	if ((h->flags & FLAG_OOM_SCORE) && write_number("/proc/self/oom_score_adj", h->oom_score_adj) < 0)
		return STAGE_OOM_SCORE;
	if (h->flags & FLAG_CREDENTIALS) {
		if (syscall(SYS_setgroups, h->groups, groups) < 0 || syscall(SYS_setresgid, h->gid, h->gid, h->gid) < 0 ||
			syscall(SYS_setresuid, h->uid, h->uid, h->uid) < 0)
			return STAGE_USER;
	}
	if (chdir(dir) < 0)
		return STAGE_DIR;
	if ((h->flags & FLAG_NO_NEW_PRIVS) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return STAGE_PRIVS;
	close_on_exec_from(3);
	execve(path, argv, envp);
	return STAGE_EXEC;
}

static void tell(int fd, int stage, int error, pid_t pid) {
	struct status s = {stage, error, pid};
	ssize_t n = send(fd, &s, sizeof s, MSG_NOSIGNAL);
	(void)n; // a plugin that died is noticed when its acknowledgement is awaited
}

static int join_unified(struct header *h) {
	int procs = openat(h->unified_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return procs < 0 ? -1 : write_all(procs, "0\n", 2);
}

// fork_task forks, into the cgroup v2 directory where the kernel can.
static pid_t fork_task(struct header *h) {
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
	if (h->unified_fd < 0)
		return fork();
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
	} args = {.flags = 0x200000000ULL /* CLONE_INTO_CGROUP */, .exit_signal = SIGCHLD, .cgroup = (uint64_t)h->unified_fd};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid >= 0 || (errno != ENOSYS && errno != EINVAL && errno != EPERM))
		return pid;
	pid = fork();
	if (pid == 0 && join_unified(h) < 0)
		_exit(127);
	return pid;
}

static int kill_list(int fd) {
	char text[4096];
	int killed = 0;
	off_t at = 0;
	long pid = 0;
	for (;;) {
		ssize_t n = pread(fd, text, sizeof text, at);
		if (n <= 0)
			break;
		at += n;
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			if (pid > 1 && pid != getpid() && kill((pid_t)pid, SIGKILL) == 0)
				killed++;
			pid = 0;
		}
	}
	return killed;
}

// kill_leftovers ends what the task left behind: its cgroup, its process
// group, and whatever was re-parented to this process.
static void kill_leftovers(struct header *h, pid_t pid) {
	if (h->kill_fd < 0 || write_all(h->kill_fd, "1\n", 2) < 0)
		if (h->procs_fd >= 0)
			for (int i = 0; i < 100 && kill_list(h->procs_fd) > 0; i++)
				usleep(500);
	if (pid > 1)
		kill(-pid, SIGKILL);
}

static void reap_orphans(void) {
	for (int wait_us = 100; wait_us < 1000000; wait_us *= 2) {
		int children = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
		if (children >= 0) {
			kill_list(children);
			close(children);
		}
		pid_t got;
		while ((got = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
			;
		if (got < 0 && errno == ECHILD)
			return;
		usleep((useconds_t)wait_us);
	}
}

// record writes the exit record under a temporary name and renames it, so that
// a reader sees the whole record or none.
static void record(struct header *h, pid_t pid, const siginfo_t *info) {
	struct timespec now;
	char text[256];
	clock_gettime(CLOCK_REALTIME, &now);
	int killed = info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED;
	int n = snprintf(text, sizeof text, "{\"pid\":%d,\"exit_code\":%d,\"signal\":%d,\"finished_at\":%lld}\n", (int)pid,
		killed ? 0 : info->si_status, killed ? info->si_status : 0,
		(long long)now.tv_sec * 1000000000LL + now.tv_nsec);
	int fd = openat(h->state_fd, "exit.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (write_all(fd, text, (size_t)n) == 0 && fsync(fd) == 0 &&
		renameat(h->state_fd, "exit.tmp", h->state_fd, "exit") == 0)
		fsync(h->state_fd);
	close(fd);
}

static void supervise(struct header *h, uint32_t *groups, char *path, char *dir, char **argv, char **envp) {
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, NAME_SUPERVISE, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	close_on_exec_from(3);

	pid_t pid = h->pid;
	if (!(h->flags & FLAG_ADOPT)) {
		int failure[2];
		if (pipe2(failure, O_CLOEXEC) < 0) {
			tell(h->status_fd, STAGE_FORK, errno, 0);
			_exit(1);
		}
		pid = fork_task(h);
		if (pid < 0) {
			tell(h->status_fd, STAGE_FORK, errno, 0);
			_exit(1);
		}
		if (pid == 0) {
			struct status s = {0};
			s.stage = become_task(h, groups, path, dir, argv, envp);
			s.error = errno;
			if (write_all(failure[1], (char *)&s, sizeof s) < 0)
				_exit(126);
			_exit(127);
		}
		close(failure[1]);
		struct status s = {0};
		ssize_t n;
		do
			n = read(failure[0], &s, sizeof s);
		while (n < 0 && errno == EINTR);
		close(failure[0]);
		if (n != 0) {
			tell(h->status_fd, n == sizeof s ? s.stage : STAGE_FORK, n == sizeof s ? s.error : EIO, 0);
			_exit(1);
		}
	}

	// The plugin acknowledges once it can find the task again. If it dies
	// before that nobody will ever ask for this task: it must not stay.
	tell(h->status_fd, STAGE_STARTED, 0, pid);
	char ack;
	ssize_t n;
	do
		n = recv(h->status_fd, &ack, 1, 0);
	while (n < 0 && errno == EINTR);
	close(h->status_fd);
	if (n != 1) {
		kill(pid, SIGKILL);
		kill_leftovers(h, pid);
		reap_orphans();
		_exit(1);
	}

	struct header kept = *h;
	for (uint32_t i = 0; i < h->joins; i++)
		close(h->join_fd + (int)i);
	if (h->unified_fd >= 0)
		close(h->unified_fd);
	munmap(argv, (size_t)(h->args + h->env + 2) * sizeof(char *));
	munmap(h, h->size);
	h = &kept;

	siginfo_t info;
	for (;;) {
		memset(&info, 0, sizeof info);
		if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL) < 0) {
			if (errno == EINTR)
				continue;
			_exit(1);
		}
		if (info.si_pid == pid)
			break;
		waitpid(info.si_pid, NULL, __WALL);
	}
	// The task stays a zombie until its process group is killed, so that the
	// group's number cannot have gone to someone else.
	kill_leftovers(h, pid);
	if (h->state_fd >= 0)
		record(h, pid, &info);
	reap_orphans();
	_exit(0);
}

static void start(int as_supervisor) {
	struct stat st;
	if (fstat(SPEC_FD, &st) < 0 || st.st_size < (off_t)sizeof(struct header))
		_exit(125);
	struct header *h = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, SPEC_FD, 0);
	if (h == MAP_FAILED || h->magic != SPEC_MAGIC || h->size != st.st_size)
		_exit(125);
	close(SPEC_FD);

	char **vector = mmap(NULL, (size_t)(h->args + h->env + 2) * sizeof(char *), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vector == MAP_FAILED) {
		tell(h->status_fd, STAGE_SPEC, errno, 0);
		_exit(1);
	}
	uint32_t *groups = (uint32_t *)(h + 1);
	char *at = (char *)(groups + h->groups);
	char *path = next_string(&at), *dir = next_string(&at);
	char **argv = vector, **envp = vector + h->args + 1;
	for (uint32_t i = 0; i < h->args; i++)
		argv[i] = next_string(&at);
	for (uint32_t i = 0; i < h->env; i++)
		envp[i] = next_string(&at);

	if (as_supervisor)
		supervise(h, groups, path, dir, argv, envp);
	int status = h->status_fd;
	if (h->unified_fd >= 0 && join_unified(h) < 0) {
		tell(status, STAGE_CGROUP, errno, 0);
		_exit(127);
	}
	int stage = become_task(h, groups, path, dir, argv, envp);
	tell(status, stage, errno, 0);
	_exit(127);
}

__attribute__((constructor)) static void serai_supervisor(void) {
	char name[32] = {0};
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, name, sizeof name - 1);
	close(fd);
	if (n <= 0)
		return;
	if (strcmp(name, NAME_SUPERVISE) == 0)
		start(1);
	if (strcmp(name, NAME_EXEC) == 0)
		start(0);
}

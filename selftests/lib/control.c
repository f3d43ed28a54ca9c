// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "control.h"
#include "util.h"

#define BPIO_REASON(NAME, token, sentence) \
	[BPIO_REASON_##NAME] = token,
static const char *const tokens[BPIO_REASON_COUNT] = {
#include "reasons.h"
};

#undef BPIO_REASON
#define BPIO_REASON(NAME, token, sentence) \
	[BPIO_REASON_##NAME] = sentence,
static const char *const sentences[BPIO_REASON_COUNT] = {
#include "reasons.h"
};

#undef BPIO_REASON

const char *reason_token(uint32_t reason)
{
	return reason < BPIO_REASON_COUNT ? tokens[reason] : "?";
}

const char *reason_sentence(uint32_t reason)
{
	return reason < BPIO_REASON_COUNT ? sentences[reason] : "?";
}

static int send(int volume, unsigned long code, const void *in, size_t in_size,
		void *out, size_t out_size)
{
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (uintptr_t)in,
		.out_buffer = (uintptr_t)out,
		.in_length = in_size,
		.out_length = out_size,
	};

	return ioctl(volume, code, &envelope) ? -errno : 0;
}

int fs_op_flags(int volume, uint32_t operation, int fd, uint32_t flags,
		struct fs_bpio_output *out)
{
	struct fs_bpio_input in = {
		.operation = operation, .in_flags = flags, .fd = fd,
	};

	memset(out, 0, sizeof(*out));
	return send(volume, FSCTL_MANAGE_BYPASS_IO, &in, sizeof(in), out,
		    sizeof(*out));
}

int fs_op(int volume, uint32_t operation, int fd, struct fs_bpio_output *out)
{
	return fs_op_flags(volume, operation, fd, 0, out);
}

static int enable(int volume, int fd, uint32_t flags)
{
	struct fs_bpio_output out;
	int ret = fs_op_flags(volume, FS_BPIO_OP_ENABLE, fd, flags, &out);

	if (ret)
		return ret;
	if (out.support != BPIO_SUPPORT_NONE)
		return 0;
	return out.enable.op_status ?: -EPROTO;
}

int fs_enable(int volume, int fd)
{
	return enable(volume, fd, 0);
}

int fs_disable(int volume, int fd)
{
	struct fs_bpio_output out;

	return fs_op(volume, FS_BPIO_OP_DISABLE, fd, &out);
}

int fs_info(int volume, struct fs_bpio_info *info)
{
	struct fs_bpio_output out;
	int ret = fs_op(volume, FS_BPIO_OP_GET_INFO, -1, &out);

	*info = out.get_info;
	return ret;
}

int active_count(int volume)
{
	struct fs_bpio_info info;
	int ret = fs_info(volume, &info);

	return ret ?: (int)info.active_count;
}

int active_count_wait(int volume, int count)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	int active;

	do {
		active = active_count(volume);
		if (active == count)
			return 0;
	} while (poll_again(deadline));
	diag("%d open files enabled after %d ms, not %d", active, DEADLINE_MS,
	     count);
	return -ETIMEDOUT;
}

int storage_op_fd(int volume, uint32_t operation, int fd,
		  struct bpio_output *out)
{
	struct bpio_input in = {
		.version = BPIO_INPUT_VERSION,
		.size = sizeof(in),
		.operation = operation,
		.fd = fd,
	};

	memset(out, 0, sizeof(*out));
	return send(volume, IOCTL_STORAGE_MANAGE_BYPASS_IO, &in, sizeof(in),
		    out, sizeof(*out));
}

int storage_op(int volume, uint32_t operation, struct bpio_output *out)
{
	return storage_op_fd(volume, operation, 0, out);
}

int node_open(void)
{
	int node = open("/dev/" BPIO_NODE_NAME, O_RDWR | O_CLOEXEC);

	return node < 0 ? -errno : node;
}

int node_enable(int node, int fd)
{
	return enable(node, fd, FS_BPIO_INFL_ARM);
}

int tally_read(int node, struct bpio_tally *tally)
{
	memset(tally, 0, sizeof(*tally));
	tally->size = sizeof(*tally);
	return ioctl(node, BPIO_IOC_TALLY, tally) ? -errno : 0;
}

int file_arm(int fd, struct bpio_file_arm *arm)
{
	memset(arm, 0, sizeof(*arm));
	arm->size = sizeof(*arm);
	return ioctl(fd, BPIO_IOC_FILE_ARM, arm) ? -errno : 0;
}

int file_info(int fd, struct bpio_file_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return ioctl(fd, BPIO_IOC_FILE_INFO, info) ? -errno : 0;
}

int file_armed(int fd)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	struct bpio_file_arm arm;
	int ret;

	do {
		ret = file_arm(fd, &arm);
	} while (!ret && !arm.armed && arm.reason == BPIO_REASON_VOLUME_SUSPENDED &&
		 poll_again(deadline));
	if (ret) {
		diag("arming failed: %s", strerror(-ret));
		return ret;
	}
	if (!arm.armed) {
		diag("not armed: %s", reason_sentence(arm.reason));
		return -EAGAIN;
	}
	return 0;
}

int fs_enable_armed(int volume, int fd)
{
	return fs_enable(volume, fd) ?: file_armed(fd);
}

int file_wait_direct(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	uint64_t before = file_direct(fd);
	struct bpio_file_info info;

	do {
		if (pread(fd, buffer, bytes, offset) < 0) {
			diag("pread: %s", strerror(errno));
			return -errno;
		}
		if (file_info(fd, &info))
			return -EIO;
		if (info.armed && info.direct_reads > before)
			return 0;
		/* ignore reads of other tasks that began before the revoke */
		if (!info.armed)
			before = info.direct_reads;
	} while (poll_again(deadline));
	diag("no direct read within %d ms: armed %u, reason %s", DEADLINE_MS,
	     info.armed, reason_token(info.reason));
	return -ETIMEDOUT;
}

int reads_alike(int plain_fd, int enabled_fd, size_t bytes)
{
	char *buffer[2] = { dio_alloc(bytes), dio_alloc(bytes) };
	int fds[2] = { plain_fd, enabled_fd }, error[2] = { 0 };
	ssize_t n[2];
	int i, ret;

	for (i = 0; i < 2; i++) {
		memset(buffer[i], 0xa5, bytes);
		n[i] = pread(fds[i], buffer[i], bytes, 0);
		if (n[i] < 0)
			error[i] = errno;
	}
	ret = error[0];
	if (n[0] != n[1] || error[0] != error[1] ||
	    memcmp(buffer[0], buffer[1], bytes)) {
		diag("plain: %zd, %s; enabled: %zd, %s; %s bytes", n[0],
		     strerror(error[0]), n[1], strerror(error[1]),
		     memcmp(buffer[0], buffer[1], bytes) ? "other" : "the same");
		ret = -EPROTO;
	}
	free(buffer[0]);
	free(buffer[1]);
	return ret;
}

uint64_t file_fallbacks(int fd, enum bpio_reason reason)
{
	struct bpio_file_info info;

	return file_info(fd, &info) ? UINT64_MAX :
				      info.fallback_reason[reason];
}

uint64_t file_direct(int fd)
{
	struct bpio_file_info info;

	return file_info(fd, &info) ? UINT64_MAX : info.direct_reads;
}

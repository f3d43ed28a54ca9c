// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
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
	out->handle = -1;
	return send(volume, FSCTL_MANAGE_BYPASS_IO, &in, sizeof(in), out,
		    sizeof(*out));
}

int fs_op(int volume, uint32_t operation, int fd, struct fs_bpio_output *out)
{
	return fs_op_flags(volume, operation, fd, 0, out);
}

int fs_enable(int volume, int fd)
{
	struct fs_bpio_output out;
	int ret = fs_op(volume, FS_BPIO_OP_ENABLE, fd, &out);

	if (ret)
		return ret;
	if (out.handle >= 0)
		return out.handle;
	return out.enable.op_status ?: -EPROTO;
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

int storage_op(int volume, uint32_t operation, struct bpio_output *out)
{
	struct bpio_input in = {
		.version = BPIO_INPUT_VERSION,
		.size = sizeof(in),
		.operation = operation,
	};

	memset(out, 0, sizeof(*out));
	return send(volume, IOCTL_STORAGE_MANAGE_BYPASS_IO, &in, sizeof(in),
		    out, sizeof(*out));
}

int handle_arm(int handle, struct bpio_handle_arm *arm)
{
	memset(arm, 0, sizeof(*arm));
	arm->size = sizeof(*arm);
	return ioctl(handle, BPIO_IOC_HANDLE_ARM, arm) ? -errno : 0;
}

int handle_info(int handle, struct bpio_handle_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return ioctl(handle, BPIO_IOC_HANDLE_INFO, info) ? -errno : 0;
}

static int armed_or_why(int ret, const struct bpio_handle_arm *arm)
{
	if (ret) {
		diag("arming failed: %s", strerror(-ret));
		return ret;
	}
	if (!arm->armed) {
		diag("not armed: %s", reason_sentence(arm->reason));
		return -EAGAIN;
	}
	return 0;
}

int handle_armed(int handle)
{
	struct bpio_handle_arm arm;

	return armed_or_why(handle_arm(handle, &arm), &arm);
}

/* NOT_ARMED when the worker has begun to try it once more already. */
static bool lease_refused(uint32_t reason)
{
	return reason == BPIO_REASON_LEASE || reason == BPIO_REASON_NOT_ARMED;
}

int handle_armed_among_reads(int handle)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	struct bpio_handle_arm arm;
	int ret;

	do
		ret = handle_arm(handle, &arm);
	while (!ret && !arm.armed && lease_refused(arm.reason) &&
	       poll_again(deadline));
	return armed_or_why(ret, &arm);
}

int handle_wait_direct(int handle, void *buffer, size_t bytes, uint64_t offset)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	uint64_t before = handle_direct(handle);
	struct bpio_handle_info info;

	do {
		if (pread(handle, buffer, bytes, offset) < 0) {
			diag("pread: %s", strerror(errno));
			return -errno;
		}
		if (handle_info(handle, &info))
			return -EIO;
		if (info.armed && info.direct_reads > before)
			return 0;
		/* reads of others that began before may end until it is armed */
		if (!info.armed)
			before = info.direct_reads;
	} while (poll_again(deadline));
	diag("no direct read within %d ms: armed %u, reason %s", DEADLINE_MS,
	     info.armed, reason_token(info.reason));
	return -ETIMEDOUT;
}

int reads_alike(int fd, int handle, size_t bytes)
{
	char *buffer[2] = { dio_alloc(bytes), dio_alloc(bytes) };
	int fds[2] = { fd, handle }, error[2] = { 0 };
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
		diag("the file: %zd, %s; the handle: %zd, %s; %s bytes", n[0],
		     strerror(error[0]), n[1], strerror(error[1]),
		     memcmp(buffer[0], buffer[1], bytes) ? "other" : "the same");
		ret = -EPROTO;
	}
	free(buffer[0]);
	free(buffer[1]);
	return ret;
}

uint64_t handle_fallbacks(int handle, enum bpio_reason reason)
{
	struct bpio_handle_info info;

	return handle_info(handle, &info) ? UINT64_MAX :
					    info.fallback_reason[reason];
}

uint64_t handle_direct(int handle)
{
	struct bpio_handle_info info;

	return handle_info(handle, &info) ? UINT64_MAX : info.direct_reads;
}

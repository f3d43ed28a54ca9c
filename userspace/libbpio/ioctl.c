// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls into the kernel and the translation of its answers.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "internal.h"

/* struct bpio_verdict of the first release */
#define VERDICT_SIZE_0_1	208

/* The kernel's largest errno */
#define MAX_ERRNO	4095

static_assert(sizeof(struct bpio_verdict) >= VERDICT_SIZE_0_1,
	      "struct bpio_verdict may only grow");

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/*
 * There is no event to wait for, so poll: often at first, because most suspends are
 * short.
 */
static void pause_ms(unsigned int ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000L };

	nanosleep(&t, NULL);
}

int bpio__ioctl(int fd, unsigned long request, void *arg)
{
	long long deadline = now_ms() + BPIO_RETRY_MILLISECONDS;
	unsigned int wait = 1;

	for (;;) {
		int ret = ioctl(fd, request, arg);

		if (ret >= 0)
			return ret;
		if (errno != EAGAIN)
			return -errno;
		if (now_ms() >= deadline)
			return -EAGAIN;
		pause_ms(wait);
		if (wait < 32)
			wait *= 2;
	}
}

static bool is_node(int door)
{
	struct stat st;

	return !fstat(door, &st) && S_ISCHR(st.st_mode);
}

int bpio__fsctl_sized(int door, unsigned int operation, unsigned int in_flags,
		      int fd, struct fs_bpio_output *output, size_t size)
{
	struct fs_bpio_input input = {
		.operation = operation,
		.in_flags = in_flags,
		.fd = fd,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (unsigned long)&input,
		.out_buffer = (unsigned long)output,
		.in_length = sizeof(input),
		.out_length = size,
	};

	int ret;

	memset(output, 0, size);
	ret = bpio__ioctl(door, FSCTL_MANAGE_BYPASS_IO, &envelope);
	/* From a device, ENXIO means that it is about to be removed. */
	return ret == -ENXIO && is_node(door) ? -ENOTTY : ret;
}

int bpio__fsctl(int door, unsigned int operation, unsigned int in_flags,
		int fd, struct fs_bpio_output *output)
{
	return bpio__fsctl_sized(door, operation, in_flags, fd, output,
				 sizeof(*output));
}

void bpio__give(void *to, const void *full, size_t full_size)
{
	__u32 size;

	if (!to)
		return;
	memcpy(&size, to, sizeof(size));
	if (size > full_size) {
		memset((char *)to + full_size, 0, size - full_size);
		size = full_size;
	}
	memcpy((char *)to + sizeof(__u32), (const char *)full + sizeof(__u32),
	       size - sizeof(__u32));
}

int bpio__status(__s32 status)
{
	return status > 0 || status < -MAX_ERRNO ? -EPROTO : status;
}

void bpio__string(char *to, size_t room, const __u8 *from, size_t length,
		  size_t max)
{
	if (length > max)
		length = max;
	if (length >= room)
		length = room - 1;
	memcpy(to, from, length);
	to[length] = '\0';
}

/* The volume that answered a request to @door about @fd */
static dev_t volume_of(int door, int fd)
{
	struct stat st;

	if (!fstat(door, &st) && S_ISBLK(st.st_mode))
		return st.st_rdev;
	if (fstat(fd, &st))
		return 0;
	return S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
}

void bpio__verdict(struct bpio_verdict *verdict, int door, int fd,
		   const struct fs_bpio_output *output,
		   const struct bpio_results *results)
{
	struct bpio_verdict full = {
		.support = output->support,
		.op_status = bpio__status(results->op_status),
		.reason = results->reason,
		.out_flags = output->out_flags,
		.obstacle = output->obstacle,
	};
	dev_t volume;

	if (!verdict)
		return;
	volume = volume_of(door, fd);
	full.volume_major = major(volume);
	full.volume_minor = minor(volume);
	bpio__string(full.driver, sizeof(full.driver),
		     results->failing_driver_name,
		     results->failing_driver_name_len, BPIO_DRIVER_NAME_MAX);
	bpio__string(full.reason_text, sizeof(full.reason_text),
		     results->failure_reason, results->failure_reason_len,
		     BPIO_REASON_TEXT_MAX);
	bpio__give(verdict, &full, sizeof(full));
}

void bpio__own_verdict(struct bpio_verdict *verdict, int op_status,
		       unsigned int reason, const char *driver,
		       const char *text)
{
	struct bpio_verdict full = {
		.op_status = op_status,
		.reason = reason,
	};

	snprintf(full.driver, sizeof(full.driver), "%s", driver);
	snprintf(full.reason_text, sizeof(full.reason_text), "%s", text);
	bpio__give(verdict, &full, sizeof(full));
}

int bpio__failed(struct bpio_verdict *verdict, int error)
{
	unsigned int reason = BPIO_REASON_NONE;
	const char *text;

	switch (error) {
	case -ENOTTY:
		reason = BPIO_REASON_OTHER_VOLUME;
		text = "The file is not on a bpio volume.";
		break;
	case -EBADF:
		reason = BPIO_REASON_NOT_READABLE;
		text = "The descriptor is closed, or open with O_PATH only.";
		break;
	case -EACCES:
	case -EPERM:
		text = "Neither " BPIO_NODE " nor the mapped device may be opened.";
		break;
	case -EAGAIN:
		reason = BPIO_REASON_VOLUME_SUSPENDED;
		text = bpio_reason_text(reason);
		break;
	default:
		text = "The kernel did not answer.";
	}
	bpio__own_verdict(verdict, error, reason, "", text);
	return error;
}

int bpio__check(unsigned int flags, unsigned int allowed,
		const struct bpio_verdict *verdict)
{
	if (flags & ~allowed)
		return -EINVAL;
	if (verdict && verdict->size < VERDICT_SIZE_0_1)
		return -EINVAL;
	return 0;
}

unsigned int bpio__in_flags(unsigned int flags)
{
	return flags & BPIO_SKIP_STORAGE ?
		FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY : 0;
}

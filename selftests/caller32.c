// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 32-bit program that makes one call on descriptors it inherited, for
 * compat_test:
 *
 *	caller32 version|query|arm|info|tally|flags DESCRIPTOR
 *	caller32 enable NODE FILE
 *	caller32 read FILE OFFSET BYTES
 *
 * The exit status is the call's errno; its answer goes to standard output. The C
 * library is the kernel's nolibc, so that no 32-bit libraries are needed.
 */
#include <linux/dm-bpio.h>
#include <linux/fs.h>

#define READ_MAX	65536

static int answer(int ret, const void *result, int bytes)
{
	if (ret < 0)
		return -errno;
	return write(1, result, bytes) == bytes ? 0 : -EPIPE;
}

static int call_fs(int to, int operation, int flags, int fd)
{
	struct fs_bpio_input in = {
		.operation	= operation,
		.in_flags	= flags,
		.fd		= fd,
	};
	struct fs_bpio_output out;
	struct bpio_ioctl env = {
		.size		= sizeof(env),
		.in_length	= sizeof(in),
		.in_buffer	= (unsigned long)&in,
		.out_length	= sizeof(out),
		.out_buffer	= (unsigned long)&out,
	};

	return answer(ioctl(to, FSCTL_MANAGE_BYPASS_IO, &env), &out, sizeof(out));
}

static int call_read(int fd, long offset, int bytes)
{
	static char buffer[READ_MAX] __attribute__((aligned(4096)));

	if (bytes > READ_MAX || lseek(fd, offset, SEEK_SET) != offset)
		return -EINVAL;
	return answer(read(fd, buffer, bytes), buffer, bytes);
}

static int call_one(const char *name, int fd)
{
	struct bpio_version version = { .size = sizeof(version) };
	struct bpio_file_info info = { .size = sizeof(info) };
	struct bpio_file_arm arm = { .size = sizeof(arm) };
	struct bpio_tally tally = { .size = sizeof(tally) };
	int flags = 0;

	if (!strcmp(name, "version"))
		return answer(ioctl(fd, BPIO_IOC_GET_VERSION, &version),
			      &version, sizeof(version));
	if (!strcmp(name, "query"))
		return call_fs(fd, FS_BPIO_OP_GET_INFO, 0, -1);
	if (!strcmp(name, "arm"))
		return answer(ioctl(fd, BPIO_IOC_FILE_ARM, &arm), &arm,
			      sizeof(arm));
	if (!strcmp(name, "info"))
		return answer(ioctl(fd, BPIO_IOC_FILE_INFO, &info), &info,
			      sizeof(info));
	if (!strcmp(name, "tally"))
		return answer(ioctl(fd, BPIO_IOC_TALLY, &tally), &tally,
			      sizeof(tally));
	if (!strcmp(name, "flags"))
		return answer(ioctl(fd, FS_IOC_GETFLAGS, &flags), &flags,
			      sizeof(flags));
	return -EINVAL;
}

static int call(int argc, char **argv)
{
	int fd = argc > 2 ? atoi(argv[2]) : -1;

	if (argc == 5 && !strcmp(argv[1], "read"))
		return call_read(fd, atol(argv[3]), atoi(argv[4]));
	if (argc == 4 && !strcmp(argv[1], "enable"))
		return call_fs(fd, FS_BPIO_OP_ENABLE, FS_BPIO_INFL_ARM,
			       atoi(argv[3]));
	return argc == 3 ? call_one(argv[1], fd) : -EINVAL;
}

int main(int argc, char **argv)
{
	return -call(argc, argv);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 32-bit program that makes one call on a descriptor it inherited, for
 * compat_test: caller32 version|query|arm|info|read DESCRIPTOR [OFFSET BYTES]
 *
 * Ends with the call's errno. What it answered goes to standard output. The C
 * library is the kernel's nolibc, so that no 32-bit libraries are needed.
 */
#include <linux/dm-bpio.h>

#define READ_MAX	65536

static int answer(int ret, const void *result, int bytes)
{
	if (ret < 0)
		return -errno;
	return write(1, result, bytes) == bytes ? 0 : -EPIPE;
}

static int call_query(int fd)
{
	struct fs_bpio_input in = {
		.operation	= FS_BPIO_OP_GET_INFO,
		.fd		= -1,
	};
	struct fs_bpio_output out;
	struct bpio_ioctl env = {
		.size		= sizeof(env),
		.in_length	= sizeof(in),
		.in_buffer	= (unsigned long)&in,
		.out_length	= sizeof(out),
		.out_buffer	= (unsigned long)&out,
	};

	return answer(ioctl(fd, FSCTL_MANAGE_BYPASS_IO, &env), &out, sizeof(out));
}

static int call_read(int fd, long offset, int bytes)
{
	static char buffer[READ_MAX] __attribute__((aligned(4096)));

	if (bytes > READ_MAX || lseek(fd, offset, SEEK_SET) != offset)
		return -EINVAL;
	return answer(read(fd, buffer, bytes), buffer, bytes);
}

static int call(int argc, char **argv)
{
	struct bpio_version version = { .size = sizeof(version) };
	struct bpio_handle_info info = { .size = sizeof(info) };
	struct bpio_handle_arm arm = { .size = sizeof(arm) };
	int fd = argc > 2 ? atoi(argv[2]) : -1;

	if (argc == 5 && !strcmp(argv[1], "read"))
		return call_read(fd, atol(argv[3]), atoi(argv[4]));
	if (argc != 3)
		return -EINVAL;
	if (!strcmp(argv[1], "version"))
		return answer(ioctl(fd, BPIO_IOC_GET_VERSION, &version),
			      &version, sizeof(version));
	if (!strcmp(argv[1], "query"))
		return call_query(fd);
	if (!strcmp(argv[1], "arm"))
		return answer(ioctl(fd, BPIO_IOC_HANDLE_ARM, &arm), &arm,
			      sizeof(arm));
	if (!strcmp(argv[1], "info"))
		return answer(ioctl(fd, BPIO_IOC_HANDLE_INFO, &info), &info,
			      sizeof(info));
	return -EINVAL;
}

int main(int argc, char **argv)
{
	return -call(argc, argv);
}

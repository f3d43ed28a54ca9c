// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct bpio_ioctl: copy inputs in and answers out, for both control codes, on the
 * control node and on the mapped device.
 *
 * Level: door.
 */
#include <linux/align.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "envelope.h"
#include "protocol.h"

/* Longest accepted input, in bytes; far beyond any structure. */
#define BPIO_ENVELOPE_INPUT_MAX	4096
/* Maximum number of reported layers. */
#define BPIO_ENVELOPE_ROWS_MAX	256

static_assert(sizeof(struct bpio_ioctl) == 40);
static_assert(sizeof(struct fs_bpio_input) == 32);
static_assert(sizeof(struct bpio_results) == 172);
static_assert(sizeof(struct fs_bpio_info) == 104);
static_assert(sizeof(struct bpio_layer_info) == 344);
static_assert(sizeof(struct fs_bpio_stack) == 232);
static_assert(sizeof(struct fs_bpio_output) == 224);
static_assert(sizeof(struct bpio_input) == 32);
static_assert(sizeof(struct bpio_output) == 232);
static_assert(sizeof(struct bpio_version) == 24);
static_assert(offsetof(struct bpio_results, reason) == 168);
static_assert(offsetof(struct fs_bpio_info, direct_reads) == 56);
static_assert(offsetof(struct fs_bpio_output, support) == 216);
static_assert(offsetof(struct bpio_output, support) == 224);

/**
 * bpio_envelope_get() - copy in an envelope and its input
 * @env: out: the envelope
 * @uenv: its address in user space
 * @in: out: the input
 * @in_size: bytes of @in
 * @out_size: minimum size of the answer, in bytes
 *
 * Return: 0, -EFAULT, -EINVAL, -EMSGSIZE or -ERANGE.
 */
int bpio_envelope_get(struct bpio_ioctl *env, struct bpio_ioctl __user *uenv,
		      void *in, size_t in_size, size_t out_size)
{
	int ret;

	if (copy_from_user(env, uenv, sizeof(*env)))
		return -EFAULT;
	if (env->size != sizeof(*env) || env->flags || env->reserved)
		return -EINVAL;
	if (env->in_length < in_size)
		return -EMSGSIZE;
	if (env->in_length > BPIO_ENVELOPE_INPUT_MAX)
		return -EINVAL;
	if (env->out_length < out_size)
		return -ERANGE;

	ret = copy_struct_from_user(in, in_size, u64_to_user_ptr(env->in_buffer),
				    env->in_length);
	return ret == -E2BIG ? -EINVAL : ret;
}

/*
 * Write a byte of each page back unchanged. fault_in_safe_writeable() would not write,
 * but costs twenty times as much. If another thread writes to the byte at the same
 * moment, its value may be lost, as it is when the answer is written.
 */
static bool bpio_envelope_is_writeable(char __user *to, size_t size)
{
	char __user *last = to + size - 1;
	char byte;

	for (;;) {
		if (get_user(byte, to) || put_user(byte, to))
			return false;
		if (to == last)
			return true;
		/* A range that wraps around fails at the end of user memory. */
		to = (char __user *)ALIGN((unsigned long)to + 1, PAGE_SIZE);
		if (to > last)
			to = last;
	}
}

/**
 * bpio_envelope_probe() - check that the answer can be delivered
 * @env: the envelope
 * @uenv: its address in user space
 * @out_size: bytes of the answer
 *
 * An operation must not take effect if its answer cannot be delivered, and without an
 * answer the buffer must stay unchanged.
 *
 * Return: 0 or -EFAULT.
 */
int bpio_envelope_probe(const struct bpio_ioctl *env,
			struct bpio_ioctl __user *uenv, size_t out_size)
{
	if (!bpio_envelope_is_writeable((char __user *)&uenv->bytes_returned,
					sizeof(uenv->bytes_returned)) ||
	    !bpio_envelope_is_writeable(u64_to_user_ptr(env->out_buffer),
					out_size))
		return -EFAULT;
	return 0;
}

/**
 * bpio_envelope_put() - copy out an answer
 * @env: the envelope
 * @uenv: its address in user space
 * @out: the answer
 * @out_size: bytes of @out
 * @more: bytes already written behind it
 *
 * Return: 0 or -EFAULT.
 */
int bpio_envelope_put(const struct bpio_ioctl *env,
		      struct bpio_ioctl __user *uenv, const void *out,
		      size_t out_size, size_t more)
{
	if (copy_to_user(u64_to_user_ptr(env->out_buffer), out, out_size) ||
	    put_user(out_size + more, &uenv->bytes_returned))
		return -EFAULT;
	return 0;
}

/* Write the part of struct fs_bpio_stack behind the output: counts and layers. */
static int bpio_envelope_put_rows(const struct bpio_ioctl *env,
				  const struct bpio_protocol_request *request,
				  size_t *size)
{
	struct fs_bpio_stack __user *ustack = u64_to_user_ptr(env->out_buffer);
	u32 written = min(request->nr_rows, request->room);

	*size = sizeof(*ustack) - sizeof(ustack->output) +
		written * sizeof(*request->rows);
	if (put_user(request->nr_rows, &ustack->layers) ||
	    put_user(written, &ustack->written) ||
	    copy_to_user(ustack->layer, request->rows,
			 written * sizeof(*request->rows)))
		return -EFAULT;
	return 0;
}

static int bpio_envelope_alloc_rows(const struct bpio_ioctl *env,
				    struct bpio_protocol_request *request)
{
	size_t room;

	if (!(request->in.in_flags & FS_BPIO_INFL_ALL_LAYERS))
		return 0;
	if (env->out_length < sizeof(struct fs_bpio_stack))
		return -ERANGE;

	room = (env->out_length - sizeof(struct fs_bpio_stack)) /
	       sizeof(*request->rows);
	request->room = min(room, BPIO_ENVELOPE_ROWS_MAX);
	/* Allocate one extra row so that the result is non-NULL when room is 0. */
	request->rows = kvcalloc(request->room + 1, sizeof(*request->rows),
				 GFP_KERNEL_ACCOUNT);
	return request->rows ? 0 : -ENOMEM;
}

/**
 * bpio_envelope_get_fs() - copy in and check a FSCTL_MANAGE_BYPASS_IO
 * @request: out: its input
 * @env: out: the envelope
 * @uenv: its address in user space
 *
 * Return: 0 or a negative errno.
 */
int bpio_envelope_get_fs(struct bpio_protocol_request *request,
			 struct bpio_ioctl *env, struct bpio_ioctl __user *uenv)
{
	int ret = bpio_envelope_get(env, uenv, &request->in,
				    sizeof(request->in), sizeof(request->out));

	return ret ? ret : bpio_protocol_check(request);
}

/**
 * bpio_envelope_prepare_fs() - make the last checks before the operation
 * @request: the request; rows are allocated here and freed by the caller
 * @env: the envelope
 * @uenv: its address in user space
 *
 * Return: 0, -EPERM, -ERANGE, -ENOMEM or -EFAULT.
 */
int bpio_envelope_prepare_fs(struct bpio_protocol_request *request,
			     const struct bpio_ioctl *env,
			     struct bpio_ioctl __user *uenv)
{
	int ret;

	if (!bpio_protocol_permitted(request))
		return -EPERM;
	ret = bpio_envelope_alloc_rows(env, request);
	return ret ? ret : bpio_envelope_probe(env, uenv, sizeof(request->out));
}

/**
 * bpio_envelope_answer_fs() - deliver the answer, or undo the operation
 * @request: the executed request
 * @env: the envelope
 * @uenv: its address in user space
 * @ret: result of the request: 0 or a negative errno
 *
 * Return: @ret, or -EFAULT.
 */
int bpio_envelope_answer_fs(struct bpio_protocol_request *request,
			    const struct bpio_ioctl *env,
			    struct bpio_ioctl __user *uenv, int ret)
{
	size_t more = 0;

	/* -EXDEV is the only error with an answer. */
	if (ret && ret != -EXDEV)
		return ret;
	if ((request->rows && bpio_envelope_put_rows(env, request, &more)) ||
	    bpio_envelope_put(env, uenv, &request->out, sizeof(request->out),
			      more)) {
		bpio_protocol_undo(request);
		return -EFAULT;
	}
	return ret;
}

/**
 * bpio_envelope_version() - BPIO_IOC_GET_VERSION, which has no envelope
 * @uversion: its argument
 *
 * Return: 0, -EFAULT or -EINVAL.
 */
int bpio_envelope_version(struct bpio_version __user *uversion)
{
	struct bpio_version version;
	u32 size;

	if (get_user(size, &uversion->size))
		return -EFAULT;
	if (size < sizeof(version) || size > BPIO_ENVELOPE_INPUT_MAX)
		return -EINVAL;

	bpio_protocol_version(&version);
	if (copy_to_user(uversion, &version, sizeof(version)) ||
	    clear_user(uversion + 1, size - sizeof(version)))
		return -EFAULT;
	return 0;
}

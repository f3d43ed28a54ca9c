// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations of the protocol, the permissions they need, and the refusal of files.
 *
 * Level: door.
 */
#include <linux/file.h>
#include <linux/module.h>

#include "bypass.h"
#include "change.h"
#include "compat.h"
#include "file.h"
#include "open_file.h"
#include "protocol.h"
#include "reason.h"
#include "route.h"
#include "stack.h"
#include "standing.h"
#include "storage.h"
#include "stream.h"
#include "tally.h"
#include "trace.h"
#include "view.h"
#include "volume.h"

#define BPIO_PROTOCOL_FS_OPERATIONS \
	GENMASK(FS_BPIO_OP_GET_INFO, FS_BPIO_OP_ENABLE)
#define BPIO_PROTOCOL_STORAGE_OPERATIONS \
	GENMASK(BPIO_OP_QUERY, BPIO_OP_ENABLE)

/**
 * bpio_protocol_version() - fill in the answer to BPIO_IOC_GET_VERSION
 * @version: out: the answer
 */
void bpio_protocol_version(struct bpio_version *version)
{
	*version = (struct bpio_version) {
		.size			= sizeof(*version),
		.abi_version		= BPIO_ABI_VERSION,
		.features		= BPIO_FEATURE_EXT4 | BPIO_FEATURE_XFS,
		.fs_operations		= BPIO_PROTOCOL_FS_OPERATIONS,
		.storage_operations	= BPIO_PROTOCOL_STORAGE_OPERATIONS,
	};
}

/* The flags allowed with an operation. */
static u32 bpio_protocol_flags(unsigned int operation)
{
	switch (operation) {
	case FS_BPIO_OP_ENABLE:
		return FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY | FS_BPIO_INFL_ARM;
	case FS_BPIO_OP_QUERY:
		return FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY |
		       FS_BPIO_INFL_ALL_LAYERS;
	default:
		return 0;
	}
}

/**
 * bpio_protocol_check() - check that an input is valid
 * @request: the request, with its input
 *
 * Return: 0, or -EINVAL for an operation, flag or field that is not defined.
 */
int bpio_protocol_check(const struct bpio_protocol_request *request)
{
	const struct fs_bpio_input *in = &request->in;

	if (in->operation < FS_BPIO_OP_ENABLE ||
	    in->operation > FS_BPIO_OP_GET_INFO)
		return -EINVAL;
	if (in->in_flags & ~bpio_protocol_flags(in->operation) ||
	    in->reserved1 || in->reserved2 || in->reserved3)
		return -EINVAL;
	return 0;
}

/**
 * bpio_protocol_permitted() - whether the sender has the permission for an operation
 * @request: the request, with its input and @privileged
 *
 * Operations that affect other users need write access to the mapped device, or
 * CAP_SYS_ADMIN.
 */
bool bpio_protocol_permitted(const struct bpio_protocol_request *request)
{
	switch (request->in.operation) {
	case FS_BPIO_OP_VOLUME_STACK_PAUSE:
	case FS_BPIO_OP_VOLUME_STACK_RESUME:
	case FS_BPIO_OP_STREAM_PAUSE:
	case FS_BPIO_OP_STREAM_RESUME:
		return request->privileged;
	default:
		return true;
	}
}

/*
 * ext4 and XFS break a lease of a file, and then wait for i_dio_count, before they move
 * or free one of its blocks; see the top of file.c for the exceptions. The ext4 driver
 * also mounts ext2 and ext3, names that another driver may register, so check its
 * module. If ext4 is built in, there is no module to check, but then the other driver is
 * not built. XFS can be built so that its online repair breaks no lease.
 */
static bool bpio_protocol_takes_part(const struct super_block *sb)
{
	const struct file_system_type *type = sb->s_type;

	if (!strcmp(type->name, "ext4") || !strcmp(type->name, "ext3"))
		return true;
	if (!strcmp(type->name, "xfs"))
		return bpio_compat_breaks_layouts(sb);
	if (strcmp(type->name, "ext2"))
		return false;
	return type->owner ? !strcmp(module_name(type->owner), "ext4") :
			     IS_BUILTIN(CONFIG_EXT4_USE_FOR_EXT2);
}

static bool bpio_protocol_is_volume(const struct bpio_volume *volume,
				    const struct file *file)
{
	const struct inode *inode = file->f_mapping->host;

	return S_ISBLK(file_inode(file)->i_mode) &&
	       S_ISBLK(inode->i_mode) &&
	       I_BDEV((struct inode *)inode)->bd_dev == volume->dev;
}

static bool bpio_protocol_is_on_volume(const struct bpio_volume *volume,
				       const struct file *file)
{
	const struct block_device *bdev = file_inode(file)->i_sb->s_bdev;

	return bdev && bdev->bd_dev == volume->dev;
}

/*
 * Whether the file operations of a struct file are those of its file system, or the
 * copy that ENABLE made of them.
 */
static bool bpio_protocol_knows_fops(struct file *file)
{
	return READ_ONCE(file->f_op) == file_inode(file)->i_fop ||
	       bpio_open_file_find(file);
}

/* Check a file for a reason to refuse it. Return: the first reason found. */
static enum bpio_reason bpio_protocol_refuse_file(struct file *file)
{
	const struct inode *inode = file_inode(file);

	if (!S_ISREG(inode->i_mode))
		return BPIO_REASON_NOT_REGULAR_FILE;
	if (!bpio_protocol_takes_part(inode->i_sb) ||
	    !bpio_protocol_knows_fops(file))
		return BPIO_REASON_FILE_SYSTEM;
	if (!(file->f_mode & FMODE_READ))
		return BPIO_REASON_NOT_READABLE;
	if (file->f_mode & FMODE_WRITE)
		return BPIO_REASON_NOT_READ_ONLY;
	return bpio_file_refuse(inode);
}

static bool bpio_protocol_query_file(struct bpio_protocol_request *request,
				     struct inode *inode)
{
	struct bpio_volume *volume = request->volume;
	bool agreed;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	agreed = bpio_stack_query_file(volume, inode, FS_BPIO_OP_QUERY,
				       &request->out.query);
	bpio_bypass_unlock(volume, noio);
	return agreed;
}

static int bpio_protocol_skip_stack(struct bpio_protocol_request *request,
				    struct inode *inode)
{
	if (inode && !bpio_protocol_query_file(request, inode))
		return 0;
	if (!bpio_standing_switched_off(&request->out.query))
		bpio_reason_fill(&request->out.query, 0, "",
				 BPIO_REASON_QUERY_SKIPPED, NULL);
	request->out.support = BPIO_SUPPORT_PARTIAL;
	return 0;
}

/*
 * Query the layers, about @inode first unless that is NULL. An objection to bypass of
 * the volume still leaves the bypass of the file system. The verdict of a @quiet query
 * is not used.
 */
static int bpio_protocol_query_stack(struct bpio_protocol_request *request,
				     struct inode *inode, bool quiet)
{
	struct bpio_volume *volume = request->volume;
	struct fs_bpio_output *out = &request->out;
	struct bpio_view view = {
		.quiet = quiet, .rows = request->rows, .room = request->room,
	};
	int ret;
	unsigned int noio;

	if (request->in.in_flags & FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY)
		return bpio_protocol_skip_stack(request, inode);

	noio = bpio_bypass_lock(volume);
	ret = bpio_stack_query(volume, inode, &view);
	bpio_bypass_unlock(volume, noio);
	if (ret)
		return ret;

	out->query = view.results;
	out->support = view.support;
	if (bpio_standing_switched_off(&out->query))
		out->support = BPIO_SUPPORT_PARTIAL;
	if (view.file.op_status) {
		out->query = view.file;
		out->support = BPIO_SUPPORT_NONE;
	}
	if (view.compatible)
		out->out_flags |= FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER;
	request->nr_rows = view.nr;
	return 0;
}

/* Answer a request whose file is refused; the answer still describes the storage. */
static int bpio_protocol_refused(struct bpio_protocol_request *request,
				 const struct file *file,
				 enum bpio_reason reason)
{
	int status = reason == BPIO_REASON_NOT_READABLE ? -EBADF :
		     reason == BPIO_REASON_OTHER_VOLUME ? -EXDEV : -EOPNOTSUPP;
	int ret = bpio_protocol_query_stack(request, NULL, true);

	if (ret)
		return ret;

	bpio_reason_fill(&request->out.query, status,
			 file_inode(file)->i_sb->s_type->name, reason, NULL);
	request->out.support = BPIO_SUPPORT_NONE;
	if (request->in.operation == FS_BPIO_OP_ENABLE)
		bpio_tally_refuse(request->tally, reason);
	trace_bpio_refuse(request->volume, request->in.operation,
			  &request->out.query);
	return 0;
}

/*
 * Return: -EXDEV, with an answer, if @file is not on the volume. For a file system on
 * several devices that cannot be checked, but such a file system does not take part,
 * and that is the answer then.
 */
static int bpio_protocol_locate(struct bpio_protocol_request *request,
				const struct file *file)
{
	const struct super_block *sb = file_inode(file)->i_sb;

	if (bpio_protocol_is_on_volume(request->volume, file) ||
	    (!sb->s_bdev && sb->s_type->fs_flags & FS_REQUIRES_DEV))
		return 0;

	return bpio_protocol_refused(request, file, BPIO_REASON_OTHER_VOLUME) ?:
	       -EXDEV;
}

static int bpio_protocol_enable_file(struct bpio_protocol_request *request,
				     struct file *file)
{
	struct bpio_open_file *of = bpio_open_file_find(file);
	bool was_enabled = of && !READ_ONCE(of->disabled);
	struct fs_bpio_output *out = &request->out;
	int ret;

	ret = bpio_open_file_enable(request->volume, file, request->tally, out);
	if (ret == -EOPNOTSUPP) {
		bpio_tally_refuse(request->tally, out->enable.reason);
		return 0;
	}
	if (ret)
		return ret;
	of = bpio_open_file_find(file);
	request->enabled = !was_enabled;
	/* With the flag, bpio_protocol_arm() follows and runs the worker. */
	if (!(request->in.in_flags & FS_BPIO_INFL_ARM))
		bpio_file_kick(of->file);
	out->obstacle = bpio_open_file_obstacle(of);
	if (request->in.in_flags & FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY)
		return bpio_protocol_query_stack(request, NULL, false);
	return 0;
}

static int bpio_protocol_enable(struct bpio_protocol_request *request,
				struct file *file)
{
	enum bpio_reason reason;
	int ret;

	if (bpio_protocol_is_volume(request->volume, file))
		return bpio_protocol_refused(request, file,
					     BPIO_REASON_NOT_REGULAR_FILE);
	ret = bpio_protocol_locate(request, file);
	if (ret)
		return ret;
	reason = bpio_protocol_refuse_file(file);
	if (reason)
		return bpio_protocol_refused(request, file, reason);
	return bpio_protocol_enable_file(request, file);
}

/* A directory stands for the files in it: check only its file system. */
static enum bpio_reason bpio_protocol_refuse_query(struct file *file)
{
	const struct inode *inode = file_inode(file);

	if (!S_ISDIR(inode->i_mode))
		return bpio_protocol_refuse_file(file);
	return bpio_protocol_takes_part(inode->i_sb) ? BPIO_REASON_NONE :
						       BPIO_REASON_FILE_SYSTEM;
}

static int bpio_protocol_query(struct bpio_protocol_request *request,
			       struct file *file)
{
	enum bpio_reason reason;
	struct inode *inode;
	int ret;

	if (!file || bpio_protocol_is_volume(request->volume, file))
		return bpio_protocol_query_stack(request, NULL, false);

	ret = bpio_protocol_locate(request, file);
	if (ret)
		return ret;
	reason = bpio_protocol_refuse_query(file);
	if (reason)
		return bpio_protocol_refused(request, file, reason);

	inode = file_inode(file);
	if (!S_ISREG(inode->i_mode))
		return bpio_protocol_query_stack(request, NULL, false);
	request->out.obstacle = bpio_stream_obstacle(request->volume, inode);
	if (!request->out.obstacle && !(file->f_flags & O_DIRECT))
		request->out.obstacle = BPIO_REASON_NOT_DIRECT;
	return bpio_protocol_query_stack(request, inode, false);
}

/* Find the file of a STREAM operation; the volume itself has nothing to pause. */
static int bpio_protocol_locate_stream(struct bpio_protocol_request *request,
				       struct file *file)
{
	if (bpio_protocol_is_volume(request->volume, file))
		return 0;
	return bpio_protocol_locate(request, file);
}

static int bpio_protocol_stream_pause(struct bpio_protocol_request *request,
				      struct file *file)
{
	int ret = bpio_protocol_locate_stream(request, file);

	return ret ?: bpio_stream_pause(request->volume, file_inode(file));
}

static int bpio_protocol_stream_resume(struct bpio_protocol_request *request,
				       struct file *file)
{
	int ret = bpio_protocol_locate_stream(request, file);

	if (ret)
		return ret;
	if (!bpio_stream_resume(request->volume, file_inode(file),
				&request->out.stream_resume))
		return 0;
	return bpio_protocol_query_stack(request, NULL, false);
}

static int bpio_protocol_volume_pause(struct bpio_protocol_request *request)
{
	return bpio_change_set_pause(request->volume, true);
}

static int bpio_protocol_volume_resume(struct bpio_protocol_request *request)
{
	bpio_change_set_pause(request->volume, false);
	return bpio_protocol_query_stack(request, NULL, false);
}

static int bpio_protocol_disable(struct bpio_protocol_request *request,
				 struct file *file)
{
	return bpio_open_file_disable(request->volume, file);
}

/* Fill in the device where reads of the volume enter the stack, or would enter it. */
static int bpio_protocol_fill_storage(struct bpio_volume *volume,
				      struct fs_bpio_info *info)
{
	struct bpio_route *route;
	struct block_device *bdev;
	char driver[BPIO_DRIVER_NAME_MAX + 1];

	lockdep_assert_held(&volume->drain_lock);

	route = bpio_stack_resolve(volume, BPIO_OP_QUERY);
	if (IS_ERR(route))
		return PTR_ERR(route);

	bdev = bpio_segment_bdev(route->segments);
	bpio_storage_driver_name(bdev, driver, sizeof(driver));
	info->storage_driver_name_len = strlen(driver);
	memcpy(info->storage_driver_name, driver, info->storage_driver_name_len);
	info->flags = bpio_route_info(route);
	info->storage_major = MAJOR(bdev->bd_dev);
	info->storage_minor = MINOR(bdev->bd_dev);
	bpio_route_discard(route);
	return 0;
}

static int bpio_protocol_get_info(struct bpio_protocol_request *request)
{
	struct bpio_volume *volume = request->volume;
	struct fs_bpio_info *info = &request->out.get_info;
	unsigned int noio;
	int ret;

	info->volume_major = MAJOR(volume->dev);
	info->volume_minor = MINOR(volume->dev);
	bpio_volume_count(volume, info);
	noio = bpio_bypass_lock(volume);
	ret = bpio_protocol_fill_storage(volume, info);
	bpio_bypass_unlock(volume, noio);
	return ret;
}

static int bpio_protocol_fs_file(struct bpio_protocol_request *request,
				 struct file *file)
{
	switch (request->in.operation) {
	case FS_BPIO_OP_ENABLE:
		return bpio_protocol_enable(request, file);
	case FS_BPIO_OP_DISABLE:
		return bpio_protocol_disable(request, file);
	case FS_BPIO_OP_QUERY:
		return bpio_protocol_query(request, file);
	case FS_BPIO_OP_VOLUME_STACK_PAUSE:
		return bpio_protocol_volume_pause(request);
	case FS_BPIO_OP_VOLUME_STACK_RESUME:
		return bpio_protocol_volume_resume(request);
	case FS_BPIO_OP_STREAM_PAUSE:
		return bpio_protocol_stream_pause(request, file);
	case FS_BPIO_OP_STREAM_RESUME:
		return bpio_protocol_stream_resume(request, file);
	default:
		return bpio_protocol_get_info(request);
	}
}

/**
 * bpio_protocol_takes_volume() - whether an operation may have no file
 * @operation: enum fs_bpio_operations
 */
bool bpio_protocol_takes_volume(unsigned int operation)
{
	return operation == FS_BPIO_OP_QUERY ||
	       operation == FS_BPIO_OP_GET_INFO ||
	       operation == FS_BPIO_OP_VOLUME_STACK_PAUSE ||
	       operation == FS_BPIO_OP_VOLUME_STACK_RESUME;
}

/* Fill in the flags that describe the state after the operation. */
static void bpio_protocol_fill_flags(struct bpio_protocol_request *request,
				     struct file *file)
{
	struct bpio_volume *volume = request->volume;
	struct fs_bpio_output *out = &request->out;

	out->out_flags |= bpio_bypass_flags(volume);
	if (file && bpio_protocol_is_on_volume(volume, file))
		out->out_flags |= bpio_stream_flags(volume, file_inode(file));
}

/**
 * bpio_protocol_fs() - execute FSCTL_MANAGE_BYPASS_IO
 * @request: passed bpio_protocol_check() and bpio_protocol_permitted(); the answer
 *	is filled in
 *
 * Context: process context; does no file-system I/O.
 * Return: 0, also for a refusal; -EXDEV with an answer; or another negative errno
 * without one.
 */
int bpio_protocol_fs(struct bpio_protocol_request *request)
{
	int ret;

	request->out.operation = request->in.operation;
	ret = bpio_protocol_fs_file(request, request->file);
	bpio_protocol_fill_flags(request, request->file);
	return ret;
}

/**
 * bpio_protocol_arm() - wait until a file is armed, for FS_BPIO_INFL_ARM
 * @request: the executed ENABLE
 *
 * A signal ends the wait; the worker still arms the file, and ENABLE takes effect.
 *
 * Context: process context; does file-system I/O, so outside of the gate.
 */
void bpio_protocol_arm(struct bpio_protocol_request *request)
{
	struct bpio_open_file *of = bpio_open_file_find(request->file);

	if (!of || READ_ONCE(of->disabled))
		return;
	bpio_file_arm(of->file);
	request->out.obstacle = bpio_open_file_obstacle(of);
}

/**
 * bpio_protocol_undo() - undo an ENABLE whose answer could not be delivered
 * @request: the executed request
 */
void bpio_protocol_undo(struct bpio_protocol_request *request)
{
	if (request->enabled)
		bpio_open_file_disable(request->volume, request->file);
}

static int bpio_protocol_check_storage(const struct bpio_input *in,
				       bool privileged)
{
	if (in->version != BPIO_INPUT_VERSION || in->size != sizeof(*in) ||
	    in->operation < BPIO_OP_ENABLE || in->operation > BPIO_OP_QUERY ||
	    in->in_flags || in->reserved1 || in->reserved2)
		return -EINVAL;
	if (in->operation != BPIO_OP_QUERY && !privileged)
		return -EPERM;
	return 0;
}

/**
 * bpio_protocol_storage() - execute IOCTL_STORAGE_MANAGE_BYPASS_IO
 * @volume: the volume it was sent to; its table is live
 * @in: the input; the caller has checked in->fd
 * @out: the answer
 * @privileged: whether the sender may ENABLE and DISABLE
 *
 * Context: process context; does no file-system I/O.
 * Return: 0, -EINVAL, -EPERM, -ENOMEM, or -EINTR when the task was killed.
 */
int bpio_protocol_storage(struct bpio_volume *volume,
			  const struct bpio_input *in, struct bpio_output *out,
			  bool privileged)
{
	struct bpio_view view = {};
	int ret;
	unsigned int noio;

	ret = bpio_protocol_check_storage(in, privileged);
	if (ret)
		return ret;

	if (in->operation != BPIO_OP_QUERY)
		ret = bpio_bypass_set_storage(volume,
					      in->operation == BPIO_OP_ENABLE);
	if (ret)
		return ret;

	noio = bpio_bypass_lock(volume);
	if (in->operation == BPIO_OP_ENABLE)
		view.support = bpio_bypass_verdict(volume, &view.results);
	else if (in->operation == BPIO_OP_QUERY)
		ret = volume->table ? bpio_stack_query(volume, NULL, &view) : -EAGAIN;
	bpio_bypass_unlock(volume, noio);
	if (ret)
		return ret;
	if (in->operation == BPIO_OP_QUERY &&
	    bpio_standing_switched_off(&view.results))
		view.support = BPIO_SUPPORT_PARTIAL;

	out->version = BPIO_OUTPUT_VERSION;
	out->size = sizeof(*out);
	out->operation = in->operation;
	out->support = view.support;
	out->query = view.results;
	out->out_flags = bpio_bypass_flags(volume);
	if (view.compatible)
		out->out_flags |= FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER;
	return 0;
}

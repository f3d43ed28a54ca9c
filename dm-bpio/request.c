// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queries to one layer, and its answers.
 *
 * Level: layer.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/string.h>

#include "dm-bpio.h"
#include "layer.h"
#include "reason.h"
#include "request.h"

/**
 * bpio_request_operation() - the operation of a request
 * @request: the argument of the callback
 *
 * Context: any.
 * Return: ENABLE, DISABLE or QUERY of enum fs_bpio_operations, whose numbers are
 * also those of enum bpio_operations.
 */
unsigned int bpio_request_operation(const struct bpio_request *request)
{
	return request->operation;
}
EXPORT_SYMBOL_GPL(bpio_request_operation);

/**
 * bpio_request_all_reads() - whether the request covers all reads of the volume
 * @request: the argument of a storage callback
 *
 * If so, the layer is also skipped by reads of files that are not enabled, including
 * files that the layer has vetoed. A layer that must see the reads of some files must
 * veto such a request.
 *
 * Context: any.
 */
bool bpio_request_all_reads(const struct bpio_request *request)
{
	return request->all_reads;
}
EXPORT_SYMBOL_GPL(bpio_request_all_reads);

static int bpio_veto_check(const struct bpio_request *request, int status,
			   const char *reason)
{
	size_t in = request->file ? sizeof(struct fs_bpio_input) :
				    sizeof(struct bpio_input);
	size_t out = request->file ? sizeof(struct fs_bpio_output) :
				     sizeof(struct bpio_output);

	if (!request->may_veto || (request->operation != FS_BPIO_OP_ENABLE &&
				   request->operation != FS_BPIO_OP_QUERY))
		return -EOPNOTSUPP;
	if (request->in_length < in)
		return -EMSGSIZE;
	if (request->out_length < out)
		return -ERANGE;
	if (status >= 0 || !IS_ERR_VALUE((long)status))
		return -EINVAL;
	if (!reason || !*reason)
		return -ENODATA;
	if (strlen(reason) > BPIO_REASON_TEXT_MAX)
		return -E2BIG;
	return 0;
}

/**
 * bpio_veto() - object to bypass, from a pre-operation callback
 * @request: the argument of the callback
 * @status: a negative errno, the layer's answer
 * @reason: one English sentence, unique to the cause, 1 to BPIO_REASON_TEXT_MAX
 *	bytes; never cut
 *
 * Corresponds to FltVetoBypassIo. The first veto of a layer counts.
 *
 * Context: inside file_pre or storage_pre, for ENABLE and QUERY only.
 * Return: 0; -EOPNOTSUPP outside of these; -EMSGSIZE or -ERANGE when the buffers
 * of the sender are too small; -EINVAL when @status is not an error; -ENODATA
 * without a reason; -E2BIG when it is too long.
 */
int bpio_veto(struct bpio_request *request, int status, const char *reason)
{
	int ret = bpio_veto_check(request, status, reason);

	if (ret || request->verdict.op_status)
		return ret;

	bpio_reason_fill(&request->verdict, status, request->layer->ops->name,
			 request->file ? BPIO_REASON_FILE_VETO :
					 BPIO_REASON_LAYER_VETO, reason);
	return 0;
}
EXPORT_SYMBOL_GPL(bpio_veto);

/**
 * bpio_request_ask() - call a layer's pre-operation callback
 * @request: the operation, never DISABLE; its verdict is written
 * @layer: the layer
 * @inode: the file, if the operation is about one
 *
 * Context: bpio_layers_lock held; may sleep.
 * Return: whether the layer agrees.
 */
bool bpio_request_ask(struct bpio_request *request, struct bpio_layer *layer,
		      struct inode *inode)
{
	const struct bpio_layer_ops *ops = layer->ops;
	int ret = 0;

	lockdep_assert_held(&bpio_layers_lock);

	memset(&request->verdict, 0, sizeof(request->verdict));
	if (request->operation == FS_BPIO_OP_DISABLE)
		return true;

	request->layer = layer;
	request->may_veto = true;
	if (request->file && ops->file_pre)
		ret = ops->file_pre(layer->context, request, inode);
	else if (!request->file && ops->storage_pre)
		ret = ops->storage_pre(layer->context, request);
	request->may_veto = false;

	/* Any return value other than 0 is a veto. */
	if (ret && !request->verdict.op_status)
		bpio_reason_fill(&request->verdict,
				 IS_ERR_VALUE((long)ret) ? ret : -EINVAL,
				 ops->name, request->file ? BPIO_REASON_FILE_VETO :
				 BPIO_REASON_LAYER_VETO, NULL);
	return !request->verdict.op_status;
}

/**
 * bpio_request_tell() - call a layer's post-operation callback
 * @request: the operation
 * @layer: a layer that agreed
 * @inode: the file, if the operation is about one
 * @status: result of the operation: 0 or a negative errno
 *
 * Context: bpio_layers_lock held; may sleep.
 */
void bpio_request_tell(struct bpio_request *request, struct bpio_layer *layer,
		       struct inode *inode, int status)
{
	const struct bpio_layer_ops *ops = layer->ops;

	lockdep_assert_held(&bpio_layers_lock);

	request->layer = layer;
	if (request->file && ops->file_post)
		ops->file_post(layer->context, request, inode, status);
	else if (!request->file && ops->storage_post)
		ops->storage_post(layer->context, request, status);
}

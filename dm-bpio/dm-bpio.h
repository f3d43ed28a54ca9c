/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a device-mapper target takes part in BypassIO.
 *
 * A layer is one live instance of a target in a bypass volume or below one. While
 * it is registered, reads of files on the volume may skip it and go straight to
 * the device that it maps to. A layer that must see a read (because it decrypts,
 * redirects or watches the data) objects with bpio_veto(), for a file or for the
 * whole volume, or pauses. The read then enters the stack at the layer, or goes
 * through the file system.
 *
 * The life of a layer:
 *
 *	.resume		bpio_layer_register()
 *	.presuspend	bpio_layer_unregister(): when it returns, no read that
 *			skipped the layer is in flight, and none will start
 *
 * A target that never registers has not opted in: reads enter the stack there.
 * dm-bpio-filter is an example to start from.
 *
 * A veto of a file applies to the bypass of that file only. When the whole volume is
 * bypassed (BPIO_OP_ENABLE), its reads skip the layer all the same, unless the layer
 * vetoes that as well: see bpio_request_all_reads(). A layer may receive DISABLE
 * without a preceding ENABLE and must ignore it.
 *
 * Callbacks run in process context, one at a time for the whole module, under a
 * lock that bpio_layer_*(), bpio_pause_*(), bpio_resume_*() and
 * bpio_storage_control() take: calling one of these from a callback deadlocks. A
 * callback may sleep, but must not wait for I/O, because the device may stay
 * suspended, nor for a suspend or resume: all volumes would wait with it.
 *
 * bpio_layer_changed() and the pauses wait for reads in flight. If a device that
 * has such reads is suspended, the wait lasts until it is resumed. A fatal signal
 * ends the wait. Do not hold a lock across it that other tasks need: take a
 * reference with bpio_layer_get() instead.
 */
#ifndef DM_BPIO_H
#define DM_BPIO_H

#include <linux/device-mapper.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <linux/dm-bpio.h>

/*
 * The release. Modules and programs read it from here. The man pages, packages and
 * the changelog repeat it; "make lint" compares them.
 */
#define DM_BPIO_VERSION	"0.2.0"

struct bpio_layer;
struct bpio_request;

/**
 * struct bpio_mapping - where a range of a layer lies below
 * @bdev: the device below; the layer keeps it open while it is registered. Unused
 *	if the range is striped
 * @sector: 512-byte sector on @bdev, or on the striped set
 * @length: 512-byte sectors for which the mapping holds, at least 1
 * @stripes: 0, or the number of legs over which the range is striped. Chunk number c of
 *	the set is chunk number c / @stripes of leg number c % @stripes, and the @leg
 *	callback returns where that leg begins
 * @chunk: 512-byte sectors of a chunk, if striped
 *
 * The caller of a callback passes it zeroed. A striped range of any length is one
 * mapping; its chunks are not listed.
 */
struct bpio_mapping {
	struct block_device	*bdev;
	sector_t		sector;
	sector_t		length;
	unsigned int		stripes;
	u32			chunk;
};

/**
 * struct bpio_layer_ops - callbacks of a layer
 *
 * @name: Driver name that verdicts show, 1 to BPIO_DRIVER_NAME_MAX bytes.
 * @map: Map a sector of the target, counted from its start, to the device
 *	below. Must return the mapping that the target's map method applies to
 *	reads. The mapping may change only while the layer is not registered.
 *	Mandatory.
 *	Return: 0 or a negative errno, which ends the route at this layer.
 * @leg: Return where a leg of a striped set begins, in @bdev and @sector of the
 *	mapping, for legs from 0 to bpio_mapping.stripes - 1. Mandatory if @map
 *	returns striped ranges; the same rules apply.
 *	Return: 0 or a negative errno, which ends the route at this layer.
 * @file_pre: A file is about to be enabled, or is queried; the layer may veto
 *	that file. Optional: a layer without it agrees for all files. Follows the
 *	pre-operation callback of a minifilter for FSCTL_MANAGE_BYPASS_IO.
 *	Return: 0, also after bpio_veto(). A negative errno without bpio_veto()
 *	counts as a veto of this layer with a generic reason text.
 * @file_post: Called for the same file once all layers were queried, bottom to top,
 *	for each layer that agreed. @status is 0 or the errno of the veto. Also
 *	called with operation DISABLE. Optional.
 * @storage_pre: Bypass of the volume is about to be enabled, or is queried; the
 *	layer may veto. Optional. Return: as @file_pre.
 * @storage_post: As @file_post, for the volume. Operation DISABLE comes when bypass
 *	ends: at once when something below the volume changes, or a second after the
 *	last enabled file is closed. Optional.
 */
struct bpio_layer_ops {
	const char *name;
	int (*map)(void *context, sector_t sector, struct bpio_mapping *mapping);
	int (*leg)(void *context, unsigned int leg, struct bpio_mapping *mapping);
	int (*file_pre)(void *context, struct bpio_request *request,
			struct inode *inode);
	void (*file_post)(void *context, struct bpio_request *request,
			  struct inode *inode, int status);
	int (*storage_pre)(void *context, struct bpio_request *request);
	void (*storage_post)(void *context, struct bpio_request *request,
			     int status);
};

struct bpio_layer *bpio_layer_register(struct dm_target *ti,
				       const struct bpio_layer_ops *ops,
				       void *context);
void bpio_layer_unregister(struct bpio_layer *layer);
void bpio_layer_get(struct bpio_layer *layer);
void bpio_layer_put(struct bpio_layer *layer);
int bpio_layer_changed(struct bpio_layer *layer);
void bpio_layer_allows(struct bpio_layer *layer);

unsigned int bpio_request_operation(const struct bpio_request *request);
bool bpio_request_all_reads(const struct bpio_request *request);
int bpio_veto(struct bpio_request *request, int status, const char *reason);

int bpio_pause_layer(struct bpio_layer *layer, const char *why);
void bpio_resume_layer(struct bpio_layer *layer);
bool bpio_layer_is_paused(const struct bpio_layer *layer);
int bpio_pause_file(struct file *file);
int bpio_resume_file(struct file *file);
unsigned int bpio_open_count(struct file *file);
int bpio_storage_control(dev_t dev, const struct bpio_input *in,
			 size_t in_length, struct bpio_output *out,
			 size_t out_length);

#endif /* DM_BPIO_H */

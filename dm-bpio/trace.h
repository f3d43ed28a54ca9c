/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trace events. They are not a stable interface. Units: pos and bytes are bytes,
 * sector is in 512-byte sectors; dev is the volume, bottom the device that a bio
 * was sent to.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bpio

#if !defined(BPIO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define BPIO_TRACE_H

#include <linux/blkdev.h>
#include <linux/tracepoint.h>

#include "file.h"
#include "open_file.h"
#include "volume.h"

DECLARE_EVENT_CLASS(bpio_open_file,
	TP_PROTO(const struct bpio_open_file *of),
	TP_ARGS(of),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(unsigned long, ino)
		__field(unsigned int, active)
	),
	TP_fast_assign(
		__entry->dev = of->file->volume->dev;
		__entry->ino = of->file->inode->i_ino;
		__entry->active = of->file->volume->active;
	),
	TP_printk("dev %d:%d ino %lu active %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->active)
);

DEFINE_EVENT(bpio_open_file, bpio_enable,
	TP_PROTO(const struct bpio_open_file *of), TP_ARGS(of));
DEFINE_EVENT(bpio_open_file, bpio_disable,
	TP_PROTO(const struct bpio_open_file *of), TP_ARGS(of));

/* Storage ENABLE with the first enabled file, DISABLE after the last. */
TRACE_EVENT(bpio_storage,
	TP_PROTO(const struct bpio_volume *volume, unsigned int operation),
	TP_ARGS(volume, operation),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(unsigned int, operation)
	),
	TP_fast_assign(
		__entry->dev = volume->dev;
		__entry->operation = operation;
	),
	TP_printk("dev %d:%d %s", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __print_symbolic(__entry->operation,
				   { BPIO_OP_ENABLE, "enable" },
				   { BPIO_OP_DISABLE, "disable" },
				   { BPIO_OP_QUERY, "query" }))
);

TRACE_EVENT(bpio_refuse,
	TP_PROTO(const struct bpio_volume *volume, unsigned int operation,
		 const struct bpio_results *results),
	TP_ARGS(volume, operation, results),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(unsigned int, operation)
		__field(int, status)
		__field(unsigned int, reason)
		__array(char, driver, BPIO_DRIVER_NAME_MAX + 1)
		__array(char, text, BPIO_REASON_TEXT_MAX + 1)
	),
	TP_fast_assign(
		__entry->dev = volume->dev;
		__entry->operation = operation;
		__entry->status = results->op_status;
		__entry->reason = results->reason;
		memcpy(__entry->driver, results->failing_driver_name,
		       BPIO_DRIVER_NAME_MAX);
		__entry->driver[results->failing_driver_name_len] = 0;
		memcpy(__entry->text, results->failure_reason,
		       BPIO_REASON_TEXT_MAX);
		__entry->text[results->failure_reason_len] = 0;
	),
	TP_printk("dev %d:%d operation %u status %d driver %s reason %u \"%s\"",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->operation,
		  __entry->status, __entry->driver, __entry->reason,
		  __entry->text)
);

TRACE_EVENT(bpio_arm,
	TP_PROTO(const struct bpio_file *file, unsigned int reason),
	TP_ARGS(file, reason),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(unsigned long, ino)
		__field(unsigned int, reason)
	),
	TP_fast_assign(
		__entry->dev = file->volume->dev;
		__entry->ino = file->inode->i_ino;
		__entry->reason = reason;
	),
	TP_printk("dev %d:%d ino %lu reason %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->reason)
);

TRACE_EVENT(bpio_revoke,
	TP_PROTO(const struct bpio_file *file),
	TP_ARGS(file),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(unsigned long, ino)
	),
	TP_fast_assign(
		__entry->dev = file->volume->dev;
		__entry->ino = file->inode->i_ino;
	),
	TP_printk("dev %d:%d ino %lu", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->ino)
);

TRACE_EVENT(bpio_fallback,
	TP_PROTO(const struct bpio_open_file *of, loff_t pos, size_t bytes,
		 unsigned int reason),
	TP_ARGS(of, pos, bytes, reason),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(unsigned long, ino)
		__field(loff_t, pos)
		__field(size_t, bytes)
		__field(unsigned int, reason)
	),
	TP_fast_assign(
		__entry->dev = of->file->volume->dev;
		__entry->ino = of->file->inode->i_ino;
		__entry->pos = pos;
		__entry->bytes = bytes;
		__entry->reason = reason;
	),
	TP_printk("dev %d:%d ino %lu pos %lld bytes %zu reason %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->pos, __entry->bytes, __entry->reason)
);

TRACE_EVENT(bpio_direct_read,
	TP_PROTO(const struct bpio_open_file *of, loff_t pos,
		 const struct bio *bio),
	TP_ARGS(of, pos, bio),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(dev_t, bottom)
		__field(unsigned long, ino)
		__field(loff_t, pos)
		__field(unsigned int, bytes)
		__field(sector_t, sector)
	),
	TP_fast_assign(
		__entry->dev = of->file->volume->dev;
		__entry->bottom = bio->bi_bdev->bd_dev;
		__entry->ino = of->file->inode->i_ino;
		__entry->pos = pos;
		__entry->bytes = bio->bi_iter.bi_size;
		__entry->sector = bio->bi_iter.bi_sector;
	),
	TP_printk("dev %d:%d ino %lu pos %lld bytes %u bottom %d:%d sector %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->pos, __entry->bytes, MAJOR(__entry->bottom),
		  MINOR(__entry->bottom), (unsigned long long)__entry->sector)
);

#endif /* BPIO_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Information about an enabled open file: its two ioctls, its counters, and fdinfo.
 *
 * Level: open file.
 */
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "bypass.h"
#include "direct.h"
#include "file.h"
#include "open_file.h"
#include "reason.h"
#include "route.h"

static_assert(sizeof(struct bpio_file_arm) == 32);
static_assert(sizeof(struct bpio_file_info) == 600);

/* Return: the number of fall-backs, for all reasons. */
static u64 bpio_open_file_count_reasons(const struct bpio_open_file *of,
					u64 *reasons)
{
	unsigned int reason;
	u64 sum = 0, count;

	for (reason = 0; reason < BPIO_REASON_COUNT; reason++) {
		count = atomic64_read(&of->fallbacks[reason]);
		if (!count)
			continue;
		reasons[reason] += count;
		sum += count;
	}
	return sum;
}

/**
 * bpio_open_file_count() - add the reads of an open file to a sum
 * @of: the open file
 * @sum: the sum
 * @reasons: at least BPIO_REASON_COUNT sums, of fall-backs by reason
 *
 * Context: process context; waits for nothing; the caller keeps @of from being
 * released.
 */
void bpio_open_file_count(const struct bpio_open_file *of,
			  struct bpio_counters *sum, u64 *reasons)
{
	const struct bpio_open_file_stats *stats;
	int cpu;

	for_each_possible_cpu(cpu) {
		stats = per_cpu_ptr(of->stats, cpu);
		sum->direct_reads += READ_ONCE(stats->direct_reads);
		sum->direct_bytes += READ_ONCE(stats->direct_bytes);
	}
	sum->fallback_reads += bpio_open_file_count_reasons(of, reasons);
	sum->fallback_bytes += atomic64_read(&of->fallback_bytes);
}

/**
 * bpio_open_file_obstacle() - what keeps reads from going direct now
 * @of: the open file
 *
 * Context: any; the caller keeps @of from being released.
 * Return: the reason, BPIO_REASON_NONE when reads of mapped ranges go direct.
 */
enum bpio_reason bpio_open_file_obstacle(const struct bpio_open_file *of)
{
	enum bpio_reason reason = bpio_direct_obstacle(of);

	if (!reason && !(READ_ONCE(of->filp->f_flags) & O_DIRECT))
		reason = BPIO_REASON_NOT_DIRECT;
	return reason;
}

static int bpio_open_file_arm(struct bpio_open_file *of,
			      struct bpio_file_arm __user *uarm)
{
	struct bpio_file *file = of->file;
	struct bpio_file_arm arm;
	int ret;

	if (copy_from_user(&arm, uarm, sizeof(arm)))
		return -EFAULT;
	if (arm.size != sizeof(arm) || arm.flags)
		return -EINVAL;

	if (!READ_ONCE(of->disabled)) {
		ret = bpio_file_arm(file);
		if (ret)
			return ret;
	}

	arm.reason = bpio_open_file_obstacle(of);
	arm.armed = !arm.reason;
	bpio_file_describe(file, &arm.extents, &arm.mapped_bytes);
	return copy_to_user(uarm, &arm, sizeof(arm)) ? -EFAULT : 0;
}

static void bpio_open_file_fill_info(const struct bpio_open_file *of,
				     struct bpio_file_info *info)
{
	struct bpio_file *file = of->file;
	struct bpio_counters sum = {};

	bpio_open_file_count(of, &sum, info->fallback_reason);
	info->direct_reads = sum.direct_reads;
	info->direct_bytes = sum.direct_bytes;
	info->fallback_reads = sum.fallback_reads;
	info->fallback_bytes = sum.fallback_bytes;

	info->reason = bpio_open_file_obstacle(of);
	info->armed = !info->reason;
	info->enabled = !READ_ONCE(of->disabled);
	info->support = bpio_bypass_support(file->volume, NULL);
	rcu_read_lock();
	info->flags = bpio_route_info(rcu_dereference(file->volume->route));
	rcu_read_unlock();
	info->volume_major = MAJOR(file->volume->dev);
	info->volume_minor = MINOR(file->volume->dev);
	info->revokes = atomic64_read(&file->revokes);
	bpio_file_describe(file, &info->extents, &info->mapped_bytes);
}

static int bpio_open_file_info(const struct bpio_open_file *of,
			       struct bpio_file_info __user *uinfo)
{
	struct bpio_file_info info = { .size = sizeof(info) };
	u32 head[2];

	if (copy_from_user(head, uinfo, sizeof(head)))
		return -EFAULT;
	if (head[0] != sizeof(info) || head[1])
		return -EINVAL;

	bpio_open_file_fill_info(of, &info);
	return copy_to_user(uinfo, &info, sizeof(info)) ? -EFAULT : 0;
}

/**
 * bpio_open_file_control() - the ioctls of an enabled file
 * @of: the open file
 * @cmd: the command
 * @argp: its argument
 *
 * Context: process context; does file-system I/O.
 * Return: as the ioctl; -ENOIOCTLCMD when @cmd is not one of BypassIO's.
 */
long bpio_open_file_control(struct bpio_open_file *of, unsigned int cmd,
			    void __user *argp)
{
	switch (cmd) {
	case BPIO_IOC_FILE_ARM:
		return bpio_open_file_arm(of, argp);
	case BPIO_IOC_FILE_INFO:
		return bpio_open_file_info(of, argp);
	default:
		return -ENOIOCTLCMD;
	}
}

/* One line of fall-backs by reason; nothing if there were none. */
static void bpio_open_file_show_reasons(const u64 *counts, struct seq_file *m)
{
	unsigned int reason;
	bool any = false;

	for (reason = 0; reason < BPIO_REASON_COUNT; reason++) {
		if (!counts[reason])
			continue;
		seq_printf(m, "%s%s %llu", any ? " " : "bpio-reasons:\t",
			   bpio_reason_token(reason), counts[reason]);
		any = true;
	}
	if (any)
		seq_putc(m, '\n');
}

/**
 * bpio_open_file_show() - write the lines for /proc/PID/fdinfo
 * @of: the open file
 * @m: the output
 */
void bpio_open_file_show(struct bpio_open_file *of, struct seq_file *m)
{
	enum bpio_reason reason = bpio_open_file_obstacle(of);
	u64 counts[BPIO_REASON_COUNT] = {};
	struct bpio_counters sum = {};

	bpio_open_file_count(of, &sum, counts);
	seq_printf(m, "bpio-volume:\t%s\n", of->file->volume->name);
	seq_printf(m, "bpio-armed:\t%s\n",
		   reason ? bpio_reason_text(reason) : "yes");
	seq_printf(m, "bpio-direct:\t%llu reads %llu bytes\n",
		   sum.direct_reads, sum.direct_bytes);
	seq_printf(m, "bpio-fallback:\t%llu reads %llu bytes\n",
		   sum.fallback_reads, sum.fallback_bytes);
	bpio_open_file_show_reasons(counts, m);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that keep reads from going direct for a moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "mapper.h"
#include "stress.h"

static void pause_volume(struct dice *dice)
{
	struct fs_bpio_output out;

	volume_op(&stress.volume, FS_BPIO_OP_VOLUME_STACK_PAUSE, &out);
	rest(roll(dice, 60));
	/* fails while the volume is suspended */
	while (volume_op(&stress.volume, FS_BPIO_OP_VOLUME_STACK_RESUME, &out))
		rest(10);
	stress.counters.pauses++;
}

static void pause_file(struct dice *dice)
{
	struct file *file = file_for_reader(dice);
	struct fs_bpio_output out;

	fs_op(stress.node, FS_BPIO_OP_STREAM_PAUSE, file->fd, &out);
	rest(roll(dice, 200));
	while (fs_op(stress.node, FS_BPIO_OP_STREAM_RESUME, file->fd, &out))
		rest(10);
	file_put(file);
	stress.counters.pauses++;
}

/* Disable a file during reads and enable it again, in the test's tally or another. */
static void disable_file(struct dice *dice)
{
	struct file *file = file_for_reader(dice);
	uint64_t deadline = now_ms() + DEADLINE_MS;
	int node = node_open(), ret;

	fs_disable(roll(dice, 2) ? stress.node : node, file->fd);
	rest(roll(dice, 100));
	do
		ret = fs_enable(roll(dice, 2) ? stress.node : node,
				file->fd);
	while ((ret == -EAGAIN || ret == -ENXIO) && poll_again(deadline));
	if (ret)
		broken("%s cannot be enabled again: %s", file->path,
		       strerror(-ret));
	close(node);
	file_put(file);
}

/* No file may be enabled during a veto: it would be refused. */
static void veto(struct dice *dice)
{
	bool of_file = roll(dice, 2), lower = roll(dice, 2);
	const char *name = lower ? "stress-lower" : "stress-upper";

	pthread_mutex_lock(&stress.policy);
	if (!dm_message(name, NULL, 0, of_file ?
			"file_veto * 16 the oracle objects" :
			"veto 16 the oracle objects"))
		stress.counters.vetoes++;
	rest(roll(dice, 60));
	dm_message(name, NULL, 0, of_file ? "file_allow *" : "allow");
	pthread_mutex_unlock(&stress.policy);
}

void *change_policy(void *name)
{
	struct dice dice;

	dice_init(&dice, name);
	while (goes_on()) {
		switch (roll(&dice, 4)) {
		case 0:
			pause_volume(&dice);
			break;
		case 1:
			pause_file(&dice);
			break;
		case 2:
			disable_file(&dice);
			break;
		default:
			veto(&dice);
		}
		rest(400 + roll(&dice, 1200));
	}
	return NULL;
}

/* Hold a lease, as another program might, and make writers wait a moment. */
static void hold_lease(struct dice *dice)
{
	struct file *file = file_for_reader(dice);
	int fd = open(file->path, O_RDONLY | O_CLOEXEC);

	/* fails if it was unlinked or is open for writing */
	if (fd >= 0 && !fcntl(fd, F_SETLEASE, F_RDLCK)) {
		stress.counters.leases++;
		rest(roll(dice, 300));
	}
	close(fd);
	file_put(file);
}

void *hold_leases(void *name)
{
	struct dice dice;

	dice_init(&dice, name);
	while (goes_on()) {
		hold_lease(&dice);
		rest(500 + roll(&dice, 1000));
	}
	return NULL;
}

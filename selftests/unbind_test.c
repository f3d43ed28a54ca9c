// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver of the device below a volume is unbound and bound again, or the device
 * is unplugged, while the volume's storage is queried continuously.
 */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "program.h"

#define ROUNDS	6

static int program_setup(void)
{
	return 0;
}

static int program_cleanup(void)
{
	return 0;
}

/* Queries the stack of a volume, in every way, until asked to stop. */
struct asker {
	int			volume;
	pthread_t		thread;
	/* shared with the thread */
	_Atomic bool		stop;
	_Atomic unsigned int	asked;
	_Atomic int		failed;
};

static int ask(int volume)
{
	struct fs_bpio_output out;
	struct fs_bpio_info info;
	struct bpio_output storage;

	return fs_op(volume, FS_BPIO_OP_QUERY, -1, &out) ?:
	       fs_info(volume, &info) ?:
	       storage_op(volume, BPIO_OP_QUERY, &storage);
}

static void *keep_asking(void *argument)
{
	struct asker *asker = argument;

	while (!asker->stop && !asker->failed) {
		asker->failed = ask(asker->volume);
		asker->asked++;
	}
	return NULL;
}

/* Wait for some answers that were asked for after this call. */
static int asker_progress(struct asker *asker)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	unsigned int goal = asker->asked + 20;

	while (!asker->failed && asker->asked < goal)
		if (!poll_again(deadline))
			return -ETIMEDOUT;
	return asker->failed;
}

/* In sysfs: what is unbound, its driver, and what can be unplugged. */
struct place {
	char	device[PATH_MAX];
	char	driver[PATH_MAX];
	char	plug[PATH_MAX];
};

static int find_place(const char *disk, struct place *place)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "/sys/class/block/%s/device",
		 strrchr(disk, '/') + 1);
	if (!realpath(path, place->device))
		return -errno;
	snprintf(path, sizeof(path), "%s/driver", place->device);
	if (!realpath(path, place->driver)) {
		/* of NVMe it is the controller's, which has none */
		snprintf(path, sizeof(path), "%s/device", place->device);
		if (!realpath(path, place->device))
			return -errno;
		snprintf(path, sizeof(path), "%s/driver", place->device);
		if (!realpath(path, place->driver))
			return -errno;
	}
	/* the PCI device, by itself or above it */
	memcpy(place->plug, place->device, sizeof(place->plug));
	snprintf(path, sizeof(path), "%s/remove", place->plug);
	if (access(path, W_OK))
		*strrchr(place->plug, '/') = 0;
	return 0;
}

static int unbind(const struct place *place)
{
	return shell("echo %s >%s/unbind", strrchr(place->device, '/') + 1,
		     place->driver);
}

static int bind_again(const struct place *place)
{
	return shell("echo %s >%s/bind", strrchr(place->device, '/') + 1,
		     place->driver);
}

static int unplug(const struct place *place)
{
	return shell("echo 1 >%s/remove", place->plug);
}

static int plug_in(const struct place *place)
{
	(void)place;
	return shell("echo 1 >/sys/bus/pci/rescan");
}

FIXTURE(device) {
	const char	*disk;
	struct place	place;
	struct volume	volume;
	struct asker	asker;
};

FIXTURE_VARIANT(device) {
	const char	*disk;		/* in the environment */
	int		(*out)(const struct place *place);
	int		(*back)(const struct place *place);
};

FIXTURE_VARIANT_ADD(device, of_the_nvme_driver_that_is_unbound) {
	.disk = "BPIO_NVME_B1", .out = unbind, .back = bind_again,
};

FIXTURE_VARIANT_ADD(device, of_another_driver_that_is_unbound) {
	.disk = "BPIO_SCRATCH", .out = unbind, .back = bind_again,
};

FIXTURE_VARIANT_ADD(device, that_is_unplugged) {
	.disk = "BPIO_SCRATCH", .out = unplug, .back = plug_in,
};

FIXTURE_SETUP(device)
{
	self->disk = getenv(variant->disk);
	if (!self->disk)
		SKIP(return, "no device in %s", variant->disk);
	if (find_place(self->disk, &self->place))
		SKIP(return, "the driver of %s cannot be unbound", self->disk);
}

FIXTURE_TEARDOWN(device)
{
}

/* Under its old name, which the volume that is gone does not hold any more. */
static int has_come_back(const char *disk)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;

	while (!device_sectors(disk))
		if (!poll_again(deadline))
			return -ETIMEDOUT;
	return shell("udevadm settle");
}

TEST_F(device, answers_questions_meanwhile_and_afterwards)
{
	struct asker *asker = &self->asker;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, volume_create(&self->volume, "unbind", self->disk,
					   0, MIB_SECTORS(16),
					   "1 any_storage"));
		*asker = (struct asker) { .volume = self->volume.fd };
		ASSERT_EQ(0, pthread_create(&asker->thread, NULL, keep_asking,
					    asker));
		EXPECT_EQ(0, asker_progress(asker));
		EXPECT_EQ(0, variant->out(&self->place));
		EXPECT_EQ(0, asker_progress(asker));
		EXPECT_EQ(0, variant->back(&self->place));
		EXPECT_EQ(0, asker_progress(asker));
		asker->stop = true;
		pthread_join(asker->thread, NULL);
		EXPECT_EQ(0, asker->failed);
		ASSERT_EQ(0, volume_remove(&self->volume));
		/* it was given another name beside the one that the volume had */
		EXPECT_EQ(0, variant->out(&self->place));
		EXPECT_EQ(0, variant->back(&self->place));
		ASSERT_EQ(0, has_come_back(self->disk));
	}
}

PROGRAM_MAIN

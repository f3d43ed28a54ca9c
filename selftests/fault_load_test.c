// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures while a module is loaded: the first request of its initialisation to the
 * kernel fails, then the second, and so on. The module is loaded, or leaves nothing
 * behind.
 */
#include <fcntl.h>
#include <sys/syscall.h>

#include "fault.h"
#include "mapper.h"
#include "program.h"

/* More than initialisation asks for, twice over. */
#define STEPS	1000

static const char *unavailable;

/* By their own names, and by those that the kernel gives them. */
static const char *const modules[][2] = {
	{ "dm-bpio", "dm_bpio" },
	{ "dm-bpio-filter", "dm_bpio_filter" },
	{ "bpio-probe", "bpio_probe" },
};

static bool is_loaded(const char *kernel_name)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/module/%s", kernel_name);
	return !access(path, F_OK);
}

static int unload(const char *kernel_name)
{
	return syscall(SYS_delete_module, kernel_name, O_NONBLOCK) ? -errno : 0;
}

/* Those that need others first. */
static const char *unload_all(void)
{
	unsigned int i = ARRAY_SIZE(modules);

	while (i--)
		if (is_loaded(modules[i][1]) && unload(modules[i][1]))
			return "a module cannot be unloaded: it is in use, or a part of the kernel";
	return NULL;
}

static int program_setup(void)
{
	unavailable = fault_unavailable() ?: unload_all();
	return unavailable ? 0 : fault_setup();
}

static int program_cleanup(void)
{
	if (!unavailable)
		fault_cleanup();
	return module_load("dm-bpio");
}

FIXTURE(load) {
	int	fd;	/* the module's file */
};

FIXTURE_VARIANT(load) {
	unsigned int	module;	/* those before it are there */
};

FIXTURE_VARIANT_ADD(load, of_dm_bpio) { .module = 0 };
FIXTURE_VARIANT_ADD(load, of_dm_bpio_filter) { .module = 1 };

FIXTURE_SETUP(load)
{
	char path[256];
	unsigned int i;

	if (unavailable)
		SKIP(return, "%s", unavailable);
	for (i = 0; i < variant->module; i++)
		ASSERT_EQ(0, module_load(modules[i][0]));
	ASSERT_EQ(0, module_path(modules[i][0], path, sizeof(path)));
	self->fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->fd) TH_LOG("%s: %s", path, strerror(errno));
	ASSERT_EQ(0, fault_below_function("do_init_module"));
	/* the kernel logs a failure to create a cache */
	ASSERT_EQ(0, fault_spare("__kmem_cache_create_args"));
}

FIXTURE_TEARDOWN(load)
{
	if (unavailable)
		return;
	close(self->fd);
	EXPECT_EQ(0, fault_spare(NULL));
	EXPECT_EQ(0, fault_below(NULL));
	EXPECT_EQ(NULL, unload_all());
}

static int load(int fd)
{
	return syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
}

TEST_F_TIMEOUT(load, succeeds_or_leaves_nothing_whatever_fails_on_its_way, 800)
{
	const char *name = modules[variant->module][1];
	unsigned int nth, failures = 0;
	bool injected = true;
	int ret;

	for (nth = 1; injected && nth < STEPS; nth++) {
		ASSERT_EQ(0, fault_arm(nth));
		ret = load(self->fd);
		injected = fault_disarm();
		ASSERT_EQ(!ret, is_loaded(name)) TH_LOG("failure %u", nth);
		if (ret) {
			failures++;
			ASSERT_TRUE(injected && ret == -ENOMEM)
				TH_LOG("failure %u: %s", nth, strerror(-ret));
			/* and now without a failure, from where that has led */
			ASSERT_EQ(0, load(self->fd)) TH_LOG("failure %u", nth);
		}
		ASSERT_EQ(0, unload(name)) TH_LOG("failure %u", nth);
	}
	TH_LOG("%u steps, of which %u failed", nth - 1, failures);
	EXPECT_GT(STEPS, nth);
	EXPECT_LT(0u, failures);
}

PROGRAM_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of all layers: one row each, top to bottom, with the answer of each.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "objection.h"
#include "program.h"
#include "stack.h"

#define FILTERS	3
#define ROWS	(1 + FILTERS + 1)	/* the volume, the filters, NVMe */
#define BYTES	(256 * 1024)
#define BLOCKS	16
#define FILTER	"bpio-filter"

static struct stack stack;

static int program_setup(void)
{
	return module_load("dm-bpio-filter") ?:
	       stack_ext4(&stack, "layers", FILTER " " FILTER " " FILTER,
			  devices.nvme, 2048, MIB_SECTORS(32)) ?:
	       file_create(volume_path(&stack.volume, "file"), BYTES, 1);
}

static int program_cleanup(void)
{
	return stack_remove(&stack);
}

static size_t list_size(unsigned int rows)
{
	return offsetof(struct fs_bpio_stack, layer) +
	       rows * sizeof(struct bpio_layer_info);
}

/* Ask with a buffer of @size bytes. Returns 0 or a negative errno. */
static int ask(int volume, uint32_t operation, int fd,
	       struct fs_bpio_stack *list, size_t size, uint32_t *returned)
{
	struct fs_bpio_input in = {
		.operation = operation, .fd = fd,
		.in_flags = FS_BPIO_INFL_ALL_LAYERS,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (uintptr_t)&in, .in_length = sizeof(in),
		.out_buffer = (uintptr_t)list, .out_length = size,
	};
	int ret = ioctl(volume, FSCTL_MANAGE_BYPASS_IO, &envelope) ? -errno : 0;

	if (returned)
		*returned = envelope.bytes_returned;
	return ret;
}

FIXTURE(list) {
	int			fd;
	struct fs_bpio_stack	*all;
};

FIXTURE_SETUP(list)
{
	self->fd = file_open_direct(volume_path(&stack.volume, "file"));
	ASSERT_LE(0, self->fd);
	/* room for more than there is */
	self->all = calloc(1, list_size(2 * ROWS));
	ASSERT_NE(NULL, self->all);
}

FIXTURE_TEARDOWN(list)
{
	unsigned int i;

	close(self->fd);
	free(self->all);
	for (i = 0; i < FILTERS; i++) {
		dm_message(stack.layer[i].name, NULL, 0, "allow");
		dm_message(stack.layer[i].name, NULL, 0, "resume");
		dm_message(stack.layer[i].name, NULL, 0, "file_allow file");
	}
}

#define LIST(about) \
	ASSERT_EQ(0, ask(stack.volume.fd, FS_BPIO_OP_QUERY, about, self->all, \
			 list_size(2 * ROWS), NULL))

static void row_is(struct __test_metadata *_metadata,
		   const struct bpio_layer_info *row, const char *node,
		   const char *name, unsigned int depth, uint32_t flags)
{
	char said[BPIO_DRIVER_NAME_MAX + 1] = "";
	struct stat st;

	ASSERT_EQ(0, stat(node, &st));
	EXPECT_EQ(major(st.st_rdev), row->major);
	EXPECT_EQ(minor(st.st_rdev), row->minor);
	EXPECT_EQ(depth, row->depth);
	EXPECT_EQ(flags, row->flags);
	ASSERT_LE(row->name_len, BPIO_DRIVER_NAME_MAX);
	memcpy(said, row->name, row->name_len);
	EXPECT_STREQ(name, said);
	EXPECT_EQ(0, row->reserved);
	EXPECT_EQ(0u, row->reserved2);
}

#define EXPECT_ROW(row, ...) row_is(_metadata, row, __VA_ARGS__)

TEST_F(list, has_a_row_for_the_volume_each_layer_and_the_storage_in_this_order)
{
	int asked[] = { -1, stack.volume.fd, self->fd }, i, row;
	const uint32_t part = BPIO_LAYER_TAKES_PART;

	for (i = 0; i < 3; i++) {
		memset(self->all, 0xff, list_size(2 * ROWS));
		LIST(asked[i]);
		EXPECT_EQ((unsigned int)ROWS, self->all->layers);
		ASSERT_EQ((unsigned int)ROWS, self->all->written);
		EXPECT_ROW(&self->all->layer[0], stack.volume.node, "bpio", 0,
			   part);
		for (row = 1; row <= FILTERS; row++)
			EXPECT_ROW(&self->all->layer[row],
				   dm_node(stack.layer[row - 1].name), FILTER,
				   row, part);
		EXPECT_ROW(&self->all->layer[row], devices.nvme, "nvme", row,
			   part | BPIO_LAYER_STORAGE);
		for (row = 0; row < ROWS; row++)
			EXPECT_NO_OBJECTION(&self->all->layer[row].verdict);
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL,
			  self->all->output.support);
	}
}

TEST_F(list, is_cut_to_what_fits_the_buffer_and_tells_how_many_there_are)
{
	unsigned int room, row;
	uint32_t returned;

	for (room = 0; room <= ROWS + 1; room++) {
		unsigned int fit = room < ROWS ? room : ROWS;
		struct fs_bpio_stack *list = malloc(list_size(ROWS + 2));

		memset(list, 0xa5, list_size(ROWS + 2));
		/* and some bytes that are too few for another row */
		ASSERT_EQ(0, ask(stack.volume.fd, FS_BPIO_OP_QUERY, -1, list,
				 list_size(room) + 8, &returned));
		EXPECT_EQ((unsigned int)ROWS, list->layers);
		ASSERT_EQ(fit, list->written);
		EXPECT_EQ(list_size(fit), returned);
		for (row = 0; row < fit; row++)
			EXPECT_EQ(row, list->layer[row].depth);
		/* nothing was written behind */
		EXPECT_EQ(0xa5, ((unsigned char *)list)[list_size(fit)]);
		free(list);
	}
}

TEST_F(list, does_not_fit_a_buffer_for_the_plain_answer)
{
	size_t size;

	for (size = list_size(0) - 8; size < list_size(0); size++)
		EXPECT_EQ(-ERANGE, ask(stack.volume.fd, FS_BPIO_OP_QUERY, -1,
				       self->all, size, NULL));
	EXPECT_EQ(-ERANGE, ask(stack.volume.fd, FS_BPIO_OP_QUERY, -1,
			       self->all, sizeof(struct fs_bpio_output), NULL));
}

TEST_F(list, that_cannot_be_written_is_efault)
{
	size_t size = list_size(ROWS), cut;
	void *end = guarded_pages(PROT_READ | PROT_WRITE);
	int fds = count_fds();

	ASSERT_GE(2ul * PAGE, size);
	for (cut = 1; cut < size; cut += 7)
		EXPECT_EQ(-EFAULT,
			  ask(stack.volume.fd, FS_BPIO_OP_QUERY, self->fd,
			      end - size + cut, size, NULL))
			TH_LOG("last %zu bytes not mapped", cut);
	EXPECT_EQ(0, ask(stack.volume.fd, FS_BPIO_OP_QUERY, self->fd,
			 end - size, size, NULL));
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

TEST_F(list, is_for_queries_only)
{
	uint32_t op;

	for (op = FS_BPIO_OP_ENABLE; op <= FS_BPIO_OP_GET_INFO; op++)
		EXPECT_EQ(op == FS_BPIO_OP_QUERY ? 0 : -EINVAL,
			  ask(stack.volume.fd, op, self->fd, self->all,
			      list_size(2 * ROWS), NULL)) TH_LOG("%u", op);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

TEST_F(list, collects_all_vetoes_while_the_answer_tells_the_first)
{
	const struct bpio_layer_info *row = self->all->layer;

	ASSERT_EQ(0, dm_message(stack.layer[0].name, NULL, 0, "veto 5 One."));
	ASSERT_EQ(0, dm_message(stack.layer[2].name, NULL, 0, "veto 16 Two."));
	LIST(self->fd);
	EXPECT_OBJECTION(&self->all->output.query, LAYER_VETO, -EIO, FILTER,
			 "One.");
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL,
		  self->all->output.support);
	ASSERT_EQ((unsigned int)ROWS, self->all->written);
	EXPECT_NO_OBJECTION(&row[0].verdict);
	EXPECT_OBJECTION(&row[1].verdict, LAYER_VETO, -EIO, FILTER, "One.");
	EXPECT_NO_OBJECTION(&row[2].verdict);
	EXPECT_OBJECTION(&row[3].verdict, LAYER_VETO, -EBUSY, FILTER, "Two.");
	EXPECT_NO_OBJECTION(&row[4].verdict);
}

TEST_F(list, has_the_veto_of_a_file_in_the_row_of_its_layer)
{
	const struct bpio_layer_info *row = self->all->layer;
	int i;

	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
				"file_veto file 13 Mine."));
	for (i = 0; i < 2; i++) {
		LIST(self->fd);
		EXPECT_OBJECTION(&self->all->output.query, FILE_VETO, -EACCES,
				 FILTER, "Mine.");
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE,
			  self->all->output.support);
		ASSERT_EQ((unsigned int)ROWS, self->all->written);
		EXPECT_NO_OBJECTION(&row[0].verdict);
		EXPECT_NO_OBJECTION(&row[1].verdict);
		EXPECT_OBJECTION(&row[2].verdict, FILE_VETO, -EACCES, FILTER,
				 "Mine.");
		if (!i)
			EXPECT_NO_OBJECTION(&row[3].verdict);
		else
			EXPECT_OBJECTION(&row[3].verdict, LAYER_VETO, -EBUSY,
					 FILTER, "Volume.");
		EXPECT_NO_OBJECTION(&row[4].verdict);
		/* and the volume, by the same layer and by one below */
		ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
					"veto 16 Volume."));
		ASSERT_EQ(0, dm_message(stack.layer[2].name, NULL, 0,
					"veto 16 Volume."));
	}
	/* what is asked about the volume is not about the file */
	LIST(-1);
	EXPECT_OBJECTION(&row[2].verdict, LAYER_VETO, -EBUSY, FILTER, "Volume.");
}

TEST_F(list, of_a_file_that_is_refused_is_that_of_the_volume)
{
	int fd = open(volume_path(&stack.volume, "file"),
		      O_RDWR | O_DIRECT | O_CLOEXEC);
	int i;

	ASSERT_LE(0, fd);
	LIST(fd);
	close(fd);
	EXPECT_VERDICT(&self->all->output.query, NOT_READ_ONLY, NULL);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, self->all->output.support);
	ASSERT_EQ((unsigned int)ROWS, self->all->written);
	for (i = 0; i < ROWS; i++)
		EXPECT_NO_OBJECTION(&self->all->layer[i].verdict);
}

TEST_F(list, tells_who_paused_and_when_and_why)
{
	char who[64], why[BPIO_PAUSE_TEXT_MAX + 1] = "";
	const struct bpio_layer_info *row = self->all->layer;
	uint64_t before = time(NULL);
	struct fs_bpio_output out;

	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
				"pause A snapshot is taken."));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1,
			   &out));
	LIST(-1);
	ASSERT_EQ((unsigned int)ROWS, self->all->written);
	EXPECT_EQ(BPIO_LAYER_PAUSED, row[0].flags & BPIO_LAYER_PAUSED);
	/* the program, and its number */
	snprintf(who, sizeof(who), "stack_layers_te[%d]", getpid());
	ASSERT_EQ(strlen(who), row[0].who_len);
	EXPECT_EQ(0, memcmp(who, row[0].who, row[0].who_len));
	EXPECT_LE(before, row[0].paused_since);
	EXPECT_GE((uint64_t)time(NULL), row[0].paused_since);

	EXPECT_EQ(0u, row[1].flags & BPIO_LAYER_PAUSED);
	EXPECT_EQ(0u, row[1].paused_since);
	EXPECT_EQ(0u, row[1].who_len);

	EXPECT_EQ(BPIO_LAYER_PAUSED, row[2].flags & BPIO_LAYER_PAUSED);
	ASSERT_EQ(strlen(FILTER), row[2].who_len);
	EXPECT_EQ(0, memcmp(FILTER, row[2].who, row[2].who_len));
	ASSERT_GE(BPIO_PAUSE_TEXT_MAX, row[2].why_len);
	memcpy(why, row[2].why, row[2].why_len);
	EXPECT_STREQ("A snapshot is taken.", why);
	EXPECT_LE(before, row[2].paused_since);
	EXPECT_OBJECTION(&row[2].verdict, VOLUME_PAUSED, -EBUSY, FILTER,
			 "A snapshot is taken.");
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
}

TEST_F(list, counts_the_reads_that_went_past_each_layer)
{
	const struct bpio_layer_info *row = self->all->layer;
	uint64_t past[ROWS];
	int i;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	LIST(-1);
	for (i = 0; i < ROWS; i++)
		past[i] = row[i].bypassed_reads;
	READ_BLOCKS(self->fd, BLOCKS, 1);
	/* from here on reads enter at the last filter */
	ASSERT_EQ(0, dm_message(stack.layer[2].name, NULL, 0, "veto 16 No."));
	READ_BLOCKS(self->fd, 2 * BLOCKS, 1);
	LIST(-1);
	for (i = 0; i < ROWS; i++) {
		unsigned int expected = i < FILTERS ? 3 * BLOCKS :
					i == FILTERS ? BLOCKS : 0;

		EXPECT_EQ(past[i] + expected, row[i].bypassed_reads)
			TH_LOG("row %d", i);
		EXPECT_EQ(i < FILTERS ? BPIO_LAYER_BYPASSED : 0,
			  row[i].flags & BPIO_LAYER_BYPASSED)
			TH_LOG("row %d", i);
	}
	/* and stays when nothing is bypassed any more */
	close(self->fd);
	self->fd = -1;
	LIST(-1);
	for (i = 0; i < FILTERS; i++) {
		EXPECT_EQ(past[i] + 3 * BLOCKS, row[i].bypassed_reads);
		EXPECT_EQ(0u, row[i].flags & BPIO_LAYER_BYPASSED);
	}
}

TEST_F(list, ends_at_a_stock_target_of_which_nothing_more_is_known)
{
	const struct bpio_layer_info *row = self->all->layer;

	ASSERT_EQ(0, stack_reload(&stack, 1, "linear", ""));
	LIST(-1);
	ASSERT_EQ(3u, self->all->layers);
	ASSERT_EQ(3u, self->all->written);
	EXPECT_EQ(BPIO_LAYER_TAKES_PART, row[1].flags);
	EXPECT_EQ(0u, row[2].flags);
	EXPECT_EQ(2u, row[2].depth);
	EXPECT_VERDICT(&row[2].verdict, LAYER_UNAWARE, NULL);
	EXPECT_VERDICT(&self->all->output.query, LAYER_UNAWARE, NULL);
	ASSERT_EQ(0, stack_reload(&stack, 1, FILTER, ""));
}

PROGRAM_MAIN

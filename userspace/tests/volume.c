// SPDX-License-Identifier: GPL-2.0-only
/*
 * volume DIRECTORY DEVICE: libbpio on a volume with full support. The directory
 * is on a file system of the volume, the device is its node.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpio.h"

#define SIZE	0x100000
#define BLOCK	4096

static int count, failed;
static char *content, *got;
static const char *directory, *device;
static char file[4096];

static void ok(int true, const char *sentence)
{
	printf("%sok %d - %s\n", true ? "" : "not ", ++count, sentence);
	if (!true)
		failed = 1;
}

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_file(void)
{
	int fd, i;

	if (posix_memalign((void **)&content, BLOCK, SIZE) ||
	    posix_memalign((void **)&got, BLOCK, SIZE))
		die("posix_memalign");
	for (i = 0; i < SIZE; i++)
		content[i] = rand();
	snprintf(file, sizeof(file), "%s/libbpio", directory);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, content, SIZE) != SIZE || fsync(fd) ||
	    close(fd))
		die(file);
}

static int same_bytes(int fd)
{
	memset(got, 0, SIZE);
	return pread(fd, got, SIZE, 0) == SIZE && !memcmp(got, content, SIZE);
}

static unsigned int active(int volume)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;

	if (bpio_volume_info(volume, &info))
		return ~0U;
	return info.active_files;
}

static int visit_layer(const struct bpio_layer *layer, void *arg)
{
	unsigned int *seen = arg, at = seen[0]++;

	if (layer->depth == at && !layer->op_status && !layer->paused_since &&
	    layer->flags & BPIO_LAYER_TAKES_PART && layer->name[0])
		seen[1]++;
	if (layer->flags & BPIO_LAYER_STORAGE)
		seen[2] = at;
	return 0;
}

static void test_open(int volume)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	struct bpio_file_info info;
	struct bpio_file_arm arm;
	struct stat st;
	int fd;

	stat(device, &st);
	fd = bpio_open(file, BPIO_ARM, &verdict);
	ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) &&
	   (fcntl(fd, F_GETFL) & O_DIRECT),
	   "bpio_open returns an O_DIRECT descriptor with close-on-exec");
	ok(verdict.support == BPIO_SUPPORT_FULL && !verdict.op_status &&
	   verdict.reason == BPIO_REASON_NONE && !verdict.obstacle,
	   "The verdict tells full support, and no obstacle after arming");
	ok(makedev(verdict.volume_major, verdict.volume_minor) == st.st_rdev,
	   "The verdict names the volume");
	ok(same_bytes(fd), "Its reads return the bytes of the file");
	ok(!bpio_file_info(fd, &info) && info.direct_reads == 1 &&
	   info.direct_bytes == SIZE && !info.fallback_reads,
	   "After arming the first read is direct");
	ok(!bpio_file_arm(fd, &arm) && arm.armed && arm.extents > 0 &&
	   arm.mapped_bytes >= SIZE, "bpio_file_arm tells the map");
	ok(active(volume) == 1, "The file is counted as active");
	ok(!bpio_disable(fd) && !active(volume), "bpio_disable ends that");
	ok(same_bytes(fd) && !bpio_file_info(fd, &info) &&
	   info.fallback_reason[BPIO_REASON_DISABLED] == 1,
	   "The file system serves the reads then, with the reason counted");
	ok(bpio_file_arm(fd, &arm) == -EBUSY &&
	   arm.reason == BPIO_REASON_DISABLED,
	   "bpio_file_arm says why it cannot");
	ok(!bpio_enable(fd, BPIO_ARM, NULL) && same_bytes(fd) &&
	   !bpio_file_info(fd, &info) && info.direct_reads == 2,
	   "bpio_enable undoes it");
	close(fd);
	ok(!active(volume), "Closing the file disables BypassIO");
}

static void test_enable(int volume)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	struct bpio_file_info info;
	int fd = open(file, O_RDONLY), copy;

	ok(!bpio_enable(fd, BPIO_ARM, &verdict) &&
	   verdict.support == BPIO_SUPPORT_FULL &&
	   verdict.obstacle == BPIO_REASON_NOT_DIRECT,
	   "A file without O_DIRECT is enabled, and the verdict says what it lacks");
	ok(same_bytes(fd) && !bpio_file_info(fd, &info) &&
	   !info.direct_reads && !info.fallback_reads,
	   "Its reads are the file system's and are not counted");
	ok(!fcntl(fd, F_SETFL, O_DIRECT) && same_bytes(fd) &&
	   !bpio_file_info(fd, &info) && info.direct_reads == 1,
	   "After F_SETFL its reads go direct");
	copy = dup(fd);
	ok(!bpio_enable_on(volume, copy, BPIO_ARM, &verdict) &&
	   active(volume) == 1 && !verdict.obstacle,
	   "The same open file enabled twice counts once");
	close(fd);
	ok(same_bytes(copy) && active(volume) == 1,
	   "A duplicate keeps it enabled");
	close(copy);
	ok(!active(volume), "Closing the last one takes the count back");
}

static void test_door(const char *name, int door)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	unsigned int layers[3] = { 0 };
	int fd = open(file, O_RDONLY | O_DIRECT);
	struct bpio_version version;
	struct bpio_file_info info;

	printf("# by %s\n", name);
	ok(!bpio_kernel_version(door, &version) &&
	   version.abi_version >= 2 && (version.features & BPIO_FEATURE_EXT4) &&
	   (version.features & BPIO_FEATURE_XFS),
	   "bpio_kernel_version tells that files of ext4 and XFS take part");
	ok(!bpio_query_on(door, fd, 0, &verdict) &&
	   verdict.support == BPIO_SUPPORT_FULL && verdict.volume_major,
	   "bpio_query_on answers");
	ok(!bpio_layer_foreach_on(door, fd, NULL, visit_layer, layers) &&
	   layers[0] == 2 && layers[1] == 2,
	   "bpio_layer_foreach_on visits the layers");
	ok(!bpio_enable_on(door, fd, BPIO_ARM, &verdict) &&
	   verdict.support == BPIO_SUPPORT_FULL && verdict.volume_major &&
	   !verdict.obstacle, "bpio_enable_on enables and arms");
	ok(same_bytes(fd) && !bpio_file_info(fd, &info) &&
	   info.direct_reads == 1, "The first read is direct");
	close(fd);
}

static void test_node(int volume)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	struct bpio_tally tally;
	int node = bpio_node_open(), fd = open("/proc/self/exe", O_RDONLY);
	int copy;

	ok(node >= 0, "bpio_node_open opens the control node");
	copy = open(file, O_WRONLY);
	ok(bpio_query_on(node, copy, 0, NULL) == -EACCES &&
	   bpio_query_fd(copy, 0, NULL) == -EACCES,
	   "A question needs a descriptor for reading: EACCES");
	close(copy);
	test_door("the node", node);
	ok(bpio_enable_on(node, fd, 0, &verdict) == -ENOTTY &&
	   verdict.reason == BPIO_REASON_OTHER_VOLUME && verdict.reason_text[0],
	   "A file of elsewhere gives ENOTTY and words");
	ok(bpio_query_on(node, -1, 0, NULL) == -ENOTTY,
	   "The node itself is no volume: ENOTTY");
	ok(!bpio_node_tally(node, &tally) && tally.files == 1 &&
	   !tally.open_files && tally.direct_reads == 1 &&
	   tally.direct_bytes == SIZE && tally.refused == 1 &&
	   tally.refused_reason[BPIO_REASON_OTHER_VOLUME] == 1,
	   "bpio_node_tally counts the file that was closed, and the one refused");
	ok(bpio_node_tally(volume, &tally) == -ENOTTY,
	   "A mapped device has no tally: ENOTTY");
	close(fd);
	close(node);
}

static void test_device(int volume)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	int fd = open("/proc/self/exe", O_RDONLY);

	test_door("the mapped device", volume);
	ok(bpio_enable_on(volume, fd, 0, &verdict) == -EXDEV &&
	   verdict.reason == BPIO_REASON_OTHER_VOLUME,
	   "A file of elsewhere gives EXDEV and words");
	close(fd);
}

static int refused(int fd, int error, unsigned int reason)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	int ret = bpio_enable(fd, 0, &verdict);

	return ret == error && verdict.op_status == error &&
	       verdict.support == BPIO_SUPPORT_NONE &&
	       verdict.reason == reason &&
	       !strcmp(verdict.reason_text, bpio_reason_text(reason));
}

static void test_refused(void)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	int fd = open(file, O_RDWR);

	ok(refused(fd, -EOPNOTSUPP, BPIO_REASON_NOT_READ_ONLY),
	   "A file that is open for writing is refused with a sentence");
	close(fd);
	fd = open(file, O_WRONLY);
	ok(refused(fd, -EBADF, BPIO_REASON_NOT_READABLE),
	   "One that is open for writing only is, too");
	close(fd);
	fd = open(directory, O_RDONLY);
	ok(refused(fd, -EOPNOTSUPP, BPIO_REASON_NOT_REGULAR_FILE),
	   "A directory is, too");
	close(fd);
	fd = open(file, O_PATH);
	ok(bpio_enable(fd, 0, &verdict) == -EBADF && verdict.reason_text[0] &&
	   bpio_query_fd(fd, 0, NULL) == -EBADF,
	   "A descriptor of O_PATH gives EBADF");
	close(fd);
}

static void test_query(int volume)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	int fd = open(directory, O_RDONLY);

	ok(!bpio_query(file, 0, &verdict) &&
	   verdict.support == BPIO_SUPPORT_FULL && !active(volume),
	   "bpio_query answers for a file and enables nothing");
	ok(!bpio_query(directory, 0, &verdict) &&
	   verdict.support == BPIO_SUPPORT_FULL,
	   "bpio_query answers for a directory");
	ok(!bpio_volume_info(fd, &info) && info.active_files == 0 &&
	   info.volume_major == verdict.volume_major,
	   "bpio_volume_info takes a directory of the volume");
	close(fd);
	ok(!bpio_query(device, 0, &verdict) &&
	   verdict.support == BPIO_SUPPORT_FULL,
	   "bpio_query answers for the mapped device");
	ok(!bpio_query(file, BPIO_SKIP_STORAGE, &verdict) &&
	   verdict.support == BPIO_SUPPORT_PARTIAL &&
	   verdict.reason == BPIO_REASON_QUERY_SKIPPED,
	   "BPIO_SKIP_STORAGE answers for the file only");
}

static void test_pause(int volume)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	struct bpio_file_info info;
	int fd, other;

	other = open(file, O_RDONLY);
	ok(!bpio_pause(other, &verdict) &&
	   !(verdict.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED),
	   "bpio_pause changes nothing for a file that is not enabled");
	fd = bpio_open(file, BPIO_ARM, NULL);
	ok(!bpio_pause(other, &verdict) &&
	   verdict.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED,
	   "bpio_pause takes another descriptor of the file");
	ok(same_bytes(fd) && !bpio_file_info(fd, &info) &&
	   info.fallback_reason[BPIO_REASON_STREAM_PAUSED] == 1,
	   "The file system serves its reads then");
	ok(!bpio_resume(fd, &verdict) &&
	   verdict.support == BPIO_SUPPORT_FULL &&
	   !(verdict.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED),
	   "bpio_resume ends that");
	ok(!bpio_file_arm(fd, NULL) && same_bytes(fd) &&
	   !bpio_file_info(fd, &info) && info.direct_reads == 1,
	   "Its reads go direct again");
	ok(!bpio_pause(fd, &verdict) &&
	   verdict.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED &&
	   !bpio_pause(fd, NULL) && !bpio_resume(fd, NULL) &&
	   !bpio_resume(fd, NULL) && same_bytes(fd) &&
	   !bpio_file_info(fd, &info) && info.direct_reads == 2,
	   "Pauses are not counted");
	close(fd);
	close(other);
	ok(!bpio_volume_pause(volume, &verdict) &&
	   verdict.out_flags & FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED &&
	   !bpio_query(file, 0, &verdict) &&
	   verdict.support == BPIO_SUPPORT_PARTIAL &&
	   verdict.reason == BPIO_REASON_VOLUME_PAUSED,
	   "bpio_volume_pause is told to those who ask");
	ok(!bpio_volume_resume(volume, &verdict) &&
	   verdict.support == BPIO_SUPPORT_FULL &&
	   !(verdict.out_flags & FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED),
	   "bpio_volume_resume asks the stack again");
}

static void test_enable_volume(int volume)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	int fd = open(device, O_RDONLY | O_DIRECT);
	__u64 before;

	ok(!bpio_volume_info(volume, &info) && info.volume_major &&
	   makedev(info.volume_major, info.volume_minor) !=
	   makedev(info.storage_major, info.storage_minor),
	   "bpio_volume_info names the volume and its storage");
	before = info.mapped_reads;
	ok(!bpio_volume_enable(volume, &verdict) &&
	   verdict.support == BPIO_SUPPORT_FULL,
	   "bpio_volume_enable tells full support");
	ok(pread(fd, got, BLOCK, 0) == BLOCK &&
	   !bpio_volume_info(volume, &info) &&
	   info.mapped_reads > before && !info.active_files,
	   "Reads of the device skip layers and count no file");
	ok(!bpio_volume_disable(volume) && !bpio_volume_disable(volume) &&
	   !bpio_volume_info(volume, &info),
	   "bpio_volume_disable can be called twice");
	before = info.mapped_reads;
	ok(pread(fd, got, BLOCK, BLOCK) == BLOCK &&
	   !bpio_volume_info(volume, &info) && info.mapped_reads == before,
	   "Reads of the device skip nothing then");
	close(fd);
}

static int stop_layer(const struct bpio_layer *layer, void *arg)
{
	(void)layer;
	(void)arg;
	return 42;
}

static void test_layers(int volume)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	unsigned int by_path[3] = { 0 }, by_fd[3] = { 0 }, refused[3] = { 0 };
	int fd = open(file, O_WRONLY);

	ok(!bpio_layer_foreach(file, &verdict, visit_layer, by_path) &&
	   by_path[0] == 2 && by_path[1] == 2 && by_path[2] == 1 &&
	   verdict.support == BPIO_SUPPORT_FULL,
	   "bpio_layer_foreach visits the volume, then the storage");
	ok(!bpio_layer_foreach_on(volume, -1, NULL, visit_layer, by_fd) &&
	   by_fd[0] == 2 && by_fd[1] == 2,
	   "bpio_layer_foreach_on does so for the volume");
	ok(!bpio_layer_foreach_on(volume, fd, &verdict, visit_layer, refused) &&
	   refused[0] == 2 && verdict.reason == BPIO_REASON_NOT_READABLE,
	   "Layers are visited also when the file is refused");
	ok(bpio_layer_foreach(directory, NULL, stop_layer, NULL) == 42,
	   "The visitor of layers can end the walk");
	close(fd);
}

static int visit(const struct bpio_volume *volume, void *arg)
{
	struct stat st;

	stat(device, &st);
	if (makedev(volume->major, volume->minor) == st.st_rdev &&
	    volume->name[0] && !volume->suspended)
		++*(int *)arg;
	return 0;
}

static int stop(const struct bpio_volume *volume, void *arg)
{
	(void)volume;
	(void)arg;
	return 42;
}

static void test_list(void)
{
	int seen = 0;

	ok(!bpio_volume_foreach(visit, &seen) && seen == 1,
	   "bpio_volume_foreach visits the volume once");
	ok(bpio_volume_foreach(stop, NULL) == 42,
	   "The visitor can end the walk");
}

int main(int argc, char **argv)
{
	int volume;

	if (argc != 3) {
		fprintf(stderr, "usage: volume DIRECTORY DEVICE\n");
		return 2;
	}
	directory = argv[1];
	device = argv[2];
	make_file();
	volume = bpio_volume_open(file);
	ok(volume >= 0, "bpio_volume_open finds the volume of a file");
	test_open(volume);
	test_enable(volume);
	test_refused();
	if (access(BPIO_NODE, F_OK))
		ok(bpio_node_open() == -ENOENT, "There is no node: ENOENT");
	else
		test_node(volume);
	test_device(volume);
	test_query(volume);
	test_pause(volume);
	test_enable_volume(volume);
	test_layers(volume);
	test_list();
	printf("1..%d\n", count);
	return failed;
}

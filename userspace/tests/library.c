// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbpio without a volume: arguments, errors, words.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpio.h"

static int count, failed;

static void ok(int true, const char *sentence)
{
	printf("%sok %d - %s\n", true ? "" : "not ", ++count, sentence);
	if (!true)
		failed = 1;
}

static int visit(const struct bpio_layer *layer, void *arg)
{
	(void)layer;
	++*(int *)arg;
	return 0;
}

static int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_words(void)
{
	int distinct = 1, back = 1, sentences = 1, fit = 1;
	unsigned int i, j;

	for (i = 0; i < BPIO_REASON_COUNT; i++) {
		const char *token = bpio_reason_token(i);
		const char *text = bpio_reason_text(i);

		for (j = 0; j < i; j++)
			if (!strcmp(token, bpio_reason_token(j)) ||
			    !strcmp(text, bpio_reason_text(j)))
				distinct = 0;
		if (bpio_reason_from_token(token) != (int)i)
			back = 0;
		if (!*text || text[strlen(text) - 1] != '.')
			sentences = 0;
		if (strlen(text) > BPIO_REASON_TEXT_MAX)
			fit = 0;
	}
	ok(distinct, "Every reason has its own word and sentence");
	ok(back, "The word of every reason leads back to its number");
	ok(sentences, "Every reason has a sentence that ends with a full stop");
	ok(fit, "Every sentence fits the field of the ABI");
	ok(!strcmp(bpio_reason_token(BPIO_REASON_COUNT), "unknown") &&
	   strlen(bpio_reason_text(~0U)) > 0,
	   "A reason of a newer kernel has a word and a sentence too");
	ok(bpio_reason_from_token("no such word") == -EINVAL,
	   "A word that is no reason gives EINVAL");
	ok(!strcmp(bpio_support_token(BPIO_SUPPORT_FULL), "full") &&
	   !strcmp(bpio_support_token(3), "unknown"),
	   "Kinds of support have words");
}

static void test_arguments(const char *file)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT, unset = { 0 };
	struct bpio_volume_info info = { 0 };
	struct bpio_file_info file_info;
	struct bpio_tally tally;

	ok(bpio_open(file, 1U << 31, &verdict) == -EINVAL &&
	   bpio_enable(0, BPIO_FALLBACK, &verdict) == -EINVAL &&
	   bpio_query(file, BPIO_ARM, &verdict) == -EINVAL,
	   "Flags that a function does not know give EINVAL");
	ok(bpio_open(file, 0, &unset) == -EINVAL &&
	   bpio_query(file, 0, &unset) == -EINVAL &&
	   bpio_query_on(0, -1, 0, &unset) == -EINVAL,
	   "A verdict whose size is not set gives EINVAL");
	ok(bpio_volume_info(0, &info) == -EINVAL,
	   "A volume info whose size is not set gives EINVAL");
	ok(bpio_open("/no/such/file", 0, NULL) == -ENOENT &&
	   bpio_query("/no/such/file", 0, NULL) == -ENOENT &&
	   bpio_volume_open("/no/such/file") == -ENOENT,
	   "A path that does not exist gives ENOENT");
	ok(bpio_enable(-1, 0, &verdict) == -EBADF &&
	   bpio_query_fd(1000, 0, NULL) == -EBADF &&
	   bpio_disable(-1) == -EBADF && bpio_enable_on(-1, 0, 0, NULL) < 0 &&
	   bpio_file_info(-1, &file_info) == -EBADF &&
	   bpio_node_tally(-1, &tally) == -EBADF,
	   "A descriptor that is not open gives EBADF");
	ok(verdict.op_status == -EBADF && verdict.reason_text[0],
	   "The verdict says so in words");
}

static void test_control(const char *file)
{
	struct bpio_verdict unset = { 0 };
	int fd = open(file, O_RDONLY), seen = 0;

	ok(bpio_pause(fd, &unset) == -EINVAL &&
	   bpio_resume(fd, &unset) == -EINVAL &&
	   bpio_volume_pause(fd, &unset) == -EINVAL &&
	   bpio_volume_resume(fd, &unset) == -EINVAL &&
	   bpio_volume_enable(fd, &unset) == -EINVAL &&
	   bpio_layer_foreach(file, &unset, visit, &seen) == -EINVAL &&
	   bpio_layer_foreach_fd(fd, &unset, visit, &seen) == -EINVAL &&
	   bpio_layer_foreach_on(fd, -1, &unset, visit, &seen) == -EINVAL,
	   "So it does for what pauses, resumes, enables and lists layers");
	ok(bpio_pause(fd, NULL) == -ENOTTY && bpio_resume(fd, NULL) == -ENOTTY,
	   "A file elsewhere can be neither paused nor resumed: ENOTTY");
	ok(bpio_volume_pause(fd, NULL) == -ENOTTY &&
	   bpio_volume_resume(fd, NULL) == -ENOTTY &&
	   bpio_volume_enable(fd, NULL) == -ENOTTY &&
	   bpio_volume_disable(fd) == -ENOTTY,
	   "What is no volume can be neither paused nor enabled: ENOTTY");
	ok(bpio_layer_foreach(file, NULL, visit, &seen) == -ENOTTY &&
	   bpio_layer_foreach_fd(fd, NULL, visit, &seen) == -ENOTTY &&
	   bpio_layer_foreach_on(fd, -1, NULL, visit, &seen) == -ENOTTY &&
	   bpio_layer_foreach("/dev/null", NULL, visit, &seen) == -ENOTTY &&
	   !seen, "It has no layers: ENOTTY, and none is visited");
	ok(bpio_pause(-1, NULL) == -EBADF && bpio_resume(-1, NULL) == -EBADF &&
	   bpio_volume_pause(-1, NULL) == -EBADF &&
	   bpio_volume_enable(-1, NULL) == -EBADF &&
	   bpio_volume_disable(-1) == -EBADF &&
	   bpio_layer_foreach_fd(-1, NULL, visit, &seen) == -EBADF &&
	   bpio_layer_foreach_on(-1, -1, NULL, visit, &seen) == -EBADF,
	   "They give EBADF for a descriptor that is not open");
	close(fd);
}

static void test_node(const char *file)
{
	struct bpio_version version;
	struct bpio_tally tally;
	int fd = open(file, O_RDONLY);

	ok(bpio_node_tally(fd, &tally) == -ENOTTY &&
	   bpio_kernel_version(fd, &version) == -ENOTTY,
	   "What is neither node nor volume gives ENOTTY");
	if (access(BPIO_NODE, F_OK))
		ok(bpio_node_open() == -ENOENT,
		   "Without the module the node cannot be opened: ENOENT");
	close(fd);
}

static void test_other_files(const char *file)
{
	struct {
		struct bpio_verdict verdict;
		char newer[8];
	} large = { .verdict = { .size = sizeof(large) } };
	struct bpio_file_info info;
	int fd, before = open_descriptors();

	memset(large.newer, 0xff, sizeof(large.newer));
	ok(bpio_query(file, 0, NULL) == -ENOTTY &&
	   bpio_query("/", 0, NULL) == -ENOTTY &&
	   bpio_query("/proc/self/stat", 0, NULL) == -ENOTTY &&
	   bpio_query("/dev/null", 0, NULL) == -ENOTTY,
	   "Files, directories, proc files and devices elsewhere give ENOTTY");
	ok(bpio_open(file, 0, &large.verdict) == -ENOTTY,
	   "Opening a file that is on no volume gives ENOTTY");
	ok(large.verdict.reason == BPIO_REASON_OTHER_VOLUME &&
	   large.verdict.op_status == -ENOTTY && large.verdict.reason_text[0],
	   "The verdict tells that it is on no volume");
	ok(!large.newer[0] && !large.newer[7],
	   "What a newer program has room for beyond the structure is zeroed");
	fd = bpio_open(file, BPIO_FALLBACK, &large.verdict);
	ok(fd >= 0 && (fcntl(fd, F_GETFL) & O_DIRECT) &&
	   (fcntl(fd, F_GETFD) & FD_CLOEXEC) &&
	   large.verdict.support == BPIO_SUPPORT_NONE,
	   "With BPIO_FALLBACK it gives an O_DIRECT descriptor with close-on-exec");
	ok(bpio_file_info(fd, &info) == -ENOTTY &&
	   bpio_file_arm(fd, NULL) == -ENOTTY,
	   "A file that was never enabled gives ENOTTY");
	close(fd);
	ok(open_descriptors() == before, "No descriptor is left open");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: library FILE\n");
		return 2;
	}
	test_words();
	test_arguments(argv[1]);
	test_control(argv[1]);
	test_node(argv[1]);
	test_other_files(argv[1]);
	printf("1..%d\n", count);
	return failed;
}

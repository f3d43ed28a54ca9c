// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "content.h"
#include "util.h"

#define MAGIC	0x6f697062u	/* "bpio" */
#define WORDS	((CONTENT_SECTOR - sizeof(struct head)) / sizeof(uint64_t))

struct head {
	uint32_t	magic;
	uint32_t	file;
	uint64_t	offset;
	uint64_t	generation;
};

struct sector {
	struct head	head;
	/* computed from the head alone, so it is a checksum of the sector */
	uint64_t	body[WORDS];
};

_Static_assert(sizeof(struct sector) == CONTENT_SECTOR, "one sector");

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	return x;
}

static void make_sector(struct sector *s, uint32_t file, uint64_t offset,
			uint32_t generation)
{
	uint64_t seed = mix(offset ^ ((uint64_t)file << 40)) ^ mix(generation);
	size_t i;

	s->head.magic = MAGIC;
	s->head.file = file;
	s->head.offset = offset;
	s->head.generation = generation;
	for (i = 0; i < WORDS; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		s->body[i] = seed;
	}
}

void content_fill(void *buffer, size_t bytes, uint32_t file, uint64_t offset,
		  uint32_t generation)
{
	struct sector s;
	size_t done, part;

	for (done = 0; done < bytes; done += part) {
		make_sector(&s, file, offset + done, generation);
		part = bytes - done < sizeof(s) ? bytes - done : sizeof(s);
		memcpy((char *)buffer + done, &s, part);
	}
}

static bool all_zero(const unsigned char *p, size_t bytes)
{
	return !bytes || (!p[0] && !memcmp(p, p + 1, bytes - 1));
}

/* Describe @found, a sector where the rule's file at @offset was expected. */
static void explain(const struct sector *found, uint64_t offset,
		    const struct content_rule *rule, char *why, size_t size)
{
	struct sector honest;
	size_t i;

	if (all_zero((const unsigned char *)found, sizeof(*found))) {
		snprintf(why, size, "offset %llu: zeroes instead of file %u",
			 (unsigned long long)offset, rule->file);
		return;
	}
	if (found->head.magic != MAGIC) {
		snprintf(why, size,
			 "offset %llu: bytes of no test file (%08x %08x ...) instead of file %u",
			 (unsigned long long)offset, found->head.magic,
			 found->head.file, rule->file);
		return;
	}
	make_sector(&honest, found->head.file, found->head.offset,
		    found->head.generation);
	for (i = 0; i < sizeof(honest); i++)
		if (((const char *)&honest)[i] != ((const char *)found)[i])
			break;
	snprintf(why, size,
		 "offset %llu of file %u, generation %u to %u, expected; found offset %llu of file %u, generation %llu%s",
		 (unsigned long long)offset, rule->file, rule->oldest,
		 rule->newest, (unsigned long long)found->head.offset,
		 found->head.file, (unsigned long long)found->head.generation,
		 i < sizeof(honest) ? ", torn" : "");
}

/* A part of a sector may lack the head, so compare it with each generation. */
static bool part_fits(const void *part, size_t bytes, uint64_t offset,
		      const struct content_rule *rule)
{
	uint64_t start = offset & ~(uint64_t)(CONTENT_SECTOR - 1);
	struct sector s;
	uint32_t g;

	for (g = rule->oldest; g <= rule->newest; g++) {
		make_sector(&s, rule->file, start, g);
		if (!memcmp(part, (char *)&s + (offset - start), bytes))
			return true;
	}
	return rule->zeroes && all_zero(part, bytes);
}

/*
 * A page of the page cache may be written to during its writeback. Then each word
 * may be of another allowed generation, or zero.
 */
static bool words_fit(const struct sector *found, uint64_t offset,
		      const struct content_rule *rule)
{
	const uint64_t *words = (const uint64_t *)found;
	bool fits[CONTENT_SECTOR / sizeof(uint64_t)] = { false };
	struct sector honest;
	uint32_t g;
	size_t i;

	for (g = rule->oldest; g <= rule->newest; g++) {
		make_sector(&honest, rule->file, offset, g);
		for (i = 0; i < CONTENT_SECTOR / sizeof(uint64_t); i++)
			fits[i] |= words[i] == ((const uint64_t *)&honest)[i];
	}
	for (i = 0; i < CONTENT_SECTOR / sizeof(uint64_t); i++)
		if (!fits[i] && !(rule->zeroes && !words[i]))
			return false;
	return true;
}

static bool sector_fits(const struct sector *found, uint64_t offset,
			const struct content_rule *rule)
{
	struct sector honest;
	int i;

	if (rule->zeroes && all_zero((const unsigned char *)found,
				     sizeof(*found)))
		return true;
	if (found->head.generation < rule->oldest ||
	    found->head.generation > rule->newest)
		return false;
	for (i = 0; i < 2; i++) {
		make_sector(&honest, rule->file, offset + rule->moved[i],
			    found->head.generation);
		if (!memcmp(&honest, found, sizeof(honest)))
			return true;
	}
	return false;
}

int content_check(const void *buffer, size_t bytes, uint64_t offset,
		  const struct content_rule *rule, char *why, size_t why_size)
{
	size_t done, part;
	struct sector s;

	for (done = 0; done < bytes; done += part) {
		const char *at = (const char *)buffer + done;
		uint64_t where = offset + done;

		part = CONTENT_SECTOR - where % CONTENT_SECTOR;
		if (part > bytes - done)
			part = bytes - done;
		if (part < CONTENT_SECTOR) {
			if (part_fits(at, part, where, rule))
				continue;
			snprintf(why, why_size,
				 "offset %llu: %zu bytes are not file %u, generation %u to %u",
				 (unsigned long long)where, part, rule->file,
				 rule->oldest, rule->newest);
			return -1;
		}
		memcpy(&s, at, sizeof(s));
		if (sector_fits(&s, where, rule) ||
		    (rule->mixed && words_fit(&s, where, rule)))
			continue;
		explain(&s, where, rule, why, why_size);
		return -1;
	}
	return 0;
}

int content_is(const void *buffer, size_t bytes, uint64_t offset, uint32_t file,
	       uint32_t generation)
{
	struct content_rule rule = {
		.file = file, .oldest = generation, .newest = generation,
	};
	char why[256];

	if (!content_check(buffer, bytes, offset, &rule, why, sizeof(why)))
		return 0;
	diag("%s", why);
	return -1;
}

int content_vectors_are(const struct iovec *vectors, unsigned int nr,
			uint64_t offset, uint32_t file, uint32_t generation)
{
	unsigned int i;

	for (i = 0; i < nr; offset += vectors[i++].iov_len)
		if (content_is(vectors[i].iov_base, vectors[i].iov_len, offset,
			       file, generation))
			return -1;
	return 0;
}

static bool sector_is(const struct sector *found,
		      const struct content_sector *legal)
{
	struct sector honest;

	if (!legal->file)
		return all_zero((const unsigned char *)found, sizeof(*found));
	if (found->head.file != legal->file ||
	    found->head.offset != legal->offset ||
	    found->head.generation != legal->generation)
		return false;
	make_sector(&honest, legal->file, legal->offset, legal->generation);
	return !memcmp(&honest, found, sizeof(honest));
}

/* Like words_fit(). */
static bool words_are(const struct sector *found,
		      const struct content_sector *legal, unsigned int count)
{
	const uint64_t *words = (const uint64_t *)found;
	bool fits[CONTENT_SECTOR / sizeof(uint64_t)] = { false };
	struct sector honest;
	unsigned int n;
	size_t i;

	for (n = 0; n < count; n++) {
		memset(&honest, 0, sizeof(honest));
		if (legal[n].file)
			make_sector(&honest, legal[n].file, legal[n].offset,
				    legal[n].generation);
		for (i = 0; i < CONTENT_SECTOR / sizeof(uint64_t); i++)
			fits[i] |= words[i] == ((const uint64_t *)&honest)[i];
	}
	for (i = 0; i < CONTENT_SECTOR / sizeof(uint64_t); i++)
		if (!fits[i])
			return false;
	return true;
}

static size_t say_legal(const struct content_sector *legal, unsigned int count,
			char *why, size_t size)
{
	size_t used = 0;
	unsigned int i;

	for (i = 0; i < count && used < size; i++)
		used += legal[i].file ?
			snprintf(why + used, size - used,
				 "%sfile %u offset %llu generation %u",
				 i ? " or " : "", legal[i].file,
				 (unsigned long long)legal[i].offset,
				 legal[i].generation) :
			snprintf(why + used, size - used, "%szeroes",
				 i ? " or " : "");
	return used < size ? used : size;
}

static void say_found(const struct sector *found, char *why, size_t size)
{
	struct sector honest;

	if (all_zero((const unsigned char *)found, sizeof(*found))) {
		snprintf(why, size, "zeroes");
		return;
	}
	if (found->head.magic != MAGIC) {
		snprintf(why, size, "bytes of no test file (%08x %08x ...)",
			 found->head.magic, found->head.file);
		return;
	}
	make_sector(&honest, found->head.file, found->head.offset,
		    found->head.generation);
	snprintf(why, size, "file %u offset %llu generation %llu%s",
		 found->head.file, (unsigned long long)found->head.offset,
		 (unsigned long long)found->head.generation,
		 memcmp(&honest, found, sizeof(honest)) ? ", torn" : "");
}

int content_check_sector(const void *buffer, const struct content_sector *legal,
			 unsigned int count, bool mixed, char *why,
			 size_t why_size)
{
	struct sector s;
	char found[128];
	unsigned int i;
	size_t used;

	memcpy(&s, buffer, sizeof(s));
	for (i = 0; i < count; i++)
		if (sector_is(&s, &legal[i]))
			return 0;
	if (mixed && words_are(&s, legal, count))
		return 0;
	say_found(&s, found, sizeof(found));
	used = snprintf(why, why_size, "found %s, expected ", found);
	if (used < why_size)
		say_legal(legal, count, why + used, why_size - used);
	return -1;
}

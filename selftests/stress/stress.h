/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The oracle: everything that may change a file or the stack happens at once,
 * and every byte that is read with BypassIO is judged.
 */
#ifndef STRESS_STRESS_H
#define STRESS_STRESS_H

#include <linux/dm-bpio.h>

#include "model.h"
#include "util.h"
#include "volume.h"

#define FILES		12u
/* So many fewer have room at the same time. */
#define SPARE_FILES	3u
#define FILE_BYTES	((uint64_t)BLOCKS * BLOCK)

/* A file that is open and enabled; gone when nobody holds it any more. */
struct file {
	struct model		model;
	pthread_mutex_t		change;		/* one changer at a time */
	atomic_uint		holders;
	atomic_uint		in_flight;	/* reads */
	atomic_bool		at_end;		/* the last read brought nothing */
	/* of now_ms() */
	_Atomic uint64_t	changed_at;
	unsigned int		slot;
	unsigned int		orphaned;	/* blocks without a name */
	uint32_t		id;
	int			fd;
	char			path[128];
};

struct counters {
	_Atomic uint64_t	judged;
	_Atomic uint64_t	unknown;	/* too much happened meanwhile */
	_Atomic uint64_t	violations;
	_Atomic uint64_t	changes;
	_Atomic uint64_t	refills;	/* of blocks that were just freed */
	_Atomic uint64_t	no_space;
	_Atomic uint64_t	shares;		/* files that were given another's blocks */
	_Atomic uint64_t	leases;		/* of others, beside reads */
	_Atomic uint64_t	suspends;
	_Atomic uint64_t	reloads;
	_Atomic uint64_t	moves;		/* reloads to where the data went */
	_Atomic uint64_t	pauses;
	_Atomic uint64_t	vetoes;
	/* of files that are gone */
	_Atomic uint64_t	direct;
	_Atomic uint64_t	fallback;
	_Atomic uint64_t	reasons[BPIO_REASON_SLOTS];
};

/*
 * A file of which reads are to begin in a certain moment of a change, and not
 * before. The time is of now_ms(); the slot is of FILES when there is none.
 */
struct chase {
	pthread_mutex_t		lock;	/* one at a time */
	_Atomic unsigned int	slot;
	_Atomic uint64_t	from;
};

struct stress {
	/* options */
	unsigned int		seconds;
	unsigned int		seed;
	unsigned int		share;		/* percent direct, at least */
	const char		*fs;
	const char		*mkfs;		/* further options of it */
	bool			go_on;		/* after a violation */
	/* state */
	const char		*nvme;
	struct volume		volume;
	int			node;		/* serves the volume */
	struct counters		counters;
	_Atomic bool		stop;
	_Atomic bool		broken;		/* the test itself cannot go on */
	_Atomic unsigned int	pace_ms;	/* between changes, of each changer */
	uint64_t		started;
	_Atomic uint64_t	first_violation;	/* ms after the start */
	struct chase		chase;
	/* no veto and no pause while somebody enables a file */
	pthread_mutex_t		policy;
	pthread_mutex_t		slots_lock;
	struct file		*slots[FILES];
};

extern struct stress stress;

/* A generator of random numbers for each thread, from the seed and its name. */
struct dice {
	uint64_t	state;
};

void dice_init(struct dice *dice, const char *name);
unsigned int roll(struct dice *dice, unsigned int sides);

/* Say what is wrong, and end. */
void violation(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void broken(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool goes_on(void);
/* Sleep, but not beyond the end. */
void rest(unsigned int ms);

/* files.c */
/*
 * Empty, and not enabled: what is enabled should have blocks. NULL when there
 * is no room.
 */
struct file *file_new(unsigned int slot);
void file_enable(struct file *file);
struct file *file_get(unsigned int slot);
void file_put(struct file *file);
/* Take the place of the file in its slot; the old one is put. */
void file_replace(struct file *old, struct file *new);
/*
 * Have readers leave the file alone, at once, and begin reads of it for a while
 * that begins in @ms. Returns false when another file is the one already.
 */
bool file_chase(struct file *file);
void file_chase_from(unsigned int ms);
void file_chase_end(void);
/* One that is worth reading, or changing. Never NULL. */
struct file *file_for_reader(struct dice *dice);
struct file *file_for_changer(struct dice *dice);
/* Reads of all files until now, direct and not. */
void reads_so_far(uint64_t *direct, uint64_t *fallback,
		  uint64_t reasons[BPIO_REASON_SLOTS]);

/* blocks.c: blocks that are free now */
void spare_give(unsigned int blocks);
/* In the beginning all that may be in use is. */
void fill_all(void);

/* Threads; each takes the name that its dice have. */
void *read_pread(void *name);
void *read_uring(void *name);
void *read_polled(void *name);
void *read_aio(void *name);
void *read_mapping(void *name);
void *change_files(void *name);
void *change_by_open(void *name);
void *change_stack(void *name);
void *change_policy(void *name);
void *hold_leases(void *name);
/* Only where that is harmless. */
void *fork_beside_reads(void *name);

/* faults.c: processes of their own, which read and write through mappings */
int faults_start(void);
void faults_stop(void);
/* Write to blocks that are there. Returns 0 or a negative errno. */
int faults_write(int fd, const char *buffer, size_t bytes, off_t offset);
/* This file above all, until it is NULL. */
void faults_hunt(const struct file *file);

/* ground.c: the stack that all this stands on */
int ground_create(void);
/* All is fast until then. */
int ground_slow_down(void);
/* How much longer reads of the file take, of its first blocks to be exact. */
unsigned int ground_delay_ms(const struct file *file);
int ground_remove(void);

#endif /* STRESS_STRESS_H */

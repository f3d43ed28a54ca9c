/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The oracle: it does everything that may change a file or the stack at the same
 * time, and judges every byte that is read with BypassIO.
 */
#ifndef STRESS_STRESS_H
#define STRESS_STRESS_H

#include <linux/dm-bpio.h>

#include "model.h"
#include "util.h"
#include "volume.h"

#define FILES		12u
/* The file system has room for this many fewer files of full size. */
#define SPARE_FILES	3u
#define FILE_BYTES	((uint64_t)BLOCKS * BLOCK)

/* A file that is open and enabled. Freed when its last holder puts it. */
struct file {
	struct model		model;
	pthread_mutex_t		change;		/* one changer at a time */
	atomic_uint		holders;
	atomic_uint		in_flight;	/* reads */
	atomic_bool		at_end;		/* the last read returned no bytes */
	/* time of now_ms() */
	_Atomic uint64_t	changed_at;
	unsigned int		slot;
	unsigned int		orphaned;	/* its blocks, once it is unlinked */
	uint32_t		id;
	int			fd;
	char			path[128];
};

struct counters {
	_Atomic uint64_t	judged;
	_Atomic uint64_t	unknown;	/* too many changes during the read */
	_Atomic uint64_t	violations;
	_Atomic uint64_t	changes;
	_Atomic uint64_t	refills;	/* of blocks that were just freed */
	_Atomic uint64_t	no_space;
	_Atomic uint64_t	shares;		/* files that were cloned */
	_Atomic uint64_t	leases;		/* taken by the test on files being read */
	_Atomic uint64_t	suspends;
	_Atomic uint64_t	reloads;
	_Atomic uint64_t	moves;		/* reloads to where the data went */
	_Atomic uint64_t	pauses;
	_Atomic uint64_t	vetoes;
	/* reads of files that are gone */
	_Atomic uint64_t	direct;
	_Atomic uint64_t	fallback;
	_Atomic uint64_t	reasons[BPIO_REASON_SLOTS];
};

/*
 * A file that readers must leave alone until a certain moment of a change, and read
 * from then on. @slot is that of the file, or FILES if there is none; @from is a time
 * of now_ms().
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
	unsigned int		share;		/* least percentage of direct reads */
	const char		*fs;
	const char		*mkfs;		/* more options for its mkfs */
	bool			go_on;		/* after a violation */
	/* state */
	const char		*nvme;
	struct volume		volume;
	int			node;		/* /dev/bpio */
	struct counters		counters;
	_Atomic bool		stop;
	_Atomic bool		broken;		/* the test itself cannot go on */
	_Atomic unsigned int	pace_ms;	/* between changes, of each changer */
	uint64_t		started;
	_Atomic uint64_t	first_violation;	/* ms after the start */
	struct chase		chase;
	/* no veto while a file is being enabled */
	pthread_mutex_t		policy;
	pthread_mutex_t		slots_lock;
	struct file		*slots[FILES];
};

extern struct stress stress;

/* Random numbers for one thread, determined by the seed and the thread's name. */
struct dice {
	uint64_t	state;
};

void dice_init(struct dice *dice, const char *name);
unsigned int roll(struct dice *dice, unsigned int sides);

/* Report a wrong read, or that the test cannot continue, and end the test. */
void violation(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void broken(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool goes_on(void);
/* Since the start. */
uint64_t elapsed_ms(void);
/* Sleep, but not beyond the end of the test. */
void rest(unsigned int ms);

/* files.c */
/*
 * Create an empty file. It is not enabled yet, because enabled files should have
 * blocks. Returns NULL if there is no room.
 */
struct file *file_new(unsigned int slot);
void file_enable(struct file *file);
struct file *file_get(unsigned int slot);
void file_put(struct file *file);
/* Put @new into the slot of @old, and put @old. */
void file_replace(struct file *old, struct file *new);
/*
 * Make readers leave a file alone from now on; file_chase_from() makes them read it,
 * for a while that begins in @ms. Returns false if another file is being chased.
 */
bool file_chase(struct file *file);
void file_chase_from(unsigned int ms);
void file_chase_end(void);
/* A file that is worth reading, or changing. Never NULL. */
struct file *file_for_reader(struct dice *dice);
struct file *file_for_changer(struct dice *dice);
/* All reads so far, direct and not. */
void reads_so_far(uint64_t *direct, uint64_t *fallback,
		  uint64_t reasons[BPIO_REASON_SLOTS]);

/* blocks.c */
/* At the start: write all blocks that may be in use, and enable the files. */
void fill_all(void);

/* Threads. The argument is the name for dice_init(). */
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
/* Does so only on kernels where that is harmless. */
void *fork_beside_reads(void *name);

/* faults.c: separate processes that read and write through mappings */
int faults_start(void);
void faults_stop(void);
/* Write to blocks that exist. Returns 0 or a negative errno. */
int faults_write(int fd, const char *buffer, size_t bytes, off_t offset);
/* Cause page faults in this file only, until called with NULL. */
void faults_hunt(const struct file *file);

/* ground.c: the stack below the files */
int ground_create(void);
/* Before this call the whole stack is fast. */
int ground_slow_down(void);
/* The delay of reads of the file's first extent. */
unsigned int ground_delay_ms(const struct file *file);
int ground_remove(void);

#endif /* STRESS_STRESS_H */

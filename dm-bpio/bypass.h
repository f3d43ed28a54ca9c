/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_BYPASS_H
#define BPIO_BYPASS_H

#include <linux/jiffies.h>
#include <linux/types.h>
#include <linux/dm-bpio.h>

struct bpio_layer;
struct bpio_route;
struct bpio_table;
struct bpio_volume;

/* How long an operation waits for a new route before it answers without one, in jiffies. */
#define BPIO_BYPASS_ANSWER	(2 * HZ)

unsigned int bpio_bypass_lock(struct bpio_volume *volume);
void bpio_bypass_unlock(struct bpio_volume *volume, unsigned int noio);

void bpio_bypass_attach(struct bpio_volume *volume, struct bpio_table *table);
void bpio_bypass_detach(struct bpio_volume *volume, struct bpio_table *table);

bool bpio_bypass_wants_route(struct bpio_volume *volume);
void bpio_bypass_update(struct bpio_volume *volume, bool requery);
void bpio_bypass_update_locked(struct bpio_volume *volume);
void bpio_bypass_update_now(struct bpio_volume *volume, bool requery);
void bpio_bypass_update_later(struct bpio_volume *volume);
void bpio_bypass_note_read(struct bpio_volume *volume, unsigned long started);

void bpio_bypass_publish(struct bpio_volume *volume, struct bpio_route *route,
			 enum bpio_reason reason);
void bpio_bypass_withdraw(struct bpio_volume *volume, enum bpio_reason reason);
unsigned long bpio_bypass_drain_locked(struct bpio_volume *volume);
int bpio_bypass_wait(struct bpio_volume *volume, unsigned long ticket);
void bpio_bypass_wait_always(struct bpio_volume *volume, unsigned long ticket);
void bpio_bypass_settle(struct bpio_volume *volume, unsigned long timeout);
void bpio_bypass_complain(struct bpio_volume *volume,
			  const struct bpio_layer *layer);

int bpio_bypass_set_storage(struct bpio_volume *volume, bool enabled);

u64 bpio_bypass_route_reads(const struct bpio_volume *volume);
bool bpio_bypass_skips(struct bpio_volume *volume,
		       const struct bpio_layer *layer);
enum bpio_support bpio_bypass_support(struct bpio_volume *volume,
				      bool *compatible);
enum bpio_support bpio_bypass_verdict(struct bpio_volume *volume,
				      struct bpio_results *results);
u32 bpio_bypass_flags(struct bpio_volume *volume);

int bpio_bypass_init(void);
void bpio_bypass_exit(void);

#endif /* BPIO_BYPASS_H */

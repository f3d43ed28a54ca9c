/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel module: what is loaded, and loading and unloading it.
 */
#ifndef BPIO_MODULE_H
#define BPIO_MODULE_H

#include <stdbool.h>
#include <stddef.h>

#define MODULE_DIR	"/sys/module/dm_bpio"

/**
 * struct parameters - module parameters, which may have been set since it was loaded
 *
 * @names: Names of the module's parameters.
 * @values: Their values.
 * @count: Number of these.
 */
struct parameters {
	char *names[16];
	char *values[16];
	size_t count;
};

bool module_loaded(void);

/* A file in sysfs of the loaded module, without its newline; to be freed, or NULL */
char *module_attribute(const char *name);

/* A field of modinfo(8) of the installed module; to be freed, or NULL */
char *module_installed(const char *field);

/* Loads the module unless it is loaded: 0, or a negative errno and a sentence in @why */
int module_load(char *why, size_t size);

/* Unloads it, and the target that comes with it: 0 or a negative errno (-EBUSY) */
int module_unload(void);

/* The modules that use it, joined by ", "; to be freed, NULL for none */
char *module_users(void);

void parameters_read(struct parameters *parameters);
/* Sets the parameters again, and frees them */
void parameters_restore(struct parameters *parameters);

#endif /* BPIO_MODULE_H */

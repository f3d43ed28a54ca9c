/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_ENVELOPE_H
#define BPIO_ENVELOPE_H

#include <linux/types.h>
#include <linux/dm-bpio.h>

struct bpio_protocol_request;

int bpio_envelope_get(struct bpio_ioctl *env, struct bpio_ioctl __user *uenv,
		      void *in, size_t in_size, size_t out_size);
int bpio_envelope_probe(const struct bpio_ioctl *env,
			struct bpio_ioctl __user *uenv, size_t out_size);
int bpio_envelope_put(const struct bpio_ioctl *env,
		      struct bpio_ioctl __user *uenv, const void *out,
		      size_t out_size, size_t more);

int bpio_envelope_get_fs(struct bpio_protocol_request *request,
			 struct bpio_ioctl *env, struct bpio_ioctl __user *uenv);
int bpio_envelope_prepare_fs(struct bpio_protocol_request *request,
			     const struct bpio_ioctl *env,
			     struct bpio_ioctl __user *uenv);
int bpio_envelope_answer_fs(struct bpio_protocol_request *request,
			    const struct bpio_ioctl *env,
			    struct bpio_ioctl __user *uenv, int ret);

int bpio_envelope_version(struct bpio_version __user *uversion);

#endif /* BPIO_ENVELOPE_H */

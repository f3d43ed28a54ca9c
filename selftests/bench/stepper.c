// SPDX-License-Identifier: GPL-2.0-only
/*
 * Single-step a part of what a guest executes, and count instructions.
 *
 * Connects to the emulator's port for debuggers, waits until the guest has reached an
 * address a few times, then steps until it reaches it again, and prints how often each
 * address was executed. Interrupts are held back meanwhile. Unlike sampling, this
 * misses nothing, not even code that runs with interrupts disabled.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* A power of two, several times the number of instructions of a read. */
#define SLOTS		(256 * 1024)
#define MAX_STEPS	50000000ULL
/* Read register "rip", by its number in the protocol. */
#define READ_RIP	"p10"
/* Single steps without interrupts and timers. */
#define QUIET_STEPS	"Qqemu.sstep=7"

struct count {
	uint64_t address;
	uint64_t times;
};

static struct count counts[SLOTS];
static FILE *port;
static int port_fd;

static void count(uint64_t address)
{
	uint32_t slot = (address * 0x9e3779b97f4a7c15ULL) >> 40;
	unsigned int tries;

	for (tries = 0; tries < SLOTS; tries++) {
		struct count *at = &counts[(slot + tries) % SLOTS];

		if (!at->times)
			at->address = address;
		if (at->address != address)
			continue;
		at->times++;
		return;
	}
	die("more different addresses than expected");
}

/* The emulator creates the socket some time after its start. */
static void connect_port(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timespec pause = { .tv_nsec = 50000000 };
	uint64_t deadline = now() + 120 * 1000000000ULL;

	if (strlen(path) >= sizeof(address.sun_path))
		die("%s: too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	for (;;) {
		port_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (port_fd < 0)
			die("socket: %s", strerror(errno));
		if (!connect(port_fd, (struct sockaddr *)&address,
			     sizeof(address)))
			break;
		close(port_fd);
		if (now() > deadline)
			die("%s: no emulator came", path);
		nanosleep(&pause, NULL);
	}
	port = fdopen(port_fd, "r");
	if (!port)
		die("%s: %s", path, strerror(errno));
}

static void send_packet(const char *command)
{
	unsigned char sum = 0;
	char packet[128];
	const char *at;
	int length;

	for (at = command; *at; at++)
		sum += *at;
	length = snprintf(packet, sizeof(packet), "$%s#%02x", command, sum);
	if (write(port_fd, packet, length) != length)
		die("the emulator went away");
}

/* Read the emulator's answer, of which @size - 1 characters are kept. */
static void receive_packet(char *answer, size_t size)
{
	size_t length = 0;
	int c;

	do {
		c = getc(port);
	} while (c != '$' && c != EOF);
	while ((c = getc(port)) != '#' && c != EOF)
		if (length < size - 1)
			answer[length++] = c;
	answer[length] = 0;
	if (c == EOF || getc(port) == EOF || getc(port) == EOF)
		die("the emulator went away before the guest came to the address often enough");
	if (write(port_fd, "+", 1) != 1)
		die("the emulator went away");
}

static void command(const char *text, const char *expected)
{
	char answer[256];

	send_packet(text);
	receive_packet(answer, sizeof(answer));
	if (strncmp(answer, expected, strlen(expected)))
		die("the emulator answered '%s' to '%s'", answer, text);
}

/* Registers come with their lowest byte first. */
static uint64_t read_rip(void)
{
	unsigned int byte, i;
	uint64_t rip = 0;
	char answer[32];

	send_packet(READ_RIP);
	receive_packet(answer, sizeof(answer));
	for (i = 0; i < 8; i++) {
		if (sscanf(answer + 2 * i, "%2x", &byte) != 1)
			die("the emulator answered '%s' for rip", answer);
		rip |= (uint64_t)byte << (8 * i);
	}
	return rip;
}

static void set_breakpoint(uint64_t address, bool on)
{
	char text[64];

	snprintf(text, sizeof(text), "%c1,%llx,1", on ? 'Z' : 'z',
		 (unsigned long long)address);
	command(text, "OK");
}

int main(int argc, char **argv)
{
	uint64_t address, rip, steps = 0;
	unsigned int skip, i;

	if (argc != 4)
		die("usage: stepper SOCKET ADDRESS SKIP");
	address = strtoull(argv[2], NULL, 16);
	skip = atoi(argv[3]);
	connect_port(argv[1]);
	command("?", "T");
	command(QUIET_STEPS, "OK");
	for (i = 0; i <= skip; i++) {
		set_breakpoint(address, true);
		command("c", "T");
		set_breakpoint(address, false);
		if (i < skip)
			command("s", "T");
	}
	rip = address;
	do {
		count(rip);
		command("s", "T");
		rip = read_rip();
		if (++steps > MAX_STEPS)
			die("the guest did not come to the address again");
	} while (rip != address);
	send_packet("D");
	for (i = 0; i < SLOTS; i++)
		if (counts[i].times)
			printf("%016llx %llu\n",
			       (unsigned long long)counts[i].address,
			       (unsigned long long)counts[i].times);
	return 0;
}

/* Which descriptors a program inherits: what inherited.c and spawn.c share. */
#ifndef FTM_INHERITED_H
#define FTM_INHERITED_H

#include "internal.h"

#include <sys/syscall.h>

#ifndef SYS_close_range
# define SYS_close_range 436
#endif

#define FIRST 3 /* behind stdin, stdout and stderr */
#define MOST 64

/* Numbers of descriptors. More than MOST: all. */
typedef struct numbers {
	size_t count;
	int at[MOST];
} numbers;

/* Those of the standard streams are not added. */
void ftm_add_number(numbers *set, int number);

/* Adds what the program that the calling PHP thread is about to start is meant to get. */
void ftm_keep_meant(numbers *kept);

/* Calls `visit` for each open descriptor from FIRST on, until it returns an error; returns that. */
int ftm_each_open(int (*visit)(int number, void *with), void *with);

#endif

/*
 * Functions of the C library that answer from memory of the process, which the next call of any thread overwrites. PHP calls
 * them as if it were alone. The definitions here, which take the place of the library's for PHP and its extensions, answer from
 * memory of the thread.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <netdb.h>

/* Room for an entry's name and aliases: an entry that needs more is not found. */
#define ROOM 4096

static TSRM_TLS struct servent service;
static TSRM_TLS char service_texts[ROOM];
static TSRM_TLS struct protoent protocol;
static TSRM_TLS char protocol_texts[ROOM];

static TSRM_TLS struct hostent host;
static TSRM_TLS char host_texts[ROOM];

struct servent *getservbyname(const char *name, const char *of_protocol)
{
	struct servent *found = NULL;

	getservbyname_r(name, of_protocol, &service, service_texts, sizeof(service_texts), &found);
	return found;
}

struct servent *getservbyport(int port, const char *of_protocol)
{
	struct servent *found = NULL;

	getservbyport_r(port, of_protocol, &service, service_texts, sizeof(service_texts), &found);
	return found;
}

struct protoent *getprotobyname(const char *name)
{
	struct protoent *found = NULL;

	getprotobyname_r(name, &protocol, protocol_texts, sizeof(protocol_texts), &found);
	return found;
}

struct protoent *getprotobynumber(int number)
{
	struct protoent *found = NULL;

	getprotobynumber_r(number, &protocol, protocol_texts, sizeof(protocol_texts), &found);
	return found;
}

/* PHP does without it, but not all libraries. */
struct hostent *gethostbyname(const char *name)
{
	struct hostent *found = NULL;

	gethostbyname_r(name, &host, host_texts, sizeof(host_texts), &found, &h_errno);
	return found;
}

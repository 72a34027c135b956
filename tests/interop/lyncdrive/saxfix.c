/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

/*
 * Debian 12 ships libxml2 2.9.14, which does not call SAX1 element callbacks when
 * the handler says XML_SAX2_MAGIC and has no *Ns callbacks.  SIPE 1.25 builds just
 * such a handler, so it silently reads every XML body as empty: no contacts, no
 * presence, no conferences.  lyncdrive links this file in
 * (with --export-dynamic), so the plugin finds this function first; it mends the
 * handler and passes the call on.  For pidgin or finch: LD_PRELOAD=build/saxfix.so.
 * The layout below is that of struct _xmlSAXHandler (stable since libxml2 2.6).
 */
struct sax_handler { void (*fn[27])(void); unsigned initialized; void *priv; void (*start_ns)(void), (*end_ns)(void), (*serror)(void); };
int xmlSAXUserParseMemory(struct sax_handler *sax, void *user, const char *buf, int size);
int xmlSAXUserParseMemory(struct sax_handler *sax, void *user, const char *buf, int size)
{
	static int (*real)(struct sax_handler *, void *, const char *, int);
	struct sax_handler copy;
	if (!real) real = (int (*)(struct sax_handler *, void *, const char *, int)) dlsym(RTLD_NEXT, "xmlSAXUserParseMemory");
	if (!real) return -1;
	if (sax && sax->initialized == 0xDEEDBEAF && !sax->start_ns && !sax->end_ns) {
		copy = *sax;
		copy.initialized = 1;
		sax = &copy;
	}
	return real(sax, user, buf, size);
}

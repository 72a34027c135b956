/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lyncdrive - a headless Lync-family client for tests.
 *
 * Starts libpurple with the SIPE protocol plugin (prpl-sipe), signs in with one
 * account, takes line commands on stdin (or with -e) and prints what happens as
 * one JSON object per line on stdout.  See README.md for the commands/events.
 *
 * It links against libpurple (GPL-2.0-or-later), so this file is to be used
 * under GPL-2.0-or-later too; it is a test tool and not part of the server.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <glib.h>
#include <locale.h>
#include <purple.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define PRPL "prpl-sipe"
#define UI_ID "lyncdrive"

/* ------------------------------------------------------------ options */
static struct {
	gchar *user, *login, *password, *server, *transport, *auth, *ca, *state;
	gchar *debug, *useragent, *status, *note, *tag, *email_url, *endpoint;
	gboolean insecure, sso, calendar, auto_add, no_auto_accept, keep_state, quiet, time_seed;
	gint run_seconds, login_timeout, settle;
	gchar **exec;
} opt;

/*
 * SIPE makes the endpoint id (epid) from SIP address, host name and IP address, so two
 * clients of one user on one machine would be the same endpoint.  The plugin finds this
 * function before GLib's (--export-dynamic); --endpoint gives each client its own name.
 */
const gchar *g_get_host_name(void)
{
	static const gchar *(*real)(void);
	if (opt.endpoint) return opt.endpoint;
	if (!real) real = (const gchar *(*)(void)) dlsym(RTLD_NEXT, "g_get_host_name");
	return real ? real() : "localhost";
}

static GMainLoop *loop;
static PurpleAccount *account;
static FILE *debug_fp;
static gboolean signed_on_once, stdin_done, quitting;
static int exit_code;
static GQueue commands = G_QUEUE_INIT;
static guint pump_id, hold_id;
/* answers for the next libpurple form, keyed by field id */
static GHashTable *form_answers;

/* ------------------------------------------------------------ JSON out */
static void js_str(GString *o, const char *s)
{
	gchar *v = NULL;
	const char *p;
	if (!s) { g_string_append(o, "null"); return; }
	if (!g_utf8_validate(s, -1, NULL)) s = v = g_convert(s, -1, "UTF-8", "ISO-8859-1", NULL, NULL, NULL);
	g_string_append_c(o, '"');
	for (p = s ? s : ""; *p; p++) {
		unsigned char c = *p;
		switch (c) {
		case '"':  g_string_append(o, "\\\""); break;
		case '\\': g_string_append(o, "\\\\"); break;
		case '\n': g_string_append(o, "\\n"); break;
		case '\r': g_string_append(o, "\\r"); break;
		case '\t': g_string_append(o, "\\t"); break;
		default:
			if (c < 0x20) g_string_append_printf(o, "\\u%04x", c);
			else g_string_append_c(o, c);
		}
	}
	g_string_append_c(o, '"');
	g_free(v);
}

static GString *ev_begin(const char *name)
{
	struct timeval tv;
	GString *o = g_string_new("{\"t\":");
	gettimeofday(&tv, NULL);
	g_string_append_printf(o, "%ld.%03ld", (long) tv.tv_sec, (long) tv.tv_usec / 1000);
	if (opt.tag) { g_string_append(o, ",\"tag\":"); js_str(o, opt.tag); }
	g_string_append(o, ",\"event\":");
	js_str(o, name);
	return o;
}
static void ev_s(GString *o, const char *k, const char *v)
{
	g_string_append_c(o, ','); js_str(o, k); g_string_append_c(o, ':'); js_str(o, v);
}
static void ev_i(GString *o, const char *k, long v)
{
	g_string_append_c(o, ','); js_str(o, k); g_string_append_printf(o, ":%ld", v);
}
static void ev_b(GString *o, const char *k, gboolean v)
{
	g_string_append_c(o, ','); js_str(o, k); g_string_append(o, v ? ":true" : ":false");
}
static void ev_end(GString *o)
{
	g_string_append(o, "}\n");
	fwrite(o->str, 1, o->len, stdout);
	fflush(stdout);
	g_string_free(o, TRUE);
}
/* ev("name", "key", "value", ..., NULL) */
static void ev(const char *name, ...)
{
	va_list ap;
	const char *k;
	GString *o = ev_begin(name);
	va_start(ap, name);
	while ((k = va_arg(ap, const char *))) ev_s(o, k, va_arg(ap, const char *));
	va_end(ap);
	ev_end(o);
}
static gchar *plain(const char *html)
{
	return html ? purple_markup_strip_html(html) : NULL;
}

static void stop(int code)
{
	if (quitting) return;
	quitting = TRUE;
	exit_code = code;
	g_main_loop_quit(loop);
}

/* ------------------------------------------------------------ event loop */
typedef struct { PurpleInputFunction f; gpointer d; } IoClosure;

static gboolean io_invoke(GIOChannel *src, GIOCondition cond, gpointer data)
{
	IoClosure *c = data;
	PurpleInputCondition pc = 0;
	if (cond & (G_IO_IN | G_IO_HUP | G_IO_ERR)) pc |= PURPLE_INPUT_READ;
	if (cond & (G_IO_OUT | G_IO_HUP | G_IO_ERR | G_IO_NVAL)) pc |= PURPLE_INPUT_WRITE;
	c->f(c->d, g_io_channel_unix_get_fd(src), pc);
	return TRUE;
}
static guint io_add(gint fd, PurpleInputCondition cond, PurpleInputFunction f, gpointer d)
{
	IoClosure *c = g_new0(IoClosure, 1);
	GIOChannel *ch = g_io_channel_unix_new(fd);
	GIOCondition gc = 0;
	guint id;
	c->f = f; c->d = d;
	if (cond & PURPLE_INPUT_READ)  gc |= G_IO_IN | G_IO_HUP | G_IO_ERR;
	if (cond & PURPLE_INPUT_WRITE) gc |= G_IO_OUT | G_IO_HUP | G_IO_ERR | G_IO_NVAL;
	id = g_io_add_watch_full(ch, G_PRIORITY_DEFAULT, gc, io_invoke, c, g_free);
	g_io_channel_unref(ch);
	return id;
}
static PurpleEventLoopUiOps loop_ops = {
	.timeout_add = g_timeout_add,
	.timeout_remove = g_source_remove,
	.input_add = io_add,
	.input_remove = g_source_remove,
	.timeout_add_seconds = g_timeout_add_seconds,
};

/* ------------------------------------------------------------ debug log */
static void dbg_print(PurpleDebugLevel level, const char *cat, const char *s)
{
	if (!debug_fp) return;
	fprintf(debug_fp, "[%d] %s: %s", level, cat ? cat : "-", s);
	fflush(debug_fp);
}
static gboolean dbg_enabled(PurpleDebugLevel l, const char *c) { (void) l; (void) c; return debug_fp != NULL; }
static PurpleDebugUiOps dbg_ops = { .print = dbg_print, .is_enabled = dbg_enabled };

/* ------------------------------------------------------------ connection */
static void conn_error(PurpleConnection *gc, PurpleConnectionError why, const char *text)
{
	GString *o = ev_begin("connection-error");
	(void) gc;
	ev_i(o, "reason", why);
	ev_b(o, "fatal", purple_connection_error_is_fatal(why));
	ev_s(o, "text", text);
	ev_end(o);
	stop(signed_on_once ? 3 : 2);
}
static void conn_progress(PurpleConnection *gc, const char *text, size_t step, size_t n)
{
	GString *o;
	(void) gc;
	if (opt.quiet) return;
	o = ev_begin("connecting");
	ev_s(o, "text", text); ev_i(o, "step", step); ev_i(o, "of", n);
	ev_end(o);
}
static PurpleConnectionUiOps conn_ops = {
	.connect_progress = conn_progress,
	.report_disconnect_reason = conn_error,
};

/* ------------------------------------------------------------ account */
static void acc_request_add(PurpleAccount *a, const char *who, const char *id,
			    const char *alias, const char *msg)
{
	(void) a; (void) id; (void) msg;
	ev("added-by", "who", who, "alias", alias, NULL);
	if (opt.auto_add) {
		gchar *c = g_strdup_printf("add %s", who);
		g_queue_push_tail(&commands, c);
	}
}
static void acc_notify_added(PurpleAccount *a, const char *who, const char *id,
			     const char *alias, const char *msg)
{
	(void) a; (void) id; (void) msg;
	ev("added-by", "who", who, "alias", alias, NULL);
}
static void *acc_authorize(PurpleAccount *a, const char *who, const char *id, const char *alias,
			   const char *msg, gboolean on_list,
			   PurpleAccountRequestAuthorizationCb yes,
			   PurpleAccountRequestAuthorizationCb no, void *data)
{
	(void) a; (void) id; (void) on_list; (void) no;
	ev("authorize-request", "who", who, "alias", alias, "message", msg, NULL);
	yes(data);
	return NULL;
}
static void acc_status_changed(PurpleAccount *a, PurpleStatus *st)
{
	(void) a;
	ev("own-status", "status", purple_status_get_id(st),
	   "name", purple_status_get_name(st),
	   "note", purple_status_get_attr_string(st, "message"), NULL);
}
static PurpleAccountUiOps acc_ops = {
	.notify_added = acc_notify_added,
	.status_changed = acc_status_changed,
	.request_add = acc_request_add,
	.request_authorize = acc_authorize,
};

/* ------------------------------------------------------------ conversations */
static void conv_write(PurpleConversation *conv, const char *name, const char *alias,
		       const char *message, PurpleMessageFlags flags, time_t mtime)
{
	GString *o;
	gchar *text;
	(void) alias; (void) mtime;
	/* real messages are reported through signals */
	if (!(flags & (PURPLE_MESSAGE_SYSTEM | PURPLE_MESSAGE_ERROR))) return;
	text = plain(message);
	o = ev_begin((flags & PURPLE_MESSAGE_ERROR) ? "conv-error" : "conv-notice");
	ev_s(o, "conv", purple_conversation_get_name(conv));
	ev_b(o, "chat", purple_conversation_get_type(conv) == PURPLE_CONV_TYPE_CHAT);
	ev_s(o, "from", name);
	ev_s(o, "text", text);
	ev_end(o);
	g_free(text);
}
static void conv_chat_add(PurpleConversation *conv, GList *l, gboolean fresh)
{
	for (; l; l = l->next) {
		PurpleConvChatBuddy *b = l->data;
		GString *o = ev_begin("chat-member");
		ev_s(o, "chat", purple_conversation_get_name(conv));
		ev_s(o, "who", b->name);
		ev_b(o, "new", fresh);
		ev_b(o, "leader", (b->flags & PURPLE_CBFLAGS_OP) != 0);
		ev_end(o);
	}
}
static void conv_chat_remove(PurpleConversation *conv, GList *l)
{
	for (; l; l = l->next)
		ev("chat-member-left", "chat", purple_conversation_get_name(conv), "who", l->data, NULL);
}
static void conv_chat_update(PurpleConversation *conv, const char *user)
{
	PurpleConvChatBuddyFlags f = purple_conv_chat_user_get_flags(PURPLE_CONV_CHAT(conv), user);
	GString *o = ev_begin("chat-member-flags");
	ev_s(o, "chat", purple_conversation_get_name(conv));
	ev_s(o, "who", user);
	ev_b(o, "leader", (f & PURPLE_CBFLAGS_OP) != 0);
	ev_end(o);
}
static PurpleConversationUiOps conv_ops = {
	.write_conv = conv_write,
	.chat_add_users = conv_chat_add,
	.chat_remove_users = conv_chat_remove,
	.chat_update_user = conv_chat_update,
};

/* ------------------------------------------------------------ requests (forms, questions) */
static void *req_input(const char *title, const char *primary, const char *secondary,
		       const char *def, gboolean multi, gboolean masked, gchar *hint,
		       const char *ok_text, GCallback ok, const char *cancel_text, GCallback cancel,
		       PurpleAccount *a, const char *who, PurpleConversation *c, void *data)
{
	const char *v = form_answers ? g_hash_table_lookup(form_answers, "input") : NULL;
	(void) multi; (void) masked; (void) hint; (void) ok_text; (void) cancel_text;
	(void) a; (void) who; (void) c; (void) cancel; (void) secondary;
	ev("question", "kind", "input", "title", title, "text", primary, NULL);
	if (ok) ((PurpleRequestInputCb) ok)(data, v ? v : (def ? def : ""));
	return NULL;
}
static void *req_action(const char *title, const char *primary, const char *secondary, int def,
			PurpleAccount *a, const char *who, PurpleConversation *c, void *data,
			size_t n, va_list ap)
{
	size_t i, pick = (size_t) -1, first_cb = (size_t) -1;
	GString *o = ev_begin("question");
	PurpleRequestActionCb *cbs = g_new0(PurpleRequestActionCb, n + 1);
	(void) a; (void) who; (void) c; (void) def;
	ev_s(o, "kind", "action"); ev_s(o, "title", title); ev_s(o, "text", primary); ev_s(o, "more", secondary);
	g_string_append(o, ",\"choices\":[");
	for (i = 0; i < n; i++) {
		const char *label = va_arg(ap, const char *);
		cbs[i] = va_arg(ap, PurpleRequestActionCb);
		if (i) g_string_append_c(o, ',');
		js_str(o, label);
		if (cbs[i] && first_cb == (size_t) -1) first_cb = i;
		if (label && (strstr(label, "ccept") || strstr(label, "Yes") || strstr(label, "OK")) && pick == (size_t) -1) pick = i;
	}
	g_string_append_c(o, ']');
	if (pick == (size_t) -1) pick = first_cb;
	if (opt.no_auto_accept && n > 1) pick = n - 1;
	ev_i(o, "picked", pick == (size_t) -1 ? -1 : (long) pick);
	ev_end(o);
	if (pick != (size_t) -1 && cbs[pick]) cbs[pick](data, (int) pick);
	g_free(cbs);
	return NULL;
}
static void *req_action_icon(const char *title, const char *primary, const char *secondary, int def,
			     PurpleAccount *a, const char *who, PurpleConversation *c,
			     gconstpointer icon, gsize len, void *data, size_t n, va_list ap)
{
	(void) icon; (void) len;
	return req_action(title, primary, secondary, def, a, who, c, data, n, ap);
}
static void *req_fields(const char *title, const char *primary, const char *secondary,
			PurpleRequestFields *fields, const char *ok_text, GCallback ok,
			const char *cancel_text, GCallback cancel, PurpleAccount *a,
			const char *who, PurpleConversation *c, void *data)
{
	gboolean have = form_answers && g_hash_table_size(form_answers);
	(void) secondary; (void) ok_text; (void) cancel_text; (void) a; (void) who; (void) c;
	ev("question", "kind", "form", "title", title, "text", primary, "answered", have ? "yes" : "no", NULL);
	if (have) {
		GHashTableIter it;
		gpointer k, v;
		g_hash_table_iter_init(&it, form_answers);
		while (g_hash_table_iter_next(&it, &k, &v))
			if (purple_request_fields_exists(fields, k))
				purple_request_field_string_set_value(purple_request_fields_get_field(fields, k), v);
		if (ok) ((PurpleRequestFieldsCb) ok)(data, fields);
		g_hash_table_remove_all(form_answers);
	} else if (cancel) {
		((PurpleRequestFieldsCb) cancel)(data, fields);
	}
	purple_request_fields_destroy(fields);
	return NULL;
}
static void req_close(PurpleRequestType t, void *h) { (void) t; (void) h; }
static PurpleRequestUiOps req_ops = {
	.request_input = req_input,
	.request_action = req_action,
	.request_fields = req_fields,
	.close_request = req_close,
	.request_action_with_icon = req_action_icon,
};

/* ------------------------------------------------------------ notifications */
static void *ntf_message(PurpleNotifyMsgType t, const char *title, const char *p, const char *s)
{
	ev("notice", "level", t == PURPLE_NOTIFY_MSG_ERROR ? "error" : t == PURPLE_NOTIFY_MSG_WARNING ? "warning" : "info",
	   "title", title, "text", p, "more", s, NULL);
	return NULL;
}
static void *ntf_formatted(const char *title, const char *p, const char *s, const char *text)
{
	gchar *t = plain(text);
	(void) s;
	ev("notice", "level", "info", "title", title, "text", p, "more", t, NULL);
	g_free(t);
	return NULL;
}
static void *ntf_search(PurpleConnection *gc, const char *title, const char *p, const char *s,
			PurpleNotifySearchResults *r, gpointer data)
{
	GList *row, *col, *cell;
	long n = 0;
	(void) gc; (void) title; (void) p; (void) data;
	for (row = r->rows; row; row = row->next, n++) {
		GString *o = ev_begin("search-result");
		for (col = r->columns, cell = row->data; col && cell; col = col->next, cell = cell->next)
			ev_s(o, ((PurpleNotifySearchColumn *) col->data)->title, cell->data);
		ev_end(o);
	}
	{
		GString *o = ev_begin("search-done");
		ev_i(o, "matches", n); ev_s(o, "text", s);
		ev_end(o);
	}
	return (void *) 1;
}
static void ntf_search_rows(PurpleConnection *gc, PurpleNotifySearchResults *r, void *d)
{
	ntf_search(gc, NULL, NULL, NULL, r, d);
}
static void *ntf_userinfo(PurpleConnection *gc, const char *who, PurpleNotifyUserInfo *info)
{
	char *html = purple_notify_user_info_get_text_with_newline(info, "\n");
	gchar *t = plain(html);
	(void) gc;
	ev("user-info", "who", who, "text", t, NULL);
	g_free(t); g_free(html);
	return NULL;
}
static void ntf_close(PurpleNotifyType t, void *h) { (void) t; (void) h; }
static PurpleNotifyUiOps ntf_ops = {
	.notify_message = ntf_message,
	.notify_formatted = ntf_formatted,
	.notify_searchresults = ntf_search,
	.notify_searchresults_new_rows = ntf_search_rows,
	.notify_userinfo = ntf_userinfo,
	.close_notify = ntf_close,
};

/* ------------------------------------------------------------ signals */
static void buddy_event(const char *name, PurpleBuddy *b)
{
	PurplePresence *p = purple_buddy_get_presence(b);
	PurpleStatus *st = purple_presence_get_active_status(p);
	PurplePlugin *prpl = purple_find_prpl(PRPL);
	PurplePluginProtocolInfo *pi = PURPLE_PLUGIN_PROTOCOL_INFO(prpl);
	char *text = pi->status_text ? pi->status_text(b) : NULL;
	gchar *t = plain(text);
	PurpleGroup *g = purple_buddy_get_group(b);
	GString *o = ev_begin(name);
	ev_s(o, "who", purple_buddy_get_name(b));
	ev_s(o, "alias", purple_buddy_get_alias(b));
	ev_s(o, "group", g ? purple_group_get_name(g) : NULL);
	ev_b(o, "online", PURPLE_BUDDY_IS_ONLINE(b));
	ev_s(o, "status", purple_status_get_id(st));
	ev_s(o, "status_name", purple_status_get_name(st));
	ev_s(o, "text", t);
	ev_s(o, "message", purple_status_get_attr_string(st, "message"));
	ev_b(o, "idle", purple_presence_is_idle(p));
	ev_end(o);
	g_free(t); g_free(text);
}
static void sg_signed_on(PurpleConnection *gc)
{
	(void) gc;
	signed_on_once = TRUE;
	ev("signed-on", "user", purple_account_get_username(account), NULL);
}
static void sg_signed_off(PurpleConnection *gc)
{
	(void) gc;
	ev("signed-off", NULL);
}
static void sg_im(PurpleAccount *a, char *who, char *msg, PurpleConversation *c, PurpleMessageFlags f)
{
	gchar *t = plain(msg);
	(void) a; (void) c; (void) f;
	ev("im", "from", who, "text", t, "html", msg, NULL);
	g_free(t);
}
static void sg_chat_msg(PurpleAccount *a, char *who, char *msg, PurpleConversation *c, PurpleMessageFlags f)
{
	gchar *t = plain(msg);
	GString *o = ev_begin("chat-message");
	(void) a;
	ev_s(o, "chat", purple_conversation_get_name(c));
	ev_s(o, "from", who); ev_s(o, "text", t); ev_s(o, "html", msg);
	ev_b(o, "own", (f & PURPLE_MESSAGE_SEND) != 0);
	ev_end(o);
	g_free(t);
}
static void sg_typing(PurpleAccount *a, const char *who)  { (void) a; ev("typing", "from", who, "state", "typing", NULL); }
static void sg_typed(PurpleAccount *a, const char *who)   { (void) a; ev("typing", "from", who, "state", "paused", NULL); }
static void sg_typing_stop(PurpleAccount *a, const char *who) { (void) a; ev("typing", "from", who, "state", "idle", NULL); }
static void sg_buddy_status(PurpleBuddy *b, PurpleStatus *o, PurpleStatus *n) { (void) o; (void) n; buddy_event("presence", b); }
static void sg_buddy_online(PurpleBuddy *b)  { buddy_event("buddy-online", b); }
static void sg_buddy_offline(PurpleBuddy *b) { buddy_event("buddy-offline", b); }
static void sg_buddy_added(PurpleBuddy *b)   { buddy_event("buddy-added", b); }
static void sg_buddy_removed(PurpleBuddy *b) { ev("buddy-removed", "who", purple_buddy_get_name(b), NULL); }
static void sg_chat_joined(PurpleConversation *c) { ev("chat-joined", "chat", purple_conversation_get_name(c), NULL); }
static void sg_chat_left(PurpleConversation *c)   { ev("chat-left", "chat", purple_conversation_get_name(c), NULL); }
static void sg_chat_topic(PurpleConversation *c, const char *who, const char *topic)
{
	ev("chat-topic", "chat", purple_conversation_get_name(c), "who", who, "topic", topic, NULL);
}

/* ------------------------------------------------------------ commands */
static PurpleConnection *conn(void) { return purple_account_get_connection(account); }

static gchar *next_word(gchar **rest)
{
	gchar *p = *rest, *w;
	while (g_ascii_isspace(*p)) p++;
	if (!*p) { *rest = p; return NULL; }
	if (*p == '"') {
		w = ++p;
		while (*p && *p != '"') p++;
	} else {
		w = p;
		while (*p && !g_ascii_isspace(*p)) p++;
	}
	if (*p) *p++ = 0;
	while (g_ascii_isspace(*p)) p++;
	*rest = p;
	return w;
}
/* SIPE names everybody "sip:user@domain" */
static gchar *sipname(const char *w) { return g_str_has_prefix(w, "sip:") ? g_strdup(w) : g_strdup_printf("sip:%s", w); }

static PurpleConversation *chat_by_name(const char *name)
{
	GList *l;
	for (l = purple_get_chats(); l; l = l->next) {
		PurpleConversation *c = l->data;
		/* "*" or "last": the most recent one */
		if (!strcmp(name, "*") || !strcmp(name, "last") || !strcmp(purple_conversation_get_name(c), name)) return c;
	}
	return NULL;
}
static PurpleBuddy *find_or_fake(const char *uri, gboolean *made)
{
	PurpleBuddy *b = purple_find_buddy(account, uri);
	*made = FALSE;
	if (!b) { /* only to hang the protocol's menu on; never put on the list */
		b = purple_buddy_new(account, uri, NULL);
		*made = TRUE;
	}
	return b;
}
static PurpleMenuAction *menu_find(GList *l, const char *label)
{
	for (; l; l = l->next) {
		PurpleMenuAction *m = l->data, *r;
		if (!m) continue;
		/* labels of access levels carry leading blanks or a mark */
		if (m->label && strstr(m->label, label)) return m;
		if (m->children && (r = menu_find(m->children, label))) return r;
	}
	return NULL;
}
static void menu_dump(GList *l, int depth, GString *o)
{
	for (; l; l = l->next) {
		PurpleMenuAction *m = l->data;
		if (!m) continue;
		g_string_append_printf(o, "%*s%s\n", depth * 2, "", m->label ? m->label : "-");
		menu_dump(m->children, depth + 1, o);
	}
}
/* run an entry of the protocol's buddy menu ("New chat", "Invite to 'x'", "Blocked", ...) */
static gboolean buddy_menu(const char *who, const char *label)
{
	gchar *uri = sipname(who);
	gboolean made, ok = FALSE;
	PurpleBuddy *b = find_or_fake(uri, &made);
	PurplePluginProtocolInfo *pi = PURPLE_PLUGIN_PROTOCOL_INFO(purple_find_prpl(PRPL));
	GList *menu = pi->blist_node_menu((PurpleBlistNode *) b);
	if (label) {
		PurpleMenuAction *m = menu_find(menu, label);
		if (m && m->callback) { ((void (*)(PurpleBlistNode *, gpointer)) m->callback)((PurpleBlistNode *) b, m->data); ok = TRUE; }
	} else {
		GString *o = g_string_new("");
		menu_dump(menu, 0, o);
		ev("menu", "who", uri, "text", o->str, NULL);
		g_string_free(o, TRUE);
		ok = TRUE;
	}
	if (made) purple_buddy_destroy(b);
	g_free(uri);
	return ok;
}
/* access level of one person: the entries right below "Access level", not those of its submenu */
static gboolean buddy_level(const char *who, const char *label)
{
	gchar *uri = sipname(who);
	gboolean made, ok = FALSE;
	PurpleBuddy *b = find_or_fake(uri, &made);
	PurplePluginProtocolInfo *pi = PURPLE_PLUGIN_PROTOCOL_INFO(purple_find_prpl(PRPL));
	PurpleMenuAction *top = menu_find(pi->blist_node_menu((PurpleBlistNode *) b), "Access level");
	GList *l;
	for (l = top ? top->children : NULL; l && !ok; l = l->next) {
		PurpleMenuAction *m = l->data;
		if (m && m->label && m->callback && !m->children && strstr(m->label, label)) {
			((void (*)(PurpleBlistNode *, gpointer)) m->callback)((PurpleBlistNode *) b, m->data);
			ok = TRUE;
		}
	}
	if (made) purple_buddy_destroy(b);
	g_free(uri);
	return ok;
}
/* run an entry of the protocol's account menu; answers go to the form it opens */
static gboolean account_action(const char *label)
{
	PurplePlugin *prpl = purple_find_prpl(PRPL);
	GList *l = PURPLE_PLUGIN_ACTIONS(prpl, conn()), *i;
	gboolean ok = FALSE;
	for (i = l; i; i = i->next) {
		PurplePluginAction *a = i->data;
		if (a && a->label && strstr(a->label, label)) {
			a->plugin = prpl; a->context = conn();
			a->callback(a);
			ok = TRUE;
			break;
		}
	}
	return ok;
}
static void answer(const char *k, const char *v) { g_hash_table_insert(form_answers, g_strdup(k), g_strdup(v)); }

static void set_status(const char *id, const char *note)
{
	PurpleStatusType *t = purple_account_get_status_type(account, id);
	PurpleSavedStatus *s;
	if (!t) { ev("error", "text", "no such status", "status", id, NULL); return; }
	s = purple_savedstatus_new(NULL, purple_status_type_get_primitive(t));
	purple_savedstatus_set_message(s, note);
	purple_savedstatus_set_substatus(s, account, t, note);
	purple_savedstatus_activate(s);
}
static void list_buddies(void)
{
	GSList *l = purple_find_buddies(account, NULL), *i;
	long n = 0;
	for (i = l; i; i = i->next, n++) buddy_event("buddy", i->data);
	g_slist_free(l);
	{ GString *o = ev_begin("buddies-done"); ev_i(o, "count", n); ev_end(o); }
}
static gboolean hold_over(gpointer d);
static gboolean pump(gpointer d);
static void kick(void) { if (!pump_id && !hold_id) pump_id = g_idle_add(pump, NULL); }

static void run(gchar *line)
{
	gchar *orig = g_strdup(line), *rest = line, *cmd = next_word(&rest), *w;
	gboolean ok = TRUE;
	const char *why = "bad or missing argument";

	if (!cmd || *cmd == '#') { g_free(orig); return; }
	if (!strcmp(cmd, "quit")) { ev("bye", NULL); stop(signed_on_once ? 0 : 2); }
	else if (!strcmp(cmd, "wait")) {
		w = next_word(&rest);
		hold_id = g_timeout_add(w ? atoi(w) : 1000, hold_over, NULL);
	}
	else if (!strcmp(cmd, "buddies")) list_buddies();
	else if (!strcmp(cmd, "echo")) ev("echo", "text", rest, NULL);
	else if (!strcmp(cmd, "statuses")) {
		GList *l;
		for (l = purple_account_get_status_types(account); l; l = l->next)
			ev("status-type", "id", purple_status_type_get_id(l->data), "name", purple_status_type_get_name(l->data),
			   "settable", purple_status_type_is_user_settable(l->data) ? "yes" : "no", NULL);
	}
	else if (!conn() || !PURPLE_CONNECTION_IS_CONNECTED(conn())) { ok = FALSE; why = "not signed on"; }
	else if (!strcmp(cmd, "status")) {
		if ((w = next_word(&rest))) set_status(w, *rest ? rest : NULL); else ok = FALSE;
	}
	else if (!strcmp(cmd, "note")) {
		PurpleStatus *st = purple_account_get_active_status(account);
		set_status(purple_status_get_id(st), *rest ? rest : NULL);
	}
	else if (!strcmp(cmd, "idle")) {
		w = next_word(&rest);
		purple_presence_set_idle(purple_account_get_presence(account), w && strcmp(w, "off"), time(NULL));
	}
	else if (!strcmp(cmd, "add")) {
		if ((w = next_word(&rest))) {
			gchar *uri = sipname(w);
			const char *gn = *rest ? rest : "Other Contacts";
			PurpleGroup *g = purple_find_group(gn);
			PurpleBuddy *b;
			if (!g) { g = purple_group_new(gn); purple_blist_add_group(g, NULL); }
			b = purple_find_buddy_in_group(account, uri, g);
			if (!b) { b = purple_buddy_new(account, uri, NULL); purple_blist_add_buddy(b, NULL, g, NULL); }
			purple_account_add_buddy(account, b);
			g_free(uri);
		} else ok = FALSE;
	}
	else if (!strcmp(cmd, "remove")) {
		if ((w = next_word(&rest))) {
			gchar *uri = sipname(w);
			PurpleBuddy *b;
			ok = FALSE; why = "no such buddy";
			while ((b = purple_find_buddy(account, uri))) {
				purple_account_remove_buddy(account, b, purple_buddy_get_group(b));
				purple_blist_remove_buddy(b);
				ok = TRUE;
			}
			g_free(uri);
		} else ok = FALSE;
	}
	else if (!strcmp(cmd, "alias")) {
		if ((w = next_word(&rest))) {
			gchar *uri = sipname(w);
			PurpleBuddy *b = purple_find_buddy(account, uri);
			if (b) { purple_blist_alias_buddy(b, rest); serv_alias_buddy(b); } else { ok = FALSE; why = "no such buddy"; }
			g_free(uri);
		} else ok = FALSE;
	}
	else if (!strcmp(cmd, "rename-group")) {
		PurpleGroup *g;
		if ((w = next_word(&rest)) && (g = purple_find_group(w)) && *rest) purple_blist_rename_group(g, rest); else ok = FALSE;
	}
	else if (!strcmp(cmd, "delete-group")) {
		PurpleGroup *g = *rest ? purple_find_group(rest) : NULL;
		if (g) { purple_account_remove_group(account, g); purple_blist_remove_group(g); } else { ok = FALSE; why = "no such group"; }
	}
	else if (!strcmp(cmd, "im")) {
		if ((w = next_word(&rest))) {
			gchar *uri = sipname(w), *esc = g_markup_escape_text(rest, -1);
			PurpleConversation *c = purple_find_conversation_with_account(PURPLE_CONV_TYPE_IM, uri, account);
			if (!c) c = purple_conversation_new(PURPLE_CONV_TYPE_IM, account, uri);
			purple_conv_im_send(PURPLE_CONV_IM(c), esc);
			g_free(esc); g_free(uri);
		} else ok = FALSE;
	}
	else if (!strcmp(cmd, "close")) {
		if ((w = next_word(&rest))) {
			gchar *uri = sipname(w);
			PurpleConversation *c = purple_find_conversation_with_account(PURPLE_CONV_TYPE_IM, uri, account);
			if (c) purple_conversation_destroy(c); else { ok = FALSE; why = "no such conversation"; }
			g_free(uri);
		} else ok = FALSE;
	}
	else if (!strcmp(cmd, "typing")) {
		if ((w = next_word(&rest))) {
			gchar *uri = sipname(w), *x = next_word(&rest);
			PurpleTypingState ts = (x && !strcmp(x, "off")) ? PURPLE_TYPED : PURPLE_TYPING;
			serv_send_typing(conn(), uri, ts);
			g_free(uri);
		} else ok = FALSE;
	}
	else if (!strcmp(cmd, "newchat")) {
		if ((w = next_word(&rest))) { ok = buddy_menu(w, "New chat"); why = "no such menu entry"; } else ok = FALSE;
	}
	else if (!strcmp(cmd, "join")) {
		if (*rest) { answer("meetingLocation", rest); ok = account_action("Join scheduled conference"); } else ok = FALSE;
	}
	else if (!strcmp(cmd, "chats")) {
		GList *l;
		for (l = purple_get_chats(); l; l = l->next) ev("chat", "chat", purple_conversation_get_name(l->data), NULL);
		ev("chats-done", NULL);
	}
	else if (!strcmp(cmd, "members") || !strcmp(cmd, "leave") || !strcmp(cmd, "say") || !strcmp(cmd, "invite") ||
		 !strcmp(cmd, "lock") || !strcmp(cmd, "unlock")) {
		PurpleConversation *c = (w = next_word(&rest)) ? chat_by_name(w) : NULL;
		if (!c) { ok = FALSE; why = "no such chat"; }
		else if (!strcmp(cmd, "members")) {
			GList *l;
			long n = 0;
			for (l = purple_conv_chat_get_users(PURPLE_CONV_CHAT(c)); l; l = l->next, n++) {
				PurpleConvChatBuddy *b = l->data;
				GString *o = ev_begin("chat-member");
				ev_s(o, "chat", purple_conversation_get_name(c)); ev_s(o, "who", b->name);
				ev_b(o, "leader", (b->flags & PURPLE_CBFLAGS_OP) != 0);
				ev_end(o);
			}
			{ GString *o = ev_begin("members-done"); ev_s(o, "chat", purple_conversation_get_name(c)); ev_i(o, "count", n); ev_end(o); }
		}
		else if (!strcmp(cmd, "say")) {
			gchar *esc = g_markup_escape_text(rest, -1);
			purple_conv_chat_send(PURPLE_CONV_CHAT(c), esc);
			g_free(esc);
		}
		else if (!strcmp(cmd, "invite")) {
			if ((w = next_word(&rest))) {
				gchar *uri = sipname(w);
				serv_chat_invite(conn(), purple_conv_chat_get_id(PURPLE_CONV_CHAT(c)), rest, uri);
				g_free(uri);
			} else ok = FALSE;
		}
		else if (!strcmp(cmd, "leave")) purple_conversation_destroy(c);
		else { /* lock, unlock: the protocol offers it on the chat's list menu */
			PurplePluginProtocolInfo *pi = PURPLE_PLUGIN_PROTOCOL_INFO(purple_find_prpl(PRPL));
			GHashTable *comp = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
			PurpleChat *ch;
			PurpleMenuAction *m;
			g_hash_table_insert(comp, g_strdup("_conv"), c);
			ch = purple_chat_new(account, purple_conversation_get_name(c), comp);
			m = menu_find(pi->blist_node_menu((PurpleBlistNode *) ch), !strcmp(cmd, "lock") ? "Lock" : "Unlock");
			if (m && m->callback) ((void (*)(PurpleBlistNode *, gpointer)) m->callback)((PurpleBlistNode *) ch, m->data);
			else { ok = FALSE; why = "not offered (only a leader may)"; }
		}
	}
	else if (!strcmp(cmd, "lead") || !strcmp(cmd, "kick")) { /* lead|kick USER */
		if ((w = next_word(&rest))) { ok = buddy_menu(w, !strcmp(cmd, "lead") ? "Make leader of" : "Remove from '"); why = "not offered (only a leader may)"; }
		else ok = FALSE;
	}
	else if (!strcmp(cmd, "level")) { /* level USER Blocked|Personal|Team|Company|Public|Unspecify */
		if ((w = next_word(&rest)) && *rest) { ok = buddy_level(w, rest); why = "no such menu entry"; } else ok = FALSE;
	}
	else if (!strcmp(cmd, "block") || !strcmp(cmd, "unblock")) {
		if ((w = next_word(&rest))) {
			gchar *uri = sipname(w);
			if (!strcmp(cmd, "block")) purple_privacy_deny_add(account, uri, FALSE); else purple_privacy_deny_remove(account, uri, FALSE);
			g_free(uri);
		} else ok = FALSE;
	}
	else if (!strcmp(cmd, "menu")) { if ((w = next_word(&rest))) buddy_menu(w, NULL); else ok = FALSE; }
	else if (!strcmp(cmd, "info")) {
		if ((w = next_word(&rest))) { gchar *uri = sipname(w); serv_get_info(conn(), uri); g_free(uri); } else ok = FALSE;
	}
	else if (!strcmp(cmd, "search")) { /* search key=value ...; keys given, surname, email, sipid, company, country */
		while ((w = next_word(&rest))) {
			gchar *eq = strchr(w, '=');
			if (!eq) { ok = FALSE; break; }
			*eq = 0;
			answer(w, eq + 1);
		}
		if (ok) ok = account_action("Contact search");
	}
	else if (!strcmp(cmd, "reset-status")) ok = account_action("Reset status");
	else { ok = FALSE; why = "unknown command"; }

	ev(ok ? "done" : "error", "command", orig, ok ? NULL : "text", why, NULL);
	g_free(orig);
}

static gboolean pump(gpointer d)
{
	gchar *line;
	(void) d;
	pump_id = 0;
	/* commands wait for the sign-on; only these may come before it */
	line = g_queue_peek_head(&commands);
	if (line && !signed_on_once && !g_str_has_prefix(line, "quit") && !g_str_has_prefix(line, "wait") &&
	    !g_str_has_prefix(line, "statuses")) return FALSE;
	line = g_queue_pop_head(&commands);
	if (line) {
		run(line);
		g_free(line);
		if (!quitting && !g_queue_is_empty(&commands)) kick();
	}
	return FALSE;
}
static gboolean hold_over(gpointer d)
{
	(void) d;
	hold_id = 0;
	kick();
	return FALSE;
}
static gboolean on_stdin(GIOChannel *ch, GIOCondition cond, gpointer d)
{
	gchar *line = NULL;
	GIOStatus s = g_io_channel_read_line(ch, &line, NULL, NULL, NULL);
	(void) cond; (void) d;
	if (s == G_IO_STATUS_NORMAL) {
		g_queue_push_tail(&commands, g_strstrip(line));
		kick();
		return TRUE;
	}
	g_free(line);
	if (s == G_IO_STATUS_AGAIN) return TRUE;
	stdin_done = TRUE;
	return FALSE;
}
static void sg_kick(PurpleConnection *gc)
{
	(void) gc;
	if (opt.settle > 0 && !hold_id) hold_id = g_timeout_add(opt.settle, hold_over, NULL);
	else kick();
}

/* ------------------------------------------------------------ certificates */
static void cert_ok(PurpleCertificateVerificationRequest *r)
{
	ev("certificate", "subject", r->subject_name, "verdict", "accepted without a check", NULL);
	purple_certificate_verify_complete(r, PURPLE_CERTIFICATE_VALID);
}
static void cert_destroy(PurpleCertificateVerificationRequest *r) { (void) r; }
static PurpleCertificateVerifier trust_all = {
	.scheme_name = (gchar *) "x509", .name = (gchar *) "tls_cached",
	.start_verification = cert_ok, .destroy_request = cert_destroy,
};

/* ------------------------------------------------------------ start */
static void ui_init(void)
{
	purple_accounts_set_ui_ops(&acc_ops);
	purple_connections_set_ui_ops(&conn_ops);
	purple_conversations_set_ui_ops(&conv_ops);
	purple_notify_set_ui_ops(&ntf_ops);
	purple_request_set_ui_ops(&req_ops);
}
static PurpleCoreUiOps core_ops = { .ui_prefs_init = NULL, .debug_ui_init = NULL, .ui_init = ui_init };

static gboolean time_up(gpointer d) { ev("time-up", "what", d, NULL); stop(signed_on_once ? 0 : 2); return FALSE; }
static gboolean login_late(gpointer d)
{
	(void) d;
	if (signed_on_once) return FALSE;
	ev("connection-error", "text", "no sign-on within the login timeout", NULL);
	stop(2);
	return FALSE;
}
static void rm_rf(const char *path)
{
	GDir *d = g_dir_open(path, 0, NULL);
	const char *n;
	if (d) {
		while ((n = g_dir_read_name(d))) { gchar *p = g_build_filename(path, n, NULL); rm_rf(p); g_free(p); }
		g_dir_close(d);
		rmdir(path);
	} else unlink(path);
}
#define HOOK(inst, sig, fn) purple_signal_connect(inst, sig, &handle, PURPLE_CALLBACK(fn), NULL)

int main(int argc, char **argv)
{
	static int handle;
	GOptionEntry e[] = {
		{ "user", 'u', 0, G_OPTION_ARG_STRING, &opt.user, "SIP address to sign in with", "user@domain" },
		{ "login", 'l', 0, G_OPTION_ARG_STRING, &opt.login, "name to authenticate with, if different (user, DOMAIN\\user, user@realm)", "NAME" },
		{ "password", 'p', 0, G_OPTION_ARG_STRING, &opt.password, "password (or LYNCDRIVE_PASSWORD)", "PW" },
		{ "server", 's', 0, G_OPTION_ARG_STRING, &opt.server, "server; without it the DNS is asked", "HOST[:PORT]" },
		{ "transport", 't', 0, G_OPTION_ARG_STRING, &opt.transport, "tls (default), tcp, auto", "T" },
		{ "auth", 'a', 0, G_OPTION_ARG_STRING, &opt.auth, "ntlm (default), krb5, tls-dsk, auto", "A" },
		{ "sso", 0, 0, G_OPTION_ARG_NONE, &opt.sso, "use the Kerberos ticket cache instead of a password", NULL },
		{ "insecure", 'k', 0, G_OPTION_ARG_NONE, &opt.insecure, "accept any server certificate", NULL },
		{ "ca", 'c', 0, G_OPTION_ARG_FILENAME, &opt.ca, "PEM file with the CA to trust", "FILE" },
		{ "status", 0, 0, G_OPTION_ARG_STRING, &opt.status, "status to sign in with (default available)", "ID" },
		{ "note", 0, 0, G_OPTION_ARG_STRING, &opt.note, "note to sign in with", "TEXT" },
		{ "endpoint", 0, 0, G_OPTION_ARG_STRING, &opt.endpoint, "host name to claim; needed to sign one user in twice from one machine", "NAME" },
		{ "user-agent", 0, 0, G_OPTION_ARG_STRING, &opt.useragent, "User-Agent to claim", "TEXT" },
		{ "calendar", 0, 0, G_OPTION_ARG_NONE, &opt.calendar, "let the client look for Exchange and publish the calendar", NULL },
		{ "email-url", 0, 0, G_OPTION_ARG_STRING, &opt.email_url, "Exchange web services URL", "URL" },
		{ "auto-add", 0, 0, G_OPTION_ARG_NONE, &opt.auto_add, "add whoever adds us", NULL },
		{ "decline", 0, 0, G_OPTION_ARG_NONE, &opt.no_auto_accept, "answer questions with the last choice instead of accepting", NULL },
		{ "state", 0, 0, G_OPTION_ARG_FILENAME, &opt.state, "libpurple directory to keep (default: a new one, removed at the end)", "DIR" },
		{ "debug", 'd', 0, G_OPTION_ARG_FILENAME, &opt.debug, "file for libpurple's log, with all SIP messages; - for stderr", "FILE" },
		{ "exec", 'e', 0, G_OPTION_ARG_STRING_ARRAY, &opt.exec, "command to run after sign-on (repeatable)", "CMD" },
		{ "run-seconds", 'r', 0, G_OPTION_ARG_INT, &opt.run_seconds, "stop after that long", "N" },
		{ "settle", 0, 0, G_OPTION_ARG_INT, &opt.settle, "ms to wait after sign-on before the first command, so that the contact list is there (default 1500)", "MS" },
		{ "login-timeout", 0, 0, G_OPTION_ARG_INT, &opt.login_timeout, "give up signing in after that long (default 60)", "N" },
		{ "tag", 0, 0, G_OPTION_ARG_STRING, &opt.tag, "put this into every event", "TEXT" },
		{ "time-seed", 0, 0, G_OPTION_ARG_NONE, &opt.time_seed, "leave rand() as SIPE seeds it (clients of one second share Call-IDs)", NULL },
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &opt.quiet, "no progress events", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL }
	};
	GOptionContext *oc = g_option_context_new("- headless Lync-family client (libpurple + SIPE)");
	GError *err = NULL;
	gchar *name, *tmp;
	PurpleSavedStatus *ss;
	PurpleStatusType *st;
	GIOChannel *in;
	int i;

	opt.login_timeout = 60;
	opt.settle = 1500;
	g_option_context_add_main_entries(oc, e, NULL);
	if (!g_option_context_parse(oc, &argc, &argv, &err)) { fprintf(stderr, "%s\n", err->message); return 64; }
	if (!opt.user) { fprintf(stderr, "--user is needed (see --help)\n"); return 64; }
	if (!opt.password) opt.password = g_strdup(g_getenv("LYNCDRIVE_PASSWORD"));

	signal(SIGPIPE, SIG_IGN);
	/* labels of SIPE's menus are matched in English */
	g_setenv("LANGUAGE", "C", TRUE);
	g_setenv("LC_ALL", "C.UTF-8", TRUE); /* the NTLM code converts through the locale's charset */
	setlocale(LC_ALL, "");
	g_setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:", TRUE);

	if (opt.state) { g_mkdir_with_parents(opt.state, 0700); opt.keep_state = TRUE; }
	else {
		opt.state = g_strdup_printf("%s/lyncdrive-XXXXXX", g_get_tmp_dir());
		if (!mkdtemp(opt.state)) { perror("mkdtemp"); return 70; }
	}
	if (opt.debug) debug_fp = strcmp(opt.debug, "-") ? fopen(opt.debug, "w") : stderr;

	loop = g_main_loop_new(NULL, FALSE);
	form_answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	purple_util_set_user_dir(opt.state);
	purple_debug_set_ui_ops(&dbg_ops);
	purple_debug_set_enabled(FALSE);
	if (debug_fp) purple_debug_set_unsafe(TRUE);
	purple_core_set_ui_ops(&core_ops);
	purple_eventloop_set_ui_ops(&loop_ops);
	if (opt.ca) { /* a directory with just this CA */
		gchar *dir = g_build_filename(opt.state, "ca", NULL), *f, *pem = NULL;
		gsize len;
		g_mkdir_with_parents(dir, 0700);
		f = g_build_filename(dir, "test-ca.pem", NULL);
		if (!g_file_get_contents(opt.ca, &pem, &len, &err) || !g_file_set_contents(f, pem, len, &err)) { fprintf(stderr, "%s\n", err->message); return 66; }
		purple_certificate_add_ca_search_path(dir);
	}
	if (!purple_core_init(UI_ID)) { fprintf(stderr, "libpurple did not start\n"); return 70; }
	purple_set_blist(purple_blist_new());
	purple_prefs_load();
	if (opt.keep_state) purple_blist_load();
	purple_prefs_set_bool("/purple/logging/log_ims", FALSE);
	purple_prefs_set_bool("/purple/logging/log_chats", FALSE);
	purple_prefs_set_string("/purple/away/idle_reporting", "none");
	/* SIPE seeds rand() with the second it starts in and makes its Call-IDs and tags
	 * from it, so clients started together would use the same ones; --time-seed keeps that */
	if (!opt.time_seed) srand((unsigned) g_random_int());
	if (!purple_find_prpl(PRPL)) { fprintf(stderr, "protocol %s not found: is pidgin-sipe installed?\n", PRPL); return 69; }
	if (opt.insecure) {
		PurpleCertificateVerifier *v = purple_certificate_find_verifier("x509", "tls_cached");
		if (v) purple_certificate_unregister_verifier(v);
		purple_certificate_register_verifier(&trust_all);
	}

	name = opt.login ? g_strdup_printf("%s,%s", opt.user, opt.login) : g_strdup_printf("%s,", opt.user);
	account = purple_account_new(name, PRPL);
	purple_accounts_add(account);
	purple_account_set_password(account, opt.password);
	purple_account_set_remember_password(account, FALSE);
	purple_account_set_string(account, "server", opt.server ? opt.server : "");
	purple_account_set_string(account, "transport", opt.transport ? opt.transport : "tls");
	purple_account_set_string(account, "authentication", opt.auth ? opt.auth : "ntlm");
	purple_account_set_bool(account, "sso", opt.sso);
	purple_account_set_bool(account, "dont-publish", !opt.calendar);
	if (opt.useragent) purple_account_set_string(account, "useragent", opt.useragent);
	if (opt.email_url) purple_account_set_string(account, "email_url", opt.email_url);

	HOOK(purple_connections_get_handle(), "signed-on", sg_signed_on);
	HOOK(purple_connections_get_handle(), "signed-on", sg_kick);
	HOOK(purple_connections_get_handle(), "signed-off", sg_signed_off);
	HOOK(purple_conversations_get_handle(), "received-im-msg", sg_im);
	HOOK(purple_conversations_get_handle(), "received-chat-msg", sg_chat_msg);
	HOOK(purple_conversations_get_handle(), "buddy-typing", sg_typing);
	HOOK(purple_conversations_get_handle(), "buddy-typed", sg_typed);
	HOOK(purple_conversations_get_handle(), "buddy-typing-stopped", sg_typing_stop);
	HOOK(purple_conversations_get_handle(), "chat-joined", sg_chat_joined);
	HOOK(purple_conversations_get_handle(), "chat-left", sg_chat_left);
	HOOK(purple_conversations_get_handle(), "chat-topic-changed", sg_chat_topic);
	HOOK(purple_blist_get_handle(), "buddy-status-changed", sg_buddy_status);
	HOOK(purple_blist_get_handle(), "buddy-signed-on", sg_buddy_online);
	HOOK(purple_blist_get_handle(), "buddy-signed-off", sg_buddy_offline);
	HOOK(purple_blist_get_handle(), "buddy-added", sg_buddy_added);
	HOOK(purple_blist_get_handle(), "buddy-removed", sg_buddy_removed);

	for (i = 0; opt.exec && opt.exec[i]; i++) g_queue_push_tail(&commands, g_strdup(opt.exec[i]));
	in = g_io_channel_unix_new(0);
	g_io_channel_set_encoding(in, NULL, NULL);
	g_io_channel_set_flags(in, G_IO_FLAG_NONBLOCK, NULL);
	g_io_add_watch(in, G_IO_IN | G_IO_HUP, on_stdin, NULL);
	if (opt.run_seconds) g_timeout_add_seconds(opt.run_seconds, time_up, (gpointer) "run-seconds");
	if (opt.login_timeout) g_timeout_add_seconds(opt.login_timeout, login_late, NULL);

	ev("start", "user", opt.user, "server", opt.server, "auth", opt.auth ? opt.auth : "ntlm",
	   "libpurple", purple_core_get_version(),
	   "sipe", purple_plugin_get_version(purple_find_prpl(PRPL)), NULL);
	purple_account_set_enabled(account, UI_ID, TRUE);
	tmp = opt.status ? opt.status : (gchar *) "available";
	st = purple_account_get_status_type(account, tmp);
	if (!st) { fprintf(stderr, "no such status: %s\n", tmp); return 64; }
	ss = purple_savedstatus_new(NULL, purple_status_type_get_primitive(st));
	purple_savedstatus_set_message(ss, opt.note);
	purple_savedstatus_set_substatus(ss, account, st, opt.note);
	purple_savedstatus_activate(ss);
	kick();

	g_main_loop_run(loop);

	purple_account_disconnect(account);
	while (g_main_context_iteration(NULL, FALSE)) ;
	purple_core_quit();
	if (!opt.keep_state) rm_rf(opt.state);
	return exit_code;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * linphonelist - liblinphone watching a list of people, for tests.
 *
 * It signs in with the account of a configuration file (the one linphone-daemon
 * reads), watches people through the list server, publishes what it is told to,
 * and prints one JSON object per line on stdout. See README.md.
 *
 * It links against liblinphone (GPL-3.0-or-later), so this file is to be used
 * under GPL-3.0-or-later too; it is a test tool and not part of the server.
 */
#include <linphone/core.h>

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static LinphoneCore *core;

/* ------------------------------------------------------------ events */

/* Prints a text as JSON does. */
static void print_text(const char *text) {
	putchar('"');
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;
		if (byte == '"' || byte == '\\') printf("\\%c", byte);
		else if (byte < 0x20) printf("\\u%04x", byte);
		else putchar(byte);
	}
	putchar('"');
}

/* Prints an event; pairs of a name and a text follow, NULL ends them, a NULL text is left out. */
static void event(const char *name, ...) {
	va_list pairs;
	printf("{\"event\":");
	print_text(name);
	va_start(pairs, name);
	for (const char *key; (key = va_arg(pairs, const char *)) != NULL;) {
		const char *value = va_arg(pairs, const char *);
		if (value == NULL) continue;
		printf(",");
		print_text(key);
		printf(":");
		print_text(value);
	}
	va_end(pairs);
	printf("}\n");
	fflush(stdout);
}

static const char *presence_name(LinphoneConsolidatedPresence presence) {
	switch (presence) {
		case LinphoneConsolidatedPresenceOnline: return "online";
		case LinphoneConsolidatedPresenceBusy: return "busy";
		case LinphoneConsolidatedPresenceDoNotDisturb: return "do-not-disturb";
		default: return "offline";
	}
}

/* ------------------------------------------------------------ who is watched */

static void show(const LinphoneFriend *person) {
	const LinphoneAddress *address = linphone_friend_get_address(person);
	const LinphonePresenceModel *model = linphone_friend_get_presence_model(person);
	LinphonePresenceActivity *activity = NULL;
	LinphonePresenceNote *note = NULL;
	char *who, *doing = NULL;
	if (address == NULL) return;
	if (model != NULL) {
		activity = linphone_presence_model_get_activity(model);
		note = linphone_presence_model_get_note(model, NULL);
	}
	who = linphone_address_as_string_uri_only(address);
	if (activity != NULL) doing = linphone_presence_activity_to_string(activity);
	event("presence", "who", who, "status", presence_name(linphone_friend_get_consolidated_presence(person)),
	      "activity", doing, "note", note == NULL ? NULL : linphone_presence_note_get_content(note), NULL);
	bctbx_free(who);
	bctbx_free(doing);
}

static void on_presence(LinphoneFriendList *list, const bctbx_list_t *people) {
	(void)list;
	for (; people != NULL; people = bctbx_list_next(people)) show(bctbx_list_get_data(people));
}

static void watch(const char *server, int count, char **people) {
	LinphoneFriendList *list = linphone_core_create_friend_list(core);
	LinphoneFriendListCbs *callbacks = linphone_factory_create_friend_list_cbs(linphone_factory_get());
	LinphoneAddress *address = linphone_core_create_address(core, server);
	if (address == NULL) {
		event("error", "text", "that is no address of a list server", NULL);
		exit(64);
	}
	linphone_friend_list_set_rls_address(list, address);
	linphone_address_unref(address);
	linphone_friend_list_cbs_set_presence_received(callbacks, on_presence);
	linphone_friend_list_add_callbacks(list, callbacks);
	linphone_friend_list_cbs_unref(callbacks);
	/* Without people, the list is the one the server keeps. */
	linphone_friend_list_set_subscription_bodyless(list, count == 0);
	for (int i = 0; i < count; i++) {
		LinphoneFriend *person = linphone_core_create_friend_with_address(core, people[i]);
		if (person == NULL) {
			event("error", "text", "that is no address of a person", "who", people[i], NULL);
			exit(64);
		}
		linphone_friend_enable_subscribes(person, FALSE);
		linphone_friend_list_add_local_friend(list, person);
		linphone_friend_unref(person);
	}
	linphone_core_add_friend_list(core, list);
	linphone_friend_list_enable_subscriptions(list, TRUE);
	linphone_friend_list_update_subscriptions(list);
	linphone_friend_list_unref(list);
}

/* ------------------------------------------------------------ commands */

static int publish(const char *status, const char *note) {
	static const LinphoneConsolidatedPresence known[] = {
	    LinphoneConsolidatedPresenceOnline,
	    LinphoneConsolidatedPresenceBusy,
	    LinphoneConsolidatedPresenceDoNotDisturb,
	    LinphoneConsolidatedPresenceOffline,
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		LinphonePresenceModel *model;
		if (strcmp(presence_name(known[i]), status) != 0) continue;
		linphone_core_set_consolidated_presence(core, known[i]);
		if (note == NULL) return 1;
		model = linphone_presence_model_ref(linphone_core_get_presence_model(core));
		linphone_presence_model_add_note(model, note, NULL);
		linphone_core_set_presence_model(core, model);
		linphone_presence_model_unref(model);
		return 1;
	}
	return 0;
}

/* Obeys a line. False: the program is to end. */
static int obey(char *line) {
	char *status;
	if (strcmp(line, "quit") == 0) return 0;
	if (strncmp(line, "status ", 7) == 0) {
		char *note = strchr(status = line + 7, ' ');
		if (note != NULL) *note++ = '\0';
		event(publish(status, note) ? "done" : "error", "command", "status", "status", status, NULL);
		return 1;
	}
	event("error", "command", line, "text", "no such command", NULL);
	return 1;
}

/* Reads what there is on stdin. False: the program is to end. */
static int read_commands(void) {
	static char line[4096];
	static size_t length;
	char byte;
	ssize_t got;
	while ((got = read(STDIN_FILENO, &byte, 1)) == 1) {
		if (byte != '\n') {
			if (length < sizeof line - 1) line[length++] = byte;
			continue;
		}
		line[length] = '\0';
		length = 0;
		if (!obey(line)) return 0;
	}
	return got != 0;
}

/* ------------------------------------------------------------ the program */

static void on_registration(LinphoneCore *lc, LinphoneProxyConfig *account, LinphoneRegistrationState state,
                            const char *message) {
	(void)lc;
	(void)account;
	if (state == LinphoneRegistrationOk) event("signed-on", NULL);
	if (state == LinphoneRegistrationFailed) event("refused", "text", message, NULL);
	if (state == LinphoneRegistrationCleared) event("signed-off", NULL);
}

int main(int argc, char **argv) {
	LinphoneFactory *factory = linphone_factory_get();
	LinphoneCoreCbs *callbacks;
	if (argc < 3) {
		fprintf(stderr, "usage: %s CONFIG LIST-SERVER [PERSON]...\n", argv[0]);
		return 64;
	}
	/* Every SIP message, between the events. */
	if (getenv("LINPHONELIST_LOG") != NULL) {
		linphone_logging_service_set_log_level(linphone_logging_service_get(), LinphoneLogLevelMessage);
	}
	core = linphone_factory_create_core_3(factory, argv[1], NULL, NULL);
	if (core == NULL) return 65;
	/* As the applications call themselves. */
	linphone_core_set_user_agent(core, "LinphoneList", linphone_core_get_version());
	callbacks = linphone_factory_create_core_cbs(factory);
	linphone_core_cbs_set_registration_state_changed(callbacks, on_registration);
	linphone_core_add_callbacks(core, callbacks);
	linphone_core_cbs_unref(callbacks);
	fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
	linphone_core_start(core);
	watch(argv[2], argc - 3, argv + 3);
	while (read_commands()) {
		linphone_core_iterate(core);
		usleep(20 * 1000);
	}
	linphone_core_stop(core);
	linphone_core_unref(core);
	event("bye", NULL);
	return 0;
}

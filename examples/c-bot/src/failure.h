// What went wrong, and what the host is to do about it.

#ifndef FAILURE_H
#define FAILURE_H

#include "chatbot_plugin.h"

typedef exports_sidenote_plugin_writer_failure_t failure_t;

// Fills in a failure. `kind` is what the host does, `sent` whether the platform may have the note.
// Always false: what an export returns with a failure.
bool failure(failure_t *out, int kind, const char *code, const char *message, int sent);

// What a response that isn't a success means. `retry_after` is that header's value, or NULL.
bool failure_from_status(failure_t *out, int status, const chatbot_plugin_string_t *retry_after);

// What it means that there is no response. Takes the error's message over.
bool failure_from_error(failure_t *out, sidenote_plugin_http_error_t *error);

#endif

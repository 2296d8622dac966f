#define _GNU_SOURCE
#include "failure.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define KIND(name) SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_##name
#define SENT(name) SIDENOTE_PLUGIN_TYPES_SENT_##name

bool failure(failure_t *out, int kind, const char *code, const char *message, int sent) {
  memset(out, 0, sizeof *out);
  out->kind = (uint8_t)kind;
  out->sent = (uint8_t)sent;
  chatbot_plugin_string_dup(&out->code, code);
  chatbot_plugin_string_dup(&out->message, message);
  return false;
}

static int kind_of(int status) {
  if (status == 429) return KIND(RATE_LIMITED);
  if (status == 401 || status == 403) return KIND(AUTH);
  if (status == 404 || status == 410) return KIND(NOT_FOUND);
  if (status == 408 || status >= 500) return KIND(TRANSIENT);
  return KIND(INVALID);
}

// The pause that `Retry-After` asks for, in seconds, or up to a date. False where it says nothing.
static bool retry_after_ms(const chatbot_plugin_string_t *value, uint64_t *out) {
  char text[64];
  const uint8_t *from = value->ptr, *end = from + value->len;
  while (from < end && *from == ' ') from++;
  while (from < end && end[-1] == ' ') end--;
  size_t len = (size_t)(end - from);
  if (len == 0 || len >= sizeof text) return false;
  memcpy(text, from, len);
  text[len] = 0;

  uint64_t seconds = 0;
  size_t whole = strspn(text, "0123456789");
  const char *rest = text + whole;
  if (whole > 0 && whole <= 10) {
    for (size_t i = 0; i < whole; i++) seconds = 10 * seconds + (uint64_t)(text[i] - '0');
    if (*rest == '.' && rest[1]) {
      rest++;
      // Fractions occur in the wild; they are rounded up.
      if (strspn(rest, "0") < strlen(rest)) seconds++;
      rest += strspn(rest, "0123456789");
    }
    *out = 1000 * seconds;
    return *rest == 0;
  }
  struct tm date = {0};
  const char *read = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (!read || *read) return false;
  time_t at = timegm(&date), now = time(NULL);
  *out = at > now ? 1000 * (uint64_t)(at - now) : 0;
  return true;
}

bool failure_from_status(failure_t *out, int status, const chatbot_plugin_string_t *retry_after) {
  char code[8], message[40];
  snprintf(code, sizeof code, "%d", status);
  snprintf(message, sizeof message, "the platform answered %d", status);
  // A gateway answers 408 or 5xx for a request that the platform behind it may have accepted; 503 says that it
  // was turned away.
  bool unknown = status == 408 || (status >= 500 && status != 503);
  failure(out, kind_of(status), code, message, unknown ? SENT(UNKNOWN) : SENT(SENT));
  out->retry_after_ms.is_some = retry_after && retry_after_ms(retry_after, &out->retry_after_ms.val);
  return false;
}

bool failure_from_error(failure_t *out, sidenote_plugin_http_error_t *error) {
  static const struct {
    int kind;
    const char *code;
  } meaning[] = {
      // The operator can mend a grant and a secret: the note waits for that.
      [SIDENOTE_PLUGIN_HTTP_ERROR_KIND_DENIED] = {KIND(AUTH), "http-denied"},
      [SIDENOTE_PLUGIN_HTTP_ERROR_KIND_SECRET] = {KIND(AUTH), "http-secret"},
      [SIDENOTE_PLUGIN_HTTP_ERROR_KIND_INVALID] = {KIND(INVALID), "http-invalid"},
      [SIDENOTE_PLUGIN_HTTP_ERROR_KIND_TOO_LARGE] = {KIND(PERMANENT), "http-too-large"},
      [SIDENOTE_PLUGIN_HTTP_ERROR_KIND_CONNECT] = {KIND(TRANSIENT), "http-connect"},
      [SIDENOTE_PLUGIN_HTTP_ERROR_KIND_TIMEOUT] = {KIND(TRANSIENT), "http-timeout"},
      [SIDENOTE_PLUGIN_HTTP_ERROR_KIND_IO] = {KIND(TRANSIENT), "http-io"},
  };
  memset(out, 0, sizeof *out);
  out->kind = (uint8_t)meaning[error->kind].kind;
  out->sent = error->sent;
  chatbot_plugin_string_dup(&out->code, meaning[error->kind].code);
  out->message = error->message;
  return false;
}

// The little of JSON that the plugin needs: a member of an object, and text written as JSON.

#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind { JSON_MISSING, JSON_NULL, JSON_TRUE, JSON_TEXT, JSON_NUMBER, JSON_LIST, JSON_OBJECT, JSON_OTHER };

// A member. `text` is allocated: the decoded text in UTF-8, or a number, a list or an
// object as it is written; NULL otherwise.
struct json_value {
  enum json_kind kind;
  char *text;
  size_t len;
};

// Whether it is one JSON object, whole. Half of a surrogate pair and bytes that aren't UTF-8 are read as U+FFFD, and a
// byte order mark before it is passed over.
bool json_is_object(const uint8_t *json, size_t len);

// A member of an object that `json_is_object` found right; the last one of that name.
struct json_value json_member(const uint8_t *json, size_t len, const char *name);

// What stands deeper, by the names and the places of lists (from 0) that lead there, parted by `/`: "parts/0/id".
struct json_value json_at(const uint8_t *json, size_t len, const char *path);

// Whether a list holds this text.
bool json_lists(const struct json_value *list, const char *text);

// A text that grows. Start with `{0}`, free `ptr`.
struct json_text {
  char *ptr;
  size_t len, capacity;
};

// Appends as it is.
void json_raw(struct json_text *out, const char *text);

// Appends a JSON string with the quotes. The text is UTF-8.
void json_string(struct json_text *out, const uint8_t *text, size_t len);

#endif

// The little of JSON that the plugin needs: a member of an object, and text written as JSON.

#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind { JSON_MISSING, JSON_NULL, JSON_TEXT, JSON_NUMBER, JSON_OTHER };

// A member. `text` is allocated: the decoded text in UTF-8, or a number as it is written; NULL otherwise.
struct json_value {
  enum json_kind kind;
  char *text;
  size_t len;
};

// Whether it is one JSON object, whole and in UTF-8.
bool json_is_object(const uint8_t *json, size_t len);

// A member of an object that `json_is_object` found right; the last one of that name.
struct json_value json_member(const uint8_t *json, size_t len, const char *name);

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

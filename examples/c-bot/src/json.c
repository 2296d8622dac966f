#include "json.h"

#include <stdlib.h>
#include <string.h>

// Deeper than this nothing is read: the stack is small.
enum { DEEPEST = 64 };
// What stands for a character that is none: half of a surrogate pair, a byte that isn't UTF-8.
enum { REPLACEMENT = 0xfffd };

struct cursor {
  const uint8_t *at, *end;
};

static bool value(struct cursor *in, int depth, struct json_value *out);

static void space(struct cursor *in) {
  while (in->at < in->end && strchr(" \t\r\n", *in->at) && *in->at) in->at++;
}

static bool take(struct cursor *in, char wanted) {
  space(in);
  if (in->at == in->end || *in->at != (uint8_t)wanted) return false;
  in->at++;
  return true;
}

static bool word(struct cursor *in, const char *wanted) {
  size_t len = strlen(wanted);
  if ((size_t)(in->end - in->at) < len || memcmp(in->at, wanted, len)) return false;
  in->at += len;
  return true;
}

static void append(struct json_text *out, const void *bytes, size_t len) {
  if (len == 0) return;
  if (out->capacity - out->len < len) {
    out->capacity = 2 * out->capacity + len + 64;
    out->ptr = realloc(out->ptr, out->capacity);
    if (!out->ptr) abort();
  }
  memcpy(out->ptr + out->len, bytes, len);
  out->len += len;
}

static void append_utf8(struct json_text *out, uint32_t c) {
  uint8_t bytes[4];
  size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = len; i-- > 1; c >>= 6) bytes[i] = 0x80 | (c & 0x3f);
  bytes[0] = lead[len] | c;
  append(out, bytes, len);
}

// How long the character is that begins here; 0 where it isn't UTF-8.
static size_t utf8_length(struct cursor in) {
  uint8_t lead = *in.at;
  size_t len = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (len == 0 || (size_t)(in.end - in.at) < len) return 0;
  for (size_t i = 1; i < len; i++)
    if ((in.at[i] & 0xc0) != 0x80) return 0;
  // Longer than needed, half of a surrogate pair, beyond Unicode.
  if (lead == 0xe0 && in.at[1] < 0xa0) return 0;
  if (lead == 0xed && in.at[1] > 0x9f) return 0;
  if (lead == 0xf0 && in.at[1] < 0x90) return 0;
  if (lead == 0xf4 && in.at[1] > 0x8f) return 0;
  return len;
}

static bool hex4(struct cursor *in, uint32_t *out) {
  *out = 0;
  for (int i = 0; i < 4; i++, in->at++) {
    if (in->at == in->end || !*in->at) return false;
    const char *digits = "0123456789abcdefABCDEF", *digit = strchr(digits, *in->at);
    if (!digit) return false;
    long n = digit - digits;
    *out = *out << 4 | (uint32_t)(n > 15 ? n - 6 : n);
  }
  return true;
}

// What stands behind a backslash.
static bool escape(struct cursor *in, struct json_text *out) {
  if (in->at == in->end) return false;
  uint8_t c = *in->at++;
  static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  const char *found = c ? strchr(plain, c) : NULL;
  if (found) {
    append(out, &meant[found - plain], 1);
    return true;
  }
  uint32_t high, low;
  if (c != 'u' || !hex4(in, &high)) return false;
  if (high >= 0xd800 && high < 0xe000) {
    struct cursor behind = *in;
    bool pair = high < 0xdc00 && word(&behind, "\\u") && hex4(&behind, &low) && low >= 0xdc00 && low <= 0xdfff;
    if (pair) *in = behind;
    high = pair ? 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00) : REPLACEMENT;
  }
  append_utf8(out, high);
  return true;
}

// A string, decoded; `out` must be freed whatever comes of it.
static bool string(struct cursor *in, struct json_text *out) {
  if (!take(in, '"')) return false;
  while (in->at < in->end && *in->at != '"') {
    if (*in->at == '\\') {
      in->at++;
      if (!escape(in, out)) return false;
      continue;
    }
    if (*in->at < 0x20) return false;
    size_t len = utf8_length(*in);
    if (len == 0) append_utf8(out, REPLACEMENT);
    else append(out, in->at, len);
    in->at += len ? len : 1;
  }
  return take(in, '"');
}

static bool digits(struct cursor *in) {
  const uint8_t *from = in->at;
  while (in->at < in->end && *in->at >= '0' && *in->at <= '9') in->at++;
  return in->at > from;
}

static bool number(struct cursor *in) {
  if (in->at < in->end && *in->at == '-') in->at++;
  const uint8_t *from = in->at;
  if (!digits(in) || (*from == '0' && in->at - from > 1)) return false;
  if (in->at < in->end && *in->at == '.') {
    in->at++;
    if (!digits(in)) return false;
  }
  if (in->at < in->end && (*in->at | 0x20) == 'e') {
    in->at++;
    if (in->at < in->end && (*in->at == '+' || *in->at == '-')) in->at++;
    if (!digits(in)) return false;
  }
  return true;
}

// An object; of the members with this name the last one is kept.
static bool object(struct cursor *in, int depth, const char *name, struct json_value *out) {
  if (!take(in, '{')) return false;
  if (take(in, '}')) return true;
  do {
    space(in);
    struct json_text key = {0};
    struct json_value member = {JSON_MISSING, NULL, 0};
    bool right = string(in, &key) && take(in, ':') && value(in, depth + 1, &member);
    if (right && name && key.len == strlen(name) && (key.len == 0 || !memcmp(key.ptr, name, key.len))) {
      free(out->text);
      *out = member;
      member.text = NULL;
    }
    free(member.text);
    free(key.ptr);
    if (!right) return false;
  } while (take(in, ','));
  return take(in, '}');
}

static bool array(struct cursor *in, int depth) {
  if (!take(in, '[')) return false;
  if (take(in, ']')) return true;
  do {
    struct json_value item = {JSON_MISSING, NULL, 0};
    bool right = value(in, depth + 1, &item);
    free(item.text);
    if (!right) return false;
  } while (take(in, ','));
  return take(in, ']');
}

// What was read from here on, as it is written.
static void written(struct json_value *out, const uint8_t *from, const struct cursor *in) {
  struct json_text text = {0};
  append(&text, from, (size_t)(in->at - from));
  out->text = text.ptr;
  out->len = text.len;
}

static bool value(struct cursor *in, int depth, struct json_value *out) {
  space(in);
  if (in->at == in->end || depth > DEEPEST) return false;
  const uint8_t *from = in->at;
  bool right;
  out->kind = JSON_OTHER;
  switch (*in->at) {
    case '{':
      right = object(in, depth, NULL, out);
      out->kind = JSON_OBJECT;
      written(out, from, in);
      return right;
    case '[':
      right = array(in, depth);
      out->kind = JSON_LIST;
      written(out, from, in);
      return right;
    case 't':
      out->kind = JSON_TRUE;
      return word(in, "true");
    case 'f':
      return word(in, "false");
    case 'n':
      out->kind = JSON_NULL;
      return word(in, "null");
  }
  if (*in->at == '"') {
    struct json_text text = {0};
    out->kind = JSON_TEXT;
    right = string(in, &text);
    out->text = text.ptr;
    out->len = text.len;
    return right;
  }
  out->kind = JSON_NUMBER;
  right = number(in);
  written(out, from, in);
  return right;
}

static struct cursor start(const uint8_t *json, size_t len) {
  struct cursor in = {json, json + len};
  word(&in, "\xef\xbb\xbf");
  return in;
}

bool json_is_object(const uint8_t *json, size_t len) {
  struct cursor in = start(json, len);
  struct json_value none = {JSON_MISSING, NULL, 0};
  bool right = object(&in, 0, NULL, &none);
  space(&in);
  return right && in.at == in.end;
}

struct json_value json_member(const uint8_t *json, size_t len, const char *name) {
  struct cursor in = start(json, len);
  struct json_value found = {JSON_MISSING, NULL, 0};
  object(&in, 0, name, &found);
  return found;
}

// The item of a list at a place.
static struct json_value item_at(const uint8_t *json, size_t len, size_t place) {
  struct cursor in = {json, json + len};
  struct json_value item = {JSON_MISSING, NULL, 0};
  if (!take(&in, '[') || take(&in, ']')) return item;
  do {
    free(item.text);
    item = (struct json_value){JSON_MISSING, NULL, 0};
    if (!value(&in, 1, &item)) break;
    if (place-- == 0) return item;
  } while (take(&in, ','));
  free(item.text);
  return (struct json_value){JSON_MISSING, NULL, 0};
}

struct json_value json_at(const uint8_t *json, size_t len, const char *path) {
  struct json_value found = {JSON_OBJECT, NULL, 0};
  do {
    size_t name_len = strcspn(path, "/");
    char *name = calloc(name_len + 1, 1);
    if (!name) abort();
    memcpy(name, path, name_len);
    struct json_value inner = {JSON_MISSING, NULL, 0};
    if (found.kind == JSON_OBJECT) inner = json_member(json, len, name);
    if (found.kind == JSON_LIST && name_len && strspn(name, "0123456789") == name_len)
      inner = item_at(json, len, strtoul(name, NULL, 10));
    free(name);
    free(found.text);
    found = inner;
    json = (const uint8_t *)found.text;
    len = found.len;
    path += name_len;
  } while (*path++ == '/');
  return found;
}

bool json_lists(const struct json_value *list, const char *text) {
  struct cursor in = {(const uint8_t *)list->text, (const uint8_t *)list->text + list->len};
  bool found = false;
  if (list->kind != JSON_LIST || !take(&in, '[') || take(&in, ']')) return false;
  do {
    struct json_value item = {JSON_MISSING, NULL, 0};
    if (!value(&in, 1, &item)) return free(item.text), false;
    found |= item.kind == JSON_TEXT && item.len == strlen(text) && !memcmp(item.text, text, item.len);
    free(item.text);
  } while (take(&in, ','));
  return found;
}

void json_raw(struct json_text *out, const char *text) { append(out, text, strlen(text)); }

void json_string(struct json_text *out, const uint8_t *text, size_t len) {
  json_raw(out, "\"");
  for (size_t i = 0; i < len; i++) {
    uint8_t c = text[i];
    const char *hex = "0123456789abcdef";
    char unicode[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, quoted[] = {'\\', (char)c};
    if (c < 0x20)
      append(out, unicode, sizeof unicode);
    else if (c == '"' || c == '\\')
      append(out, quoted, sizeof quoted);
    else
      append(out, &c, 1);
  }
  json_raw(out, "\"");
}

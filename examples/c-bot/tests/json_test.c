// `make test`: the JSON that the plugin reads and writes, on this machine.

#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed;

static void check(bool right, const char *what) {
  if (!right) {
    failed++;
    fprintf(stderr, "failed: %s\n", what);
  }
}

static bool is_object(const char *json) { return json_is_object((const uint8_t *)json, strlen(json)); }

static void member(const char *json, enum json_kind kind, const char *text) {
  struct json_value value = json_member((const uint8_t *)json, strlen(json), "a");
  bool same = value.kind == kind;
  if (text) same = same && value.len == strlen(text) && (!value.len || !memcmp(value.text, text, value.len));
  check(is_object(json) && same, json);
  free(value.text);
}

static void at(const char *json, const char *path, enum json_kind kind, const char *text) {
  struct json_value value = json_at((const uint8_t *)json, strlen(json), path);
  bool same = value.kind == kind;
  if (text) same = same && value.len == strlen(text) && (!value.len || !memcmp(value.text, text, value.len));
  check(is_object(json) && same, path);
  free(value.text);
}

int main(void) {
  const char *right[] = {"{}", " {\"a\" : [1, -0.5e+3, {\"b\":null}, true, \"\\u00e9\"] }\n", "{\"\":0}"};
  for (size_t i = 0; i < sizeof right / sizeof *right; i++) check(is_object(right[i]), right[i]);
  const char *wrong[] = {"",          "{",          "[]",         "{}x",         "{\"a\"}",      "{\"a\":}",
                         "{\"a\":1,}", "{a:1}",      "{\"a\":01}", "{\"a\":1.}",  "{\"a\":+1}",   "{\"a\":\"\n\"}",
                         "{\"a\":tru}", "{\"a\":\"", "{\"a\":\"\\x\"}", "{\"a\":\"\\ud80\"}"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) check(!is_object(wrong[i]), wrong[i]);

  member("{\"a\":\"x\"}", JSON_TEXT, "x");
  member("{\"b\":{\"a\":1},\"a\":\"\\\"\\n\\u00e9\\ud83d\\ude00\"}", JSON_TEXT, "\"\n\xc3\xa9\xf0\x9f\x98\x80");
  member("{\"a\":1,\"a\":-2.5e3}", JSON_NUMBER, "-2.5e3");
  member("{\"\\u0061\":\"\"}", JSON_TEXT, "");
  member("{\"a\":null}", JSON_NULL, NULL);
  member("{\"a\":[1, \"b\"]}", JSON_LIST, "[1, \"b\"]");
  member("{\"a\":true}", JSON_TRUE, NULL);
  member("{\"a\":{\"b\": 1}}", JSON_OBJECT, "{\"b\": 1}");
  member("{\"a\":false}", JSON_OTHER, NULL);
  member("\xef\xbb\xbf{\"a\":12345}", JSON_NUMBER, "12345");
  member("{\"a\":\"\\ud83d\"}", JSON_TEXT, "\xef\xbf\xbd");
  member("{\"a\":\"\\ud83d\\n\\udc00\"}", JSON_TEXT, "\xef\xbf\xbd\n\xef\xbf\xbd");
  member("{\"a\":\"x\xffy\"}", JSON_TEXT, "x\xef\xbf\xbdy");
  member("{\"b\":1}", JSON_MISSING, NULL);

  const char *nested = "{\"part\": {\"ids\": [{\"id\": \"n\\u0031\"}, [7, 8]], \"\": {\"0\": true}}}";
  at(nested, "part/ids/0/id", JSON_TEXT, "n1");
  at(nested, "part/ids/1/1", JSON_NUMBER, "8");
  at(nested, "part/ids/1", JSON_LIST, "[7, 8]");
  at(nested, "part//0", JSON_TRUE, NULL);
  const char *nowhere[] = {"part/ids/2", "part/ids/x", "part/ids/", "part/ids/0/id/0", "other/id", "part/0", ""};
  for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) at(nested, nowhere[i], JSON_MISSING, NULL);

  const char *lists = "{\"a\":[7, \"us\\u0065r\", [\"email\"]]}";
  struct json_value list = json_member((const uint8_t *)lists, strlen(lists), "a");
  check(json_lists(&list, "user") && !json_lists(&list, "email") && !json_lists(&list, ""), lists);
  free(list.text);

  char deep[4096];
  memset(deep, '[', sizeof deep);
  memcpy(deep, "{\"a\":", 5);
  check(!json_is_object((uint8_t *)deep, sizeof deep), "deep nesting is refused");

  struct json_text out = {0};
  const char *text = "\"\\\n\x01 \xe2\x9c\x93";
  json_string(&out, (const uint8_t *)text, strlen(text));
  const char *wanted = "\"\\\"\\\\\\u000a\\u0001 \xe2\x9c\x93\"";
  check(out.len == strlen(wanted) && !memcmp(out.ptr, wanted, out.len), "text is written as JSON");
  free(out.ptr);

  if (!failed) puts("json: all right");
  return failed > 0;
}

// Notes as JSON posts to a bot of yours, in C++ over the C bindings in `bindings/`.
//
// An export owns what it is given and frees it; the host frees what it answers, so that must be allocated.

#include "writer_plugin.h"

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

using Text = writer_plugin_string_t;
using Failure = exports_sidenote_plugin_writer_failure_t;
using Posted = exports_sidenote_plugin_writer_posted_t;

// The bindings ask for an object that carries the world. `sidenote plugin pack` puts the world in instead.
extern "C" void __component_type_object_force_link_writer_plugin(void) {}

namespace {

// What the host only reads may stay where it is.
Text lent(std::string_view text) {
  return {reinterpret_cast<uint8_t *>(const_cast<char *>(text.data())), text.size()};
}

std::string_view view(const Text &text) { return {reinterpret_cast<const char *>(text.ptr), text.len}; }

// What the host frees is a copy.
Text owned(std::string_view text) {
  if (text.empty()) return {nullptr, 0};
  auto *copy = static_cast<uint8_t *>(std::malloc(text.size()));
  if (!copy) std::abort();
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

std::string json(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') (out += '\\') += static_cast<char>(c);
    else if (c >= 0x20) out += static_cast<char>(c);
    else ((out += "\\u00") += hex[c >> 4]) += hex[c & 15];
  }
  return out + '"';
}

bool fail(Failure *err, uint8_t kind, std::string_view code, std::string_view message, uint8_t sent) {
  *err = {};
  err->kind = kind;
  err->code = owned(code);
  err->message = owned(message);
  err->sent = sent;
  return false;
}

// What `Retry-After` asks for, in seconds or up to a date; nothing where it says neither.
std::optional<uint64_t> seconds_of(const std::string &value) {
  if (!value.empty() && value.size() <= 9 && value.find_first_not_of("0123456789") == value.npos) return std::stoull(value);
  std::tm date = {};
  const char *end = strptime(value.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (!end || *end) return std::nullopt;
  const auto at = timegm(&date), now = std::time(nullptr);
  return at > now ? static_cast<uint64_t>(at - now) : 0;
}

void wait(Failure *err, const sidenote_plugin_http_response_t &response) {
  for (size_t i = 0; i < response.headers.len; i++) {
    if (view(response.headers.ptr[i].f0) != "retry-after") continue;
    const auto seconds = seconds_of(std::string(view(response.headers.ptr[i].f1)));
    if (seconds) err->retry_after_ms = {true, *seconds * 1000};
  }
}

bool refused(Failure *err, const sidenote_plugin_http_response_t &response) {
  const auto status = response.status;
  uint8_t kind = SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_INVALID, sent = SIDENOTE_PLUGIN_TYPES_SENT_SENT;
  if (status == 429) kind = SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_RATE_LIMITED;
  if (status == 401 || status == 403) kind = SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_AUTH;
  if (status == 404 || status == 410) kind = SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_NOT_FOUND;
  if (status == 408 || status >= 500) kind = SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_TRANSIENT;
  // A gateway's answer: the bot may have the note.
  if (status == 408 || status == 500 || status == 502 || status == 504) sent = SIDENOTE_PLUGIN_TYPES_SENT_UNKNOWN;
  const auto code = std::to_string(status);
  fail(err, kind, code, "the bot answered " + code, sent);
  wait(err, response);
  return false;
}

bool unsent(Failure *err, const sidenote_plugin_http_error_t &error) {
  bool passes = error.kind == SIDENOTE_PLUGIN_HTTP_ERROR_KIND_CONNECT ||
                error.kind == SIDENOTE_PLUGIN_HTTP_ERROR_KIND_TIMEOUT ||
                error.kind == SIDENOTE_PLUGIN_HTTP_ERROR_KIND_IO;
  auto kind = passes ? SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_TRANSIENT : SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_INVALID;
  return fail(err, kind, "http", view(error.message), error.sent);
}

// The bot's name of the note: a text without escapes behind `"id":`. The bot has the note also where it doesn't say.
std::string_view id_in(std::string_view body) {
  auto at = body.find("\"id\"");
  if (at == body.npos) return {};
  at = body.find_first_not_of(" \t\r\n:", at + 4);
  if (at == body.npos || body[at] != '"') return {};
  auto end = body.find_first_of("\"\\", at + 1);
  if (end == body.npos || body[end] != '"') return {};
  return body.substr(at + 1, end - at - 1);
}

bool post(const sidenote_plugin_types_call_t &call, const sidenote_plugin_types_note_t &note, const Text &url,
          Posted *ret, Failure *err) {
  const auto body = "{\"conversation\":" + json(view(note.conversation_id)) + ",\"text\":" + json(view(note.body)) +
                    ",\"key\":" + json(view(call.idempotency_key)) + "}";
  writer_plugin_tuple2_string_string_t headers[] = {
      {lent("content-type"), lent("application/json")},
      // The host puts the secret in its place, for hosts that it is granted to.
      {lent("authorization"), lent("Bearer {{secret:token}}")},
  };
  sidenote_plugin_http_request_t request = {};
  request.method = lent("POST");
  request.url = url;
  request.headers = {headers, 2};
  request.body = {lent(body).ptr, body.size()};
  sidenote_plugin_http_response_t response;
  sidenote_plugin_http_error_t error;
  if (!sidenote_plugin_http_send(&request, &response, &error)) {
    unsent(err, error);
    sidenote_plugin_http_error_free(&error);
    return false;
  }
  const bool accepted = response.status >= 200 && response.status <= 299;
  if (accepted) {
    *ret = {};
    const auto id = id_in({reinterpret_cast<const char *>(response.body.ptr), response.body.len});
    if (!id.empty()) ret->note_id = {true, owned(id)};
  } else {
    refused(err, response);
  }
  sidenote_plugin_http_response_free(&response);
  return accepted;
}

}  // namespace

bool exports_sidenote_plugin_writer_post_note(sidenote_plugin_types_call_t *call, sidenote_plugin_types_note_t *note,
                                              Posted *ret, Failure *err) {
  Text key = lent("url"), url;
  bool posted = false;
  if (sidenote_plugin_config_get(&key, &url)) {
    posted = post(*call, *note, url, ret, err);
    writer_plugin_string_free(&url);
  } else {
    fail(err, SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_INVALID, "config", "`url` is missing in the configuration",
         SIDENOTE_PLUGIN_TYPES_SENT_NOT_SENT);
  }
  sidenote_plugin_types_call_free(call);
  sidenote_plugin_types_note_free(note);
  return posted;
}

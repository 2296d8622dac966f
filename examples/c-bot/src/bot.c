// Notes as JSON posts to a bot of yours, and the bot's signed webhook.
//
// `bindings/` is made of the interface in `wit/`. An export owns what it is given and frees it; the host frees
// what it answers, so that must be allocated.

#include "chatbot_plugin.h"
#include "failure.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef chatbot_plugin_string_t string_t;
typedef chatbot_plugin_list_tuple2_string_string_t headers_t;
typedef exports_sidenote_plugin_webhook_rejection_t rejection_t;

// The bindings ask for an object that carries the world. `sidenote plugin pack` puts the world in instead.
void __component_type_object_force_link_chatbot_plugin(void) {}

// The header of the webhook's signature: `sha256=` and the hex HMAC of the raw body.
static const char SIGNATURE[] = "x-bot-signature";
// The secret that the bot signs with.
static const char SECRET[] = "incoming";

// A text that lives as long as the program: for what the host only reads.
static string_t literal(const char *text) { return (string_t){(uint8_t *)text, strlen(text)}; }

static void log_debug(const char *message) {
  string_t line = literal(message);
  headers_t fields = {NULL, 0};
  sidenote_plugin_log_write(SIDENOTE_PLUGIN_LOG_LEVEL_DEBUG, &line, &fields);
}

// The only value of a header; NULL where it isn't there, or there twice.
static const string_t *single_header(const headers_t *headers, const char *name) {
  const string_t *found = NULL;
  for (size_t i = 0; i < headers->len; i++) {
    string_t *key = &headers->ptr[i].f0;
    if (key->len != strlen(name) || strncasecmp((char *)key->ptr, name, key->len)) continue;
    if (found) return NULL;
    found = &headers->ptr[i].f1;
  }
  return found;
}


static bool post(sidenote_plugin_types_call_t *call, sidenote_plugin_types_note_t *note, string_t *url,
                 exports_sidenote_plugin_writer_posted_t *ret, failure_t *err) {
  struct json_text body = {0};
  json_raw(&body, "{\"conversation\":");
  json_string(&body, note->conversation_id.ptr, note->conversation_id.len);
  json_raw(&body, ",\"text\":");
  json_string(&body, note->body.ptr, note->body.len);
  json_raw(&body, ",\"key\":");
  json_string(&body, call->idempotency_key.ptr, call->idempotency_key.len);
  json_raw(&body, "}");

  chatbot_plugin_tuple2_string_string_t headers[] = {
      {literal("content-type"), literal("application/json")},
      // The host puts the secret in its place, for hosts that it is granted to.
      {literal("authorization"), literal("Bearer {{secret:token}}")},
  };
  sidenote_plugin_http_request_t request = {
      .method = literal("POST"),
      .url = *url,
      .headers = {headers, sizeof headers / sizeof *headers},
      .body = {(uint8_t *)body.ptr, body.len},
      // The text holds what people typed: a placeholder in it stays text.
      .secrets_in_body = false,
  };
  sidenote_plugin_http_response_t response;
  sidenote_plugin_http_error_t error;
  bool answered = sidenote_plugin_http_send(&request, &response, &error);
  free(body.ptr);
  if (!answered) return failure_from_error(err, &error);

  bool accepted = response.status >= 200 && response.status <= 299;
  if (accepted) {
    memset(ret, 0, sizeof *ret);
    // The bot has the note also where it doesn't say what it calls it, so nothing here fails.
    if (json_is_object(response.body.ptr, response.body.len)) {
      struct json_value id = json_member(response.body.ptr, response.body.len, "id");
      ret->note_id.is_some = (id.kind == JSON_TEXT || id.kind == JSON_NUMBER) && id.len > 0;
      if (ret->note_id.is_some) ret->note_id.val = (string_t){(uint8_t *)id.text, id.len};
      else free(id.text);
    }
    log_debug("posted");
  } else {
    failure_from_status(err, response.status, single_header(&response.headers, "retry-after"));
  }
  sidenote_plugin_http_response_free(&response);
  return accepted;
}

bool exports_sidenote_plugin_writer_post_note(sidenote_plugin_types_call_t *call,
                                              sidenote_plugin_types_note_t *note,
                                              exports_sidenote_plugin_writer_posted_t *ret, failure_t *err) {
  string_t key = literal("url"), url;
  bool posted = false;
  if (sidenote_plugin_config_get(&key, &url)) {
    posted = post(call, note, &url, ret, err);
    chatbot_plugin_string_free(&url);
  } else {
    failure(err, SIDENOTE_PLUGIN_TYPES_FAILURE_KIND_INVALID, "config", "`url` is missing in the configuration",
            SIDENOTE_PLUGIN_TYPES_SENT_NOT_SENT);
  }
  sidenote_plugin_types_call_free(call);
  sidenote_plugin_types_note_free(note);
  return posted;
}


static bool reject(rejection_t *out, uint16_t status, const char *code, const char *message) {
  out->status = status;
  chatbot_plugin_string_dup(&out->code, code);
  chatbot_plugin_string_dup(&out->message, message);
  return false;
}

// Refuses a request that the bot didn't sign. Nothing of it means anything before.
static bool verify(exports_sidenote_plugin_webhook_request_t *request, rejection_t *err) {
  const string_t *value = single_header(&request->headers, SIGNATURE);
  if (!value) return reject(err, 401, "signature", "the header x-bot-signature is missing, or there twice");
  static const char scheme[] = "sha256=";
  size_t skip = strlen(scheme);
  bool genuine = false;
  if (value->len > skip && !memcmp(value->ptr, scheme, skip)) {
    string_t secret = literal(SECRET), hex = {value->ptr + skip, value->len - skip}, why;
    if (!sidenote_plugin_crypto_hmac_verify(&secret, SIDENOTE_PLUGIN_CRYPTO_HASH_SHA256,
                                            SIDENOTE_PLUGIN_CRYPTO_ENCODING_HEX, &request->body, &hex, &genuine,
                                            &why)) {
      // The operator gave no such secret: nothing can be verified.
      reject(err, 503, "secret", "");
      err->message = why;
      return false;
    }
  }
  return genuine ||
         reject(err, 401, "signature", "the signature doesn't fit the body and the secret `incoming`");
}

// A text of the body, or a whole number as text. A blank one, or anything else, says as little as none.
static void text(const chatbot_plugin_list_u8_t *body, const char *name, chatbot_plugin_option_string_t *out) {
  struct json_value value = json_member(body->ptr, body->len, name);
  bool told = false;
  if (value.kind == JSON_TEXT)
    for (size_t i = 0; i < value.len; i++) told |= !memchr(" \t\r\n", value.text[i], 4);
  // More digits than these are a float to other readers of the same JSON.
  if (value.kind == JSON_NUMBER) {
    told = value.len <= 18;
    for (size_t i = 0; i < value.len; i++) told &= !memchr(".eE", value.text[i], 3);
  }
  out->is_some = told;
  if (told) out->val = (string_t){(uint8_t *)value.text, value.len};
  else free(value.text);
}

// Which of what it says of the person the bot vouches for. It is yours and signs, so all of it, unless the body says
// `"verified": false`, or lists the fields. What isn't vouched for links nothing by itself.
static void vouch(const chatbot_plugin_list_u8_t *body, exports_sidenote_plugin_webhook_turn_t *turn) {
  struct {
    const char *field, *name;
    bool told;
  } fields[] = {
      {"session", "session-id", turn->session_id.is_some},
      {"user", "external-user-id", turn->external_user_id.is_some},
      {"email", "email", turn->email.is_some},
  };
  struct json_value verified = json_member(body->ptr, body->len, "verified");
  bool all = verified.kind == JSON_MISSING || verified.kind == JSON_NULL || verified.kind == JSON_TRUE;
  char names[64] = "";
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    if (!fields[i].told || !(all || json_lists(&verified, fields[i].field))) continue;
    if (*names) strcat(names, " ");
    strcat(names, fields[i].name);
  }
  free(verified.text);
  if (!*names) return;
  turn->extras.ptr = malloc(sizeof *turn->extras.ptr);
  if (!turn->extras.ptr) abort();
  turn->extras.len = 1;
  chatbot_plugin_string_dup(&turn->extras.ptr->f0, "verified");
  chatbot_plugin_string_dup(&turn->extras.ptr->f1, names);
}

static bool turn(const chatbot_plugin_list_u8_t *body, exports_sidenote_plugin_webhook_turn_t *out,
                 rejection_t *err) {
  chatbot_plugin_option_string_t conversation = {0};
  memset(out, 0, sizeof *out);
  text(body, "conversation", &conversation);
  if (!conversation.is_some) return reject(err, 400, "body", "`conversation` is missing");
  out->conversation_id = conversation.val;
  text(body, "session", &out->session_id);
  text(body, "user", &out->external_user_id);
  text(body, "email", &out->email);
  text(body, "product", &out->product_id);
  text(body, "text", &out->text);
  vouch(body, out);
  return true;
}

static bool event(const chatbot_plugin_list_u8_t *body, exports_sidenote_plugin_webhook_event_t *out,
                  rejection_t *err) {
  if (!json_is_object(body->ptr, body->len)) return reject(err, 400, "body", "the body isn't a JSON object");
  chatbot_plugin_option_string_t name = {0};
  text(body, "event", &name);
  string_t *word = &name.val;
  out->tag = EXPORTS_SIDENOTE_PLUGIN_WEBHOOK_EVENT_IGNORED;
  if (name.is_some && word->len == 6 && !memcmp(word->ptr, "opened", 6))
    out->tag = EXPORTS_SIDENOTE_PLUGIN_WEBHOOK_EVENT_OPENED;
  if (name.is_some && word->len == 7 && !memcmp(word->ptr, "replied", 7))
    out->tag = EXPORTS_SIDENOTE_PLUGIN_WEBHOOK_EVENT_REPLIED;
  chatbot_plugin_option_string_free(&name);
  // Both events carry a turn, at the same place.
  return out->tag == EXPORTS_SIDENOTE_PLUGIN_WEBHOOK_EVENT_IGNORED || turn(body, &out->val.opened, err);
}

bool exports_sidenote_plugin_webhook_receive(exports_sidenote_plugin_webhook_request_t *request,
                                             exports_sidenote_plugin_webhook_list_event_t *ret,
                                             rejection_t *err) {
  bool is_post = request->method.len == 4 && !memcmp(request->method.ptr, "POST", 4);
  exports_sidenote_plugin_webhook_event_t found;
  bool accepted = is_post ? verify(request, err) && event(&request->body, &found, err)
                       : reject(err, 405, "method", "only POST is accepted");
  if (accepted) {
    ret->len = 1;
    ret->ptr = malloc(sizeof found);
    if (!ret->ptr) abort();
    *ret->ptr = found;
  }
  exports_sidenote_plugin_webhook_request_free(request);
  return accepted;
}

## Notes as JSON posts to a bot of yours, in Nim over the C bindings of `examples/cpp-writer`.
##
## An export owns what it is given and frees it; the host frees what it answers, so that is allocated by the C library.

import std/[json, strutils]

const header = "writer_plugin.h"

type
  Text {.importc: "writer_plugin_string_t", header: header, bycopy.} = object
    `ptr`: ptr UncheckedArray[uint8]
    len: csize_t
  Bytes {.importc: "writer_plugin_list_u8_t", header: header, bycopy.} = object
    `ptr`: ptr UncheckedArray[uint8]
    len: csize_t
  Pair {.importc: "writer_plugin_tuple2_string_string_t", header: header, bycopy.} = object
    f0, f1: Text
  Pairs {.importc: "writer_plugin_list_tuple2_string_string_t", header: header, bycopy.} = object
    `ptr`: ptr UncheckedArray[Pair]
    len: csize_t
  OptionalId {.importc: "sidenote_plugin_types_option_note_id_t", header: header, bycopy.} = object
    is_some: bool
    val: Text
  OptionalU64 {.importc: "writer_plugin_option_u64_t", header: header, bycopy.} = object
    is_some: bool
    val: uint64
  Call {.importc: "sidenote_plugin_types_call_t", header: header, bycopy.} = object
    idempotency_key: Text
  Note {.importc: "sidenote_plugin_types_note_t", header: header, bycopy.} = object
    conversation_id, body: Text
  Posted {.importc: "exports_sidenote_plugin_writer_posted_t", header: header, bycopy.} = object
    note_id: OptionalId
  Failure {.importc: "exports_sidenote_plugin_writer_failure_t", header: header, bycopy.} = object
    kind, sent: uint8
    code, message: Text
    retry_after_ms: OptionalU64
  Request {.importc: "sidenote_plugin_http_request_t", header: header, bycopy.} = object
    `method`, url: Text
    headers: Pairs
    body: Bytes
  Response {.importc: "sidenote_plugin_http_response_t", header: header, bycopy.} = object
    status: uint16
    headers: Pairs
    body: Bytes
  HttpError {.importc: "sidenote_plugin_http_error_t", header: header, bycopy.} = object
    kind, sent: uint8
    message: Text
  Date {.importc: "struct tm", header: "<time.h>", bycopy.} = object

# As they are numbered in the header.
const
  transient = 0'u8
  rateLimited = 1'u8
  auth = 2'u8
  notFound = 3'u8
  invalid = 4'u8
  notSent = 0'u8
  unknown = 1'u8
  sent = 2'u8
  passing = {3'u8, 4'u8, 6'u8} ## connect, timeout, io

proc configGet(key, ret: ptr Text): bool {.importc: "sidenote_plugin_config_get", header: header.}
proc send(request: ptr Request, ret: ptr Response, err: ptr HttpError): bool {.
  importc: "sidenote_plugin_http_send", header: header.}
proc free(call: ptr Call) {.importc: "sidenote_plugin_types_call_free", header: header.}
proc free(note: ptr Note) {.importc: "sidenote_plugin_types_note_free", header: header.}
proc free(response: ptr Response) {.importc: "sidenote_plugin_http_response_free", header: header.}
proc free(error: ptr HttpError) {.importc: "sidenote_plugin_http_error_free", header: header.}
proc free(text: ptr Text) {.importc: "writer_plugin_string_free", header: header.}
proc malloc(size: csize_t): pointer {.importc, header: "<stdlib.h>".}
proc strptime(text, format: cstring, date: ptr Date): cstring {.importc, header: "<time.h>".}
proc timegm(date: ptr Date): clonglong {.importc, header: "<time.h>".}
proc time(now: pointer): clonglong {.importc, header: "<time.h>".}
proc nimMain() {.importc: "NimMain".}

# The bindings ask for an object that carries the world. `sidenote plugin pack` puts the world in instead.
proc world() {.exportc: "__component_type_object_force_link_writer_plugin".} = discard

proc lent(text: string): Text =
  ## What the host only reads may stay where it is.
  Text(`ptr`: cast[ptr UncheckedArray[uint8]](text.cstring), len: csize_t(text.len))

proc owned(text: string): Text =
  ## What the host frees is a copy.
  result.len = csize_t(text.len)
  result.`ptr` = cast[ptr UncheckedArray[uint8]](malloc(max(1, text.len).csize_t))
  if text.len > 0: copyMem(result.`ptr`, text.cstring, text.len)

proc `$`(text: Text | Bytes): string =
  result = newString(text.len.int)
  if text.len > 0: copyMem(addr result[0], text.`ptr`, text.len.int)

proc fail(err: var Failure, kind: uint8, code, message: string, arrived: uint8): bool =
  err.kind = kind
  err.code = owned(code)
  err.message = owned(message)
  err.sent = arrived
  false

proc millisecondsOf(value: string): OptionalU64 =
  ## What `Retry-After` asks for, in seconds or up to a date.
  if value.len in 1 .. 9 and value.allCharsInSet(Digits):
    return OptionalU64(is_some: true, val: uint64(value.parseInt) * 1000)
  var date: Date
  zeroMem(addr date, sizeof date)
  let rest = strptime(value.cstring, "%a, %d %b %Y %H:%M:%S GMT", addr date)
  if rest != nil and rest[0] == '\0':
    result = OptionalU64(is_some: true, val: uint64(max(0, timegm(addr date) - time(nil))) * 1000)

proc refused(err: var Failure, response: Response): bool =
  let status = response.status.int
  let kind = case status
    of 429: rateLimited
    of 401, 403: auth
    of 404, 410: notFound
    of 408: transient
    else: (if status >= 500: transient else: invalid)
  # A gateway's answer: the bot may have the note.
  discard err.fail(kind, $status, "the bot refused the note", if status in [408, 500, 502, 504]: unknown else: sent)
  for i in 0 ..< response.headers.len.int:
    let header = response.headers.`ptr`[i]
    if $header.f0 == "retry-after": err.retry_after_ms = millisecondsOf($header.f1)
  false

proc idIn(body: string): string =
  ## The bot's name of the note: a text without escapes behind `"id":`; empty where it doesn't say. A whole answer, of many
  ## megabytes perhaps, isn't parsed for it.
  let name = body.find("\"id\"")
  if name < 0: return
  let start = body.find({'"'}, name + 4)
  if start < 0 or not body[name + 4 ..< start].allCharsInSet({' ', '\t', '\r', '\n', ':'}): return
  let past = body.find({'"', '\\'}, start + 1)
  if past > 0 and body[past] == '"': result = body[start + 1 ..< past]

proc post(call: Call, note: Note, url: Text, ret: var Posted, err: var Failure): bool =
  let
    body = $ %*{"conversation": $note.conversation_id, "text": $note.body, "key": $call.idempotency_key}
    # The host puts the secret in its place, for hosts that it is granted to.
    words = ["POST", "content-type", "application/json", "authorization", "Bearer {{secret:token}}"]
  var headers = [Pair(f0: lent(words[1]), f1: lent(words[2])), Pair(f0: lent(words[3]), f1: lent(words[4]))]
  var request: Request
  zeroMem(addr request, sizeof request)
  request.`method` = lent(words[0])
  request.url = url
  request.headers = Pairs(`ptr`: cast[ptr UncheckedArray[Pair]](addr headers), len: 2)
  request.body = Bytes(`ptr`: lent(body).`ptr`, len: csize_t(body.len))
  var response: Response
  var error: HttpError
  if not send(addr request, addr response, addr error):
    result = err.fail(if error.kind in passing: transient else: invalid, "http", $error.message, error.sent)
    free(addr error)
    return
  result = response.status in 200'u16 .. 299'u16
  if result:
    let id = idIn($response.body)
    if id.len > 0: ret.note_id = OptionalId(is_some: true, val: owned(id))
  else:
    discard err.refused(response)
  free(addr response)

var started = false

proc postNote(call: ptr Call, note: ptr Note, ret: ptr Posted, err: ptr Failure): bool {.
    exportc: "exports_sidenote_plugin_writer_post_note".} =
  if not started:
    started = true
    nimMain()
  zeroMem(ret, sizeof Posted)
  zeroMem(err, sizeof Failure)
  var
    key = lent("url")
    url: Text
  if configGet(addr key, addr url):
    result = post(call[], note[], url, ret[], err[])
    free(addr url)
  else:
    result = err[].fail(invalid, "config", "`url` is missing in the configuration", notSent)
  free(call)
  free(note)

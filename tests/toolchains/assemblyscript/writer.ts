// Notes as JSON posts to a bot of yours, in AssemblyScript. No generator writes bindings for it: records are read and
// written where the canonical ABI has them. Texts are UTF-16, as AssemblyScript keeps them.

@external("sidenote:plugin/config@0.1.0", "get")
declare function configGet(key: usize, keyLength: i32, answer: usize): void;

@external("sidenote:plugin/http@0.1.0", "send")
declare function httpSend(
  method: usize, methodLength: i32, url: usize, urlLength: i32, headers: usize, headerCount: i32,
  body: usize, bodyLength: i32, secretsInBody: i32, hasTimeout: i32, timeout: i32, answer: usize,
): void;

@external("wasi_snapshot_preview1", "clock_time_get")
declare function clockTimeGet(clock: i32, precision: i64, answer: usize): i32;

// As the enums are numbered in the interface.
const TRANSIENT: u8 = 0, RATE_LIMITED: u8 = 1, AUTH: u8 = 2, NOT_FOUND: u8 = 3, INVALID: u8 = 4;
const NOT_SENT: u8 = 0, UNKNOWN: u8 = 1, SENT: u8 = 2;
const CONNECT: u8 = 3, TIMEOUT: u8 = 4, IO: u8 = 6;

/** The host asks for memory by this, and has what it answers freed by `done`. */
export function cabi_realloc(old: usize, _oldSize: usize, _align: usize, size: usize): usize {
  return old == 0 ? heap.alloc(size) : heap.realloc(old, size);
}

/** A text of the host's at `place`; it is freed. */
function taken(place: usize): string {
  const at = load<usize>(place), length = load<i32>(place, 4);
  const text = String.UTF16.decodeUnsafe(at, usize(length) << 1);
  if (length > 0) heap.free(at);
  return text;
}

/** Frees pairs of texts at `place`, and answers the value of the one that is called `name`. */
function pairs(place: usize, name: string): string {
  let found = "";
  const at = load<usize>(place), count = load<i32>(place, 4);
  for (let i = 0; i < count; i++) {
    const pair = at + 16 * i;
    const key = taken(pair), value = taken(pair + 8);
    if (key == name) found = value;
  }
  if (count > 0) heap.free(at);
  return found;
}

function skipOption(place: usize): void {
  if (load<u8>(place)) taken(place + 4);
}

/** Frees the list of actions at `place`: five texts behind an index, and two optional times, in 80 bytes. */
function skipActions(place: usize): void {
  const at = load<usize>(place), count = load<i32>(place, 4);
  for (let i = 0; i < count; i++) {
    for (let text = 0; text < 5; text++) taken(at + 80 * i + 8 + 8 * text);
  }
  if (count > 0) heap.free(at);
}

/** Puts a copy of a text at `place`, which `done` frees. */
function give(place: usize, text: string): void {
  const size = usize(text.length) << 1;
  const copy = heap.alloc(size);
  memory.copy(copy, changetype<usize>(text), size);
  store<usize>(place, copy);
  store<i32>(place, text.length, 4);
}

/** Where the answer of `postNote` stands: `result<posted, failure>`. */
const ANSWER = memory.data(64, 8);
const CONFIGURED = memory.data(12, 4);
const RESPONSE = memory.data(24, 4);
const HEADERS = memory.data(32, 4);
const NOW = memory.data(8, 8);

function fail(kind: u8, code: string, message: string, sent: u8, wait: i64 = -1): usize {
  store<u8>(ANSWER, 1);
  store<u8>(ANSWER, kind, 8);
  give(ANSWER + 12, code);
  give(ANSWER + 20, message);
  store<u8>(ANSWER, wait >= 0 ? 1 : 0, 32);
  store<i64>(ANSWER, max<i64>(wait, 0), 40);
  store<u8>(ANSWER, sent, 48);
  store<i64>(ANSWER, 0, 52);
  return ANSWER;
}

function postedAs(id: string): usize {
  store<u8>(ANSWER, 0);
  store<u8>(ANSWER, id.length > 0 ? 1 : 0, 8);
  store<i64>(ANSWER, 0, 12);
  if (id.length > 0) give(ANSWER + 12, id);
  store<i64>(ANSWER, 0, 20);
  return ANSWER;
}

/** Frees what the answer is made of, once the host has read it. */
export function done(answer: usize): void {
  if (load<u8>(answer)) {
    taken(answer + 12);
    taken(answer + 20);
  } else {
    skipOption(answer + 8);
  }
}

function json(text: string): string {
  // What needs no escape is copied whole: text that grows by a character is copied for each.
  const parts: string[] = ["\""];
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x20 && c != 0x22 && c != 0x5c) continue;
    parts.push(text.substring(from, i));
    if (c >= 0x20) parts.push("\\" + text.charAt(i));
    else parts.push("\\u00" + (c < 0x10 ? "0" : "1") + "0123456789abcdef".charAt(c & 15));
    from = i + 1;
  }
  parts.push(text.substring(from));
  parts.push("\"");
  return parts.join("");
}

/** The bot's name of the note: a text without escapes behind `"id":`; empty where it doesn't say. */
function idIn(body: string): string {
  const name = body.indexOf("\"id\"");
  if (name < 0) return "";
  const rest = body.substring(name + 4).trimStart();
  if (!rest.startsWith(":")) return "";
  const value = rest.substring(1).trimStart();
  if (!value.startsWith("\"")) return "";
  const end = value.indexOf("\"", 1);
  const id = end < 0 ? "" : value.substring(1, end);
  return id.includes("\\") ? "" : id;
}

function digits(text: string): bool {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x30 || c > 0x39) return false;
  }
  return text.length > 0 && text.length < 10;
}

/** What `Retry-After` asks for in milliseconds, in seconds or up to a date; -1 where it says neither. */
function waitOf(value: string): i64 {
  if (digits(value)) return I64.parseInt(value) * 1000;
  const part = value.split(" ");
  const time = part.length == 6 ? part[4].split(":") : [];
  const month = part.length == 6 ? "JanFebMarAprMayJunJulAugSepOctNovDec".indexOf(part[2]) : -1;
  if (time.length != 3 || month < 0 || part[5] != "GMT") return -1;
  if (!digits(part[1]) || !digits(part[3]) || !digits(time[0]) || !digits(time[1]) || !digits(time[2])) return -1;
  const day = I32.parseInt(part[1]), year = I32.parseInt(part[3]);
  const at = Date.UTC(year, month / 3, day, I32.parseInt(time[0]), I32.parseInt(time[1]), I32.parseInt(time[2]));
  if (clockTimeGet(0, 1000000, NOW) != 0) return -1;
  return max<i64>(at - load<i64>(NOW) / 1000000, 0);
}

function header(place: usize, name: string, value: string): void {
  store<usize>(place, changetype<usize>(name));
  store<i32>(place, name.length, 4);
  store<usize>(place, changetype<usize>(value), 8);
  store<i32>(place, value.length, 12);
}

function refused(status: u16, retryAfter: string): usize {
  let kind = INVALID;
  if (status == 429) kind = RATE_LIMITED;
  else if (status == 401 || status == 403) kind = AUTH;
  else if (status == 404 || status == 410) kind = NOT_FOUND;
  else if (status == 408 || status >= 500) kind = TRANSIENT;
  // A gateway's answer: the bot may have the note.
  const unknown = status == 408 || status == 500 || status == 502 || status == 504;
  return fail(kind, status.toString(), "the bot refused the note", unknown ? UNKNOWN : SENT, waitOf(retryAfter));
}

function post(url: string, body: ArrayBuffer): usize {
  header(HEADERS, "content-type", "application/json");
  // The host puts the secret in its place, for hosts that it is granted to.
  header(HEADERS + 16, "authorization", "Bearer {{secret:token}}");
  const method = "POST";
  httpSend(
    changetype<usize>(method), method.length, changetype<usize>(url), url.length, HEADERS, 2,
    changetype<usize>(body), body.byteLength, 0, 0, 0, RESPONSE,
  );
  if (load<u8>(RESPONSE)) {
    const kind = load<u8>(RESPONSE, 4);
    const passes = kind == CONNECT || kind == TIMEOUT || kind == IO;
    return fail(passes ? TRANSIENT : INVALID, "http", taken(RESPONSE + 8), load<u8>(RESPONSE, 16));
  }
  const status = load<u16>(RESPONSE, 4);
  const retryAfter = pairs(RESPONSE + 8, "retry-after");
  const at = load<usize>(RESPONSE, 16), length = load<i32>(RESPONSE, 20);
  const answer = String.UTF8.decodeUnsafe(at, length);
  if (length > 0) heap.free(at);
  return status >= 200 && status < 300 ? postedAs(idIn(answer)) : refused(status, retryAfter);
}

/** `post-note`. More than sixteen parameters come as a record in memory: the call in 40 bytes, then the note. */
export function postNote(at: usize): usize {
  const key = taken(at);
  taken(at + 24);
  pairs(at + 32, "");
  taken(at + 40);
  taken(at + 48);
  const conversation = taken(at + 56);
  skipOption(at + 64);
  skipOption(at + 76);
  const text = taken(at + 104);
  skipActions(at + 112);
  pairs(at + 120, "");
  heap.free(at);
  const name = "url";
  configGet(changetype<usize>(name), name.length, CONFIGURED);
  if (!load<u8>(CONFIGURED)) return fail(INVALID, "config", "`url` is missing in the configuration", NOT_SENT);
  const url = taken(CONFIGURED + 4);
  const body = `{"conversation":${json(conversation)},"text":${json(text)},"key":${json(key)}}`;
  return post(url, String.UTF8.encode(body));
}

//! Notes as JSON posts to a bot of yours, in Zig over the C bindings in `bindings/`.
//!
//! An export owns what it is given and frees it; the host frees what it answers, so that must be allocated. The types
//! below are those of `bindings/writer_plugin.h` that a writer needs; `zig translate-c` makes all of them.

const std = @import("std");

const Text = extern struct {
    ptr: ?[*]const u8 = null,
    len: usize = 0,

    fn of(text: []const u8) Text {
        return .{ .ptr = text.ptr, .len = text.len };
    }

    fn slice(text: Text) []const u8 {
        return if (text.ptr) |ptr| ptr[0..text.len] else "";
    }

    /// A copy, which the host frees.
    fn owned(text: []const u8) Text {
        const copy = allocate(text.len);
        @memcpy(copy[0..text.len], text);
        return .{ .ptr = copy, .len = text.len };
    }
};

const Pair = extern struct { name: Text, value: Text };
const Pairs = extern struct { ptr: ?[*]const Pair = null, len: usize = 0 };
const OptionalText = extern struct { is_some: bool = false, val: Text = .{} };

const Call = extern struct { key: Text, attempt: u32, deadline_ms: u64, traceparent: Text, extras: Pairs };
const Note = extern struct {
    product_id: Text,
    session_id: Text,
    conversation_id: Text,
    user_id: OptionalText,
    email: OptionalText,
    kind: u8,
    seq: u64,
    body: Text,
    actions: extern struct { ptr: ?*anyopaque, len: usize },
    extras: Pairs,
};
const Posted = extern struct { note_id: OptionalText = .{}, extras: Pairs = .{} };
const Failure = extern struct {
    kind: Kind,
    code: Text,
    message: Text,
    retry_after_ms: extern struct { is_some: bool = false, val: u64 = 0 } = .{},
    sent: Sent,
    extras: Pairs = .{},
};
const Kind = enum(u8) { transient, rate_limited, auth, not_found, invalid, permanent };
const Sent = enum(u8) { not_sent, unknown, sent };

const Request = extern struct {
    method: Text,
    url: Text,
    headers: Pairs,
    body: Text,
    secrets_in_body: bool = false,
    timeout_ms: extern struct { is_some: bool = false, val: u32 = 0 } = .{},
};
const Response = extern struct { status: u16, headers: Pairs, body: Text };
const HttpError = extern struct {
    kind: enum(u8) { denied, invalid, secret, connect, timeout, too_large, io },
    message: Text,
    sent: Sent,
};

extern fn sidenote_plugin_config_get(key: *const Text, ret: *Text) bool;
extern fn sidenote_plugin_http_send(request: *const Request, ret: *Response, err: *HttpError) bool;
extern fn sidenote_plugin_http_response_free(response: *Response) void;
extern fn sidenote_plugin_http_error_free(err: *HttpError) void;
extern fn sidenote_plugin_types_call_free(call: *Call) void;
extern fn sidenote_plugin_types_note_free(note: *Note) void;
extern fn writer_plugin_string_free(text: *Text) void;
extern fn strptime(text: [*]const u8, format: [*:0]const u8, date: *anyopaque) ?[*]const u8;
extern fn timegm(date: *anyopaque) i64;
extern fn time(now: ?*i64) i64;
extern fn malloc(size: usize) ?[*]u8;
extern fn realloc(old: ?[*]u8, size: usize) ?[*]u8;
extern fn free(old: ?[*]u8) void;

/// The bindings ask for an object that carries the world. `sidenote plugin pack` puts the world in instead.
export fn __component_type_object_force_link_writer_plugin() void {}

export fn exports_sidenote_plugin_writer_post_note(call: *Call, note: *Note, ret: *Posted, err: *Failure) bool {
    defer sidenote_plugin_types_call_free(call);
    defer sidenote_plugin_types_note_free(note);
    const key = Text.of("url");
    var url: Text = .{};
    if (!sidenote_plugin_config_get(&key, &url)) {
        return fail(err, .invalid, "config", "`url` is missing in the configuration", .not_sent);
    }
    defer writer_plugin_string_free(&url);
    return post(call, note, url, ret, err);
}

fn post(call: *const Call, note: *const Note, url: Text, ret: *Posted, err: *Failure) bool {
    var body: Buffer = .{};
    defer free(body.ptr);
    body.add("{\"conversation\":");
    body.json(note.conversation_id.slice());
    body.add(",\"text\":");
    body.json(note.body.slice());
    body.add(",\"key\":");
    body.json(call.key.slice());
    body.add("}");

    const headers = [_]Pair{
        .{ .name = Text.of("content-type"), .value = Text.of("application/json") },
        // The host puts the secret in its place, for hosts that it is granted to.
        .{ .name = Text.of("authorization"), .value = Text.of("Bearer {{secret:token}}") },
    };
    const request = Request{
        .method = Text.of("POST"),
        .url = url,
        .headers = .{ .ptr = &headers, .len = headers.len },
        .body = .{ .ptr = body.ptr, .len = body.len },
    };
    var response: Response = undefined;
    var refusal: HttpError = undefined;
    if (!sidenote_plugin_http_send(&request, &response, &refusal)) {
        defer sidenote_plugin_http_error_free(&refusal);
        const kind: Kind = switch (refusal.kind) {
            .connect, .timeout, .io => .transient,
            else => .invalid,
        };
        return fail(err, kind, "http", refusal.message.slice(), refusal.sent);
    }
    defer sidenote_plugin_http_response_free(&response);
    if (response.status < 200 or response.status > 299) return refused(err, &response);
    ret.* = .{};
    // The bot has the note also where it doesn't say what it calls it.
    if (idIn(response.body.slice())) |id| ret.note_id = .{ .is_some = true, .val = Text.owned(id) };
    return true;
}

fn fail(err: *Failure, kind: Kind, code: []const u8, message: []const u8, sent: Sent) bool {
    err.* = .{ .kind = kind, .code = Text.owned(code), .message = Text.owned(message), .sent = sent };
    return false;
}

fn refused(err: *Failure, response: *const Response) bool {
    const kind: Kind = switch (response.status) {
        429 => .rate_limited,
        401, 403 => .auth,
        404, 410 => .not_found,
        408 => .transient,
        else => if (response.status >= 500) .transient else .invalid,
    };
    // A gateway's answer: the bot may have the note.
    const sent: Sent = switch (response.status) {
        408, 500, 502, 504 => .unknown,
        else => .sent,
    };
    const status = response.status;
    const code = [3]u8{ digit(status / 100), digit(status / 10), digit(status) };
    _ = fail(err, kind, &code, "the bot refused the note", sent);
    const headers = if (response.headers.ptr) |ptr| ptr[0..response.headers.len] else &[_]Pair{};
    for (headers) |header| {
        if (!std.mem.eql(u8, header.name.slice(), "retry-after")) continue;
        const seconds = secondsOf(header.value.slice()) orelse continue;
        err.retry_after_ms = .{ .is_some = true, .val = seconds * 1000 };
    }
    return false;
}

/// What `Retry-After` asks for, in seconds or up to a date; nothing where it says neither.
fn secondsOf(value: []const u8) ?u64 {
    if (std.fmt.parseInt(u32, value, 10)) |seconds| return seconds else |_| {}
    var text: [64]u8 = @splat(0);
    if (value.len >= text.len) return null;
    @memcpy(text[0..value.len], value);
    // The C library's `struct tm`, which is smaller than this.
    var date: [128]u8 align(16) = @splat(0);
    const end = strptime(&text, "%a, %d %b %Y %H:%M:%S GMT", &date) orelse return null;
    if (end[0] != 0) return null;
    const left = timegm(&date) - time(null);
    return if (left > 0) @intCast(left) else 0;
}

fn digit(number: u16) u8 {
    return '0' + @as(u8, @intCast(number % 10));
}

/// The bot's name of the note: a text without escapes behind `"id":`.
fn idIn(body: []const u8) ?[]const u8 {
    const name = std.mem.indexOf(u8, body, "\"id\"") orelse return null;
    const rest = std.mem.trimStart(u8, body[name + 4 ..], " \t\r\n:");
    if (rest.len == 0 or rest[0] != '"') return null;
    const end = std.mem.indexOfAny(u8, rest[1..], "\"\\") orelse return null;
    return if (rest[1 + end] == '"' and end > 0) rest[1 .. 1 + end] else null;
}

/// A text that grows.
const Buffer = struct {
    ptr: ?[*]u8 = null,
    len: usize = 0,
    capacity: usize = 0,

    fn add(buffer: *Buffer, text: []const u8) void {
        const needed = buffer.len + text.len;
        if (needed > buffer.capacity) {
            buffer.capacity = @max(needed, 2 * buffer.capacity);
            buffer.ptr = realloc(buffer.ptr, buffer.capacity) orelse @panic("out of memory");
        }
        @memcpy(buffer.ptr.?[buffer.len..needed], text);
        buffer.len = needed;
    }

    fn json(buffer: *Buffer, text: []const u8) void {
        const hex = "0123456789abcdef";
        buffer.add("\"");
        for (text) |c| switch (c) {
            '"', '\\' => buffer.add(&[_]u8{ '\\', c }),
            0...0x1f => buffer.add(&[_]u8{ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }),
            else => buffer.add(&[_]u8{c}),
        };
        buffer.add("\"");
    }
};

fn allocate(len: usize) [*]u8 {
    return malloc(@max(len, 1)) orelse @panic("out of memory");
}

/** Why a body can't be read, in words that go on after "the body": it "isn't JSON". The body itself is left out. */
export class Unreadable extends Error {}

/**
 * Reads JSON. Bytes that aren't UTF-8 become U+FFFD, and a byte order mark is left out. Throws `Unreadable` for what isn't
 * JSON, and for what nests deeper than so many levels (64): engines read JSON by recursion, and the stack has an end.
 */
export function parse(body: Uint8Array | string, limits?: { deepest?: number }): unknown;

/**
 * An id or an address as text: platforms write numbers for them, and texts, and change their mind. A whole number that
 * JavaScript doesn't round is its digits. A blank text and anything else name nobody: undefined.
 */
export function id(value: unknown): string | undefined;
/** A text, in which half of a surrogate pair, which JSON can say and UTF-8 can't, becomes U+FFFD; undefined for anything else. */
export function text(value: unknown): string | undefined;
/** A finite number; undefined for anything else. */
export function number(value: unknown): number | undefined;
/** An object, which a list isn't; undefined for anything else. */
export function object(value: unknown): Record<string, unknown> | undefined;
/** A list; an empty one for anything else. */
export function list(value: unknown): unknown[];

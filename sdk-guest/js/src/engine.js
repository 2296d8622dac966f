// What differs between the engines that a plugin runs on: StarlingMonkey, which knows the web's interfaces, and QuickJS,
// which is smaller and doesn't.

const native = globalThis.TextEncoder ? BigInt : Number;

/** A whole number of 64 bits, as the engine's bindings have it: a BigInt on StarlingMonkey, a number on QuickJS. */
export function u64(value) {
  return native(typeof value === 'number' ? Math.max(0, Math.ceil(value)) : value);
}

/** Whether an optional value isn't there: undefined on StarlingMonkey, null on QuickJS. */
export function isNone(value) {
  return value === undefined || value === null;
}

globalThis.TextEncoder ??= class TextEncoder {
  encode(text = '') {
    const units = unescape(encodeURIComponent(String(text).toWellFormed()));
    const bytes = new Uint8Array(units.length);
    for (let at = 0; at < units.length; at += 1) bytes[at] = units.charCodeAt(at);
    return bytes;
  }
};

globalThis.TextDecoder ??= class TextDecoder {
  decode(bytes = new Uint8Array()) {
    let units = '';
    for (let at = 0; at < bytes.length; at += 8192) {
      units += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192));
    }
    try {
      return decodeURIComponent(escape(units)).replace(/^\uFEFF/, '');
    } catch {
      // It isn't UTF-8 throughout: what isn't becomes U+FFFD.
      return units.replace(SEQUENCE, decoded);
    }
  }
};

// Whole sequences; else a byte that isn't ASCII.
const SEQUENCE =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|[\x80-\xff]/g;

function decoded(sequence) {
  return sequence.length > 1 ? decodeURIComponent(escape(sequence)) : '\uFFFD';
}

// What people wrote, made fit for a platform: escaped, cut, split.

/** What a text that was cut ends with, so that nobody thinks that it is the whole. */
const MARK = '… [cut]';
const ODD = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export function clean(text) {
  return text.toWellFormed().replace(ODD, '\ufffd');
}

export function escapeHtml(text) {
  return clean(text).replace(/[&<>"']/g, (sign) => ENTITIES[sign]);
}

export function cut(text, most) {
  const signs = Array.from(clean(text));
  if (signs.length <= most) return signs.join('');
  const left = most - MARK.length;
  return left > 0 ? signs.slice(0, left).join('').trimEnd() + MARK : signs.slice(0, most).join('');
}

export function split(text, most) {
  const signs = Array.from(clean(text));
  const limit = Math.max(1, most);
  const pieces = [];
  let begin = 0;
  while (signs.length - begin > limit) {
    // What follows the piece may be the line end, so it is looked at too.
    const last = (wanted) => signs.slice(begin, begin + limit + 1).lastIndexOf(wanted);
    const place = [last('\n'), last(' ')].find((it) => it > 0);
    pieces.push(signs.slice(begin, begin + (place ?? limit)).join(''));
    begin += place === undefined ? limit : place + 1;
  }
  if (begin < signs.length || pieces.length === 0) pieces.push(signs.slice(begin).join(''));
  return pieces;
}

// Requests in, events out, and what it takes to tell a genuine request from a forged one.

import { hmacVerify } from 'sidenote:plugin/crypto@0.1.0';

import './engine.js';
import { object, parse } from './values.js';

/** What tells whose a conversation is: how the host calls it, and the field of a turn. */
const IDENTITIES = [
  ['session-id', 'sessionId'],
  ['external-user-id', 'externalUserId'],
  ['email', 'email'],
];

export function rejection(status, code, message) {
  return { status, code, message };
}

const unverified = (message) => rejection(401, 'signature', message);

export function singleHeader({ headers }, name) {
  const values = headers.filter(([key]) => key.toLowerCase() === name.toLowerCase());
  if (values.length > 1) throw unverified(`the header ${name} is there twice`);
  return values[0]?.[1];
}

export function requiredHeader(request, name) {
  const value = singleHeader(request, name);
  if (value === undefined) throw unverified(`the header ${name} is missing`);
  return value;
}

export function verify(request, { header, secret, prefix = '', hash = 'sha256', encoding = 'hex', data }) {
  const value = requiredHeader(request, header);
  let genuine;
  try {
    const signature = value.slice(prefix.length);
    genuine = value.startsWith(prefix) && hmacVerify(secret, hash, encoding, data ?? request.body, signature);
  } catch (error) {
    // The operator gave no such secret: nothing can be verified.
    throw rejection(503, 'secret', String(error.payload ?? error));
  }
  if (!genuine) throw unverified(`the signature doesn't fit the body and the secret \`${secret}\``);
}

export function bytes(...parts) {
  const all = parts.map((part) => (typeof part === 'string' ? new TextEncoder().encode(part) : part));
  const joined = new Uint8Array(all.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of all) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function checkAge(seconds, { within = 300, now = Date.now() } = {}) {
  const isTime = typeof seconds === 'number' || /^\d{1,15}$/.test(seconds);
  const age = isTime ? Math.abs(Number(seconds) - Math.floor(now / 1000)) : NaN;
  if (!(age <= within)) {
    throw rejection(401, 'timestamp', `the timestamp is more than ${within} seconds from this host's clock`);
  }
}

export function readJson(request) {
  let body;
  try {
    body = object(parse(request.body));
  } catch (error) {
    throw rejection(400, 'body', `the body ${error.message}`);
  }
  if (body === undefined) throw rejection(400, 'body', "the body isn't a JSON object");
  return body;
}

export function turn(conversationId, about = {}) {
  if (conversationId === undefined) throw rejection(400, 'body', 'the conversation is missing');
  const { sessionId, externalUserId, email, productId, text, verified = [] } = about;
  const names = IDENTITIES.filter(([name, field]) => verified.includes(name) && about[field] !== undefined);
  const said = [
    ['verified', names.map(([name]) => name).join(' ')],
    ['author', about.author],
    ['happened', about.happened],
    ['option-id', about.optionId],
    ['message-id', about.messageId],
  ];
  const extras = said.filter(([, value]) => value !== undefined && value !== '');
  return { conversationId, sessionId, externalUserId, email, productId, text, extras };
}

export const opened = (turn) => ({ tag: 'opened', val: turn });
export const replied = (turn) => ({ tag: 'replied', val: turn });
export const ignored = () => ({ tag: 'ignored' });

export function challenge(body, { status = 200, contentType = 'text/plain' } = {}) {
  return { tag: 'challenge', val: { status, contentType, body: bytes(body) } };
}

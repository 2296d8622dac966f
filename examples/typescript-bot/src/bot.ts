// Notes as JSON posts to a bot of yours, and the bot's signed webhook.
//
// What is exported here is what the plugin can do: `writer` posts notes, `webhook` reads what comes in.
// The types are made of the interface in `wit/` (`npm run types`); a thrown failure or rejection is its
// error.

import { get } from 'sidenote:plugin/config@0.1.0';
import { hmacVerify } from 'sidenote:plugin/crypto@0.1.0';
import { send } from 'sidenote:plugin/http@0.1.0';
import type { Error as NoResponse, Request, Response } from 'sidenote:plugin/http@0.1.0';
import { write } from 'sidenote:plugin/log@0.1.0';
import type { Event, Rejection, Request as Incoming, Turn } from 'sidenote:plugin/webhook@0.1.0';
import type { Call, Note, Posted } from 'sidenote:plugin/writer@0.1.0';

import { failure, fromError, fromStatus } from './failure.js';

/** The header of the webhook's signature: `sha256=` and the hex HMAC of the raw body. */
const SIGNATURE = 'x-bot-signature';
/** The secret that the bot signs with. */
const SECRET = 'incoming';
/** The fields that tell whose a conversation is, and what the host calls them. */
const FIELDS: [string, string][] = [
  ['session', 'session-id'],
  ['user', 'external-user-id'],
  ['email', 'email'],
];

export const writer = {
  postNote(call: Call, note: Note): Posted {
    const url = get('url');
    if (!url) throw failure('invalid', 'config', '`url` is missing in the configuration', 'not-sent');
    const response = exchange({
      method: 'POST',
      url,
      headers: [
        ['content-type', 'application/json'],
        // The host puts the secret in its place, for hosts that it is granted to.
        ['authorization', 'Bearer {{secret:token}}'],
      ],
      body: new TextEncoder().encode(
        JSON.stringify({ conversation: note.conversationId, text: note.body, key: call.idempotencyKey }),
      ),
      // The text holds what people typed: a placeholder in it stays text.
      secretsInBody: false,
    });
    if (response.status < 200 || response.status > 299) throw fromStatus(response);
    write('debug', 'posted', [['status', String(response.status)]]);
    return { noteId: idIn(response.body), extras: [] };
  },
};

export const webhook = {
  receive(request: Incoming): Event[] {
    if (request.method !== 'POST') throw rejection(405, 'method', 'only POST is accepted');
    verify(request);
    const body = parsed(request.body);
    switch (text(body, 'event')) {
      case 'opened':
        return [{ tag: 'opened', val: turn(body) }];
      case 'replied':
        return [{ tag: 'replied', val: turn(body) }];
      default:
        return [{ tag: 'ignored' }];
    }
  },
};

/** One request, one response. The host decides about trying again. */
function exchange(request: Request): Response {
  try {
    return send(request);
  } catch (error) {
    throw fromError(payload(error) as NoResponse);
  }
}

/** What the bot calls the note. It has the note also where it doesn't say, so nothing here fails. */
function idIn(body: Uint8Array): string | undefined {
  try {
    const { id } = JSON.parse(new TextDecoder().decode(body)) as { id?: unknown };
    return typeof id === 'string' || typeof id === 'number' ? String(id) || undefined : undefined;
  } catch {
    return undefined;
  }
}

/** Refuses a request that the bot didn't sign. Nothing of it means anything before. */
function verify({ headers, body }: Incoming): void {
  const values = headers.filter(([name]) => name.toLowerCase() === SIGNATURE);
  const value = values[0]?.[1];
  if (value === undefined || values.length > 1) {
    throw rejection(401, 'signature', `the header ${SIGNATURE} is missing, or there twice`);
  }
  const [scheme, hex] = value.split('=', 2);
  let genuine: boolean;
  try {
    genuine = scheme === 'sha256' && hmacVerify(SECRET, 'sha256', 'hex', body, hex ?? '');
  } catch (error) {
    // The operator gave no such secret: nothing can be verified.
    throw rejection(503, 'secret', String(payload(error)));
  }
  if (!genuine) {
    throw rejection(401, 'signature', `the signature doesn't fit the body and the secret \`${SECRET}\``);
  }
}

function parsed(bytes: Uint8Array): Record<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw rejection(400, 'body', "the body isn't JSON");
  }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw rejection(400, 'body', "the body isn't a JSON object");
  }
  return body as Record<string, unknown>;
}

function turn(body: Record<string, unknown>): Turn {
  const conversationId = text(body, 'conversation');
  if (conversationId === undefined) throw rejection(400, 'body', '`conversation` is missing');
  return {
    conversationId,
    sessionId: text(body, 'session'),
    externalUserId: text(body, 'user'),
    email: text(body, 'email'),
    productId: text(body, 'product'),
    text: text(body, 'text'),
    extras: vouched(body),
  };
}

/** A text of the body, or a whole number as text. A blank one, or anything else, says as little as none. */
function text(body: Record<string, unknown>, name: string): string | undefined {
  const value = body[name];
  if (Number.isSafeInteger(value)) return String(value);
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  // Half of a surrogate pair, which JSON can say and UTF-8 can't, becomes U+FFFD.
  return new TextDecoder().decode(new TextEncoder().encode(value));
}

/**
 * Which of what it says of the person the bot vouches for. It is yours and signs, so all of it, unless the body says
 * `"verified": false`, or lists the fields. What isn't vouched for links nothing by itself.
 */
function vouched(body: Record<string, unknown>): [string, string][] {
  const { verified } = body;
  const names = FIELDS.filter(([field]) => {
    const yes = verified === undefined || verified === null || verified === true;
    return (yes || (Array.isArray(verified) && verified.includes(field))) && text(body, field) !== undefined;
  }).map(([, name]) => name);
  return names.length > 0 ? [['verified', names.join(' ')]] : [];
}

function rejection(status: number, code: string, message: string): Rejection {
  return { status, code, message };
}

/** What an import failed with. */
function payload(error: unknown): unknown {
  return (error as { payload?: unknown }).payload ?? error;
}

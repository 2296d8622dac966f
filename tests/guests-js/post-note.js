// Posts a note with the language's own `fetch`, so through `wasi:http`, to the url in its configuration.
//
// A body of `loop` makes it loop for ever instead.

import { get } from 'sidenote:plugin/config@0.1.0';

const SECOND_MS = 1_000;

export const writer = {
  async postNote(call, note) {
    if (note.body === 'loop') for (;;);
    const response = await post(get('url'), call.idempotencyKey, note.body);
    // Read it even where it doesn't matter: what lies unread takes room from the responses to come.
    const text = await response.text().catch(() => '');
    if (response.ok) return { noteId: idIn(text), extras: [] };
    throw refused(response);
  },
};

async function post(url, key, body) {
  try {
    return await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        // The host puts the secret in its place; this code never sees it.
        authorization: 'Bearer {{secret:token}}',
      },
      body: JSON.stringify({ body, idempotency_key: key }),
    });
  } catch (error) {
    // `fetch` doesn't say whether anything was sent, nor why not: that is in the host's log.
    throw failure('transient', 'fetch', String(error), 'unknown');
  }
}

/** The platform's name of the note. It has the note also where it doesn't say. */
function idIn(text) {
  try {
    return String(JSON.parse(text).id ?? '') || undefined;
  } catch {
    return undefined;
  }
}

/** What the platform's refusal means for the host. */
function refused({ status, headers }) {
  const code = String(status);
  const message = `the platform answered ${status}`;
  if (status === 429) {
    const seconds = Number(headers.get('retry-after'));
    const wait = seconds > 0 ? BigInt(Math.ceil(seconds * SECOND_MS)) : undefined;
    return failure('rate-limited', code, message, 'sent', wait);
  }
  // A platform in trouble may have taken the note before it fell over.
  if (status >= 500) return failure('transient', code, message, 'unknown');
  return failure('permanent', code, message, 'sent');
}

function failure(kind, code, message, sent, retryAfterMs) {
  return { kind, code, message, retryAfterMs, sent, extras: [] };
}

// Notes as JSON posts to a bot of yours, and the bot's signed webhook.
//
// What is exported here is what the plugin can do: `writer` posts notes, `webhook` reads what comes in.
// Values are those of the interface in `wit/`, in camelCase; a thrown failure or rejection is its error.

import { write } from 'sidenote:plugin/log@0.1.0';

import { required } from '@sidenote/plugin/config';
import { posted } from '@sidenote/plugin/failure';
import { exchange, secret, throwForStatus } from '@sidenote/plugin/http';
import { id, object, parse } from '@sidenote/plugin/values';
import { ignored, opened, readJson, rejection, replied, turn, verify } from '@sidenote/plugin/webhook';

/** How the bot signs: the hex HMAC of the raw body, under the secret `incoming`. */
const SIGNATURE = { header: 'x-bot-signature', prefix: 'sha256=', secret: 'incoming' };
/** The fields that tell whose a conversation is, and what the host calls them. */
const FIELDS = [
  ['session', 'session-id'],
  ['user', 'external-user-id'],
  ['email', 'email'],
];

export const writer = {
  postNote(call, note) {
    const response = exchange({
      url: required('url'),
      // The host puts the secret in its place, for hosts that it is granted to.
      headers: [['authorization', `Bearer ${secret('token')}`]],
      json: { conversation: note.conversationId, text: note.body, key: call.idempotencyKey },
    });
    throwForStatus(response);
    write('debug', 'posted', [['status', String(response.status)]]);
    return posted(idIn(response.body));
  },
};

export const webhook = {
  receive(request) {
    if (request.method !== 'POST') throw rejection(405, 'method', 'only POST is accepted');
    // Nothing of the request means anything before.
    verify(request, SIGNATURE);
    const body = readJson(request);
    switch (body.event) {
      case 'opened':
        return [opened(told(body))];
      case 'replied':
        return [replied(told(body))];
      default:
        return [ignored()];
    }
  },
};

/** What the bot calls the note. It has the note also where it doesn't say, so nothing here fails. */
function idIn(answer) {
  try {
    return id(object(parse(answer))?.id);
  } catch {
    return undefined;
  }
}

/** A turn of what the bot tells. */
function told(body) {
  return turn(id(body.conversation), {
    sessionId: id(body.session),
    externalUserId: id(body.user),
    email: id(body.email),
    productId: id(body.product),
    text: id(body.text),
    verified: vouched(body),
  });
}

/**
 * Which of what it says of the person the bot vouches for. It is yours and signs, so all of it, unless the body says
 * `"verified": false`, or lists the fields. What isn't vouched for links nothing by itself.
 */
function vouched({ verified = true }) {
  const isVouched = ([field]) => verified === true || verified === null || (Array.isArray(verified) && verified.includes(field));
  return FIELDS.filter(isVouched).map(([, name]) => name);
}

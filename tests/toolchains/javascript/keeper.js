// A writer that remembers between calls and is called later: `kv` and `timer` as the package for JavaScript has them.

import { required } from '@sidenote/plugin/config';
import { permanent, posted } from '@sidenote/plugin/failure';
import { exchange, secret, throwForStatus } from '@sidenote/plugin/http';
import * as kv from '@sidenote/plugin/kv';
import * as timer from '@sidenote/plugin/timer';
import { id, parse } from '@sidenote/plugin/values';

function post(call, json) {
  const headers = [['authorization', `Bearer ${secret('token')}`]];
  return throwForStatus(exchange({ url: required('url'), headers, json: { ...json, key: call.idempotencyKey } }));
}

/** The platform has the note also where it doesn't say what it calls it. */
function idIn(body) {
  try {
    return id(parse(body)?.id);
  } catch {
    return undefined;
  }
}

export const writer = {
  postNote(call, note) {
    const count = kv.getJson('session', 'notes')?.count ?? 0;
    const { body } = post(call, { conversation: note.conversationId, text: `${count} before\n${note.body}` });
    kv.setJson('session', 'notes', { count: count + 1 });
    timer.set('quiet', { afterMs: 1_000 }, note.conversationId);
    // What was just written is there for the call itself.
    const [keys, timers] = [kv.listKeys('session').keys, timer.listTimers()];
    if (keys.join() !== 'notes' || timers.length !== 1) throw permanent('kept', `${keys}, ${timers.length} timers`);
    return posted(idIn(body));
  },
};

export const onTimer = {
  wake(call, { payload }) {
    const conversation = new TextDecoder().decode(payload);
    post(call, { conversation, text: `quiet since ${kv.getJson('session', 'notes')?.count} notes` });
  },
};

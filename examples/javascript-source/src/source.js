// A Sidenote plugin that brings what people do: a shop posts lists of what happened to `/sources/NAME/orders`.

import { setting } from '@sidenote/plugin/config';
import { event, page, received, rejection, response } from '@sidenote/plugin/source';
import { id, number, object, parse, text } from '@sidenote/plugin/values';

/** A body that nests deeper is refused: engines read JSON by recursion, and the stack has an end. */
const DEEPEST = 32;

export const source = {
  receive(request) {
    if (request.path !== '/orders') throw rejection('not-found', 'events go to /orders');
    if (request.method !== 'POST') throw rejection('method', 'post a list of events');
    const list = parsed(request.body);
    const events = list.map(read).filter((it) => it !== undefined && isTold(it));
    // What was left out is said, and the rest is accepted: a sender that is refused sends all of it again, or nothing.
    const ignored = [{ reason: 'no event of a customer', count: list.length - events.length }];
    return received(response({ accepted: events.length }), { events, ignored });
  },

  // A shop that posts isn't asked.
  poll: () => page(),
};

function parsed(body) {
  let list;
  try {
    list = parse(body, { deepest: DEEPEST });
  } catch (error) {
    throw rejection('malformed', `the body ${error.message}`);
  }
  if (!Array.isArray(list)) throw rejection('malformed', "the body isn't a list");
  return list;
}

/** An event of the shop; undefined where it is none, or nobody's. */
function read(value) {
  const entry = object(value) ?? {};
  const [name, customer] = [text(entry.event), id(entry.customer)];
  if (!name || customer === undefined) return undefined;
  const isVisit = name === 'visited';
  return event(isVisit ? 'page' : 'custom', isVisit ? '' : name, {
    // The shop numbers its events: one that is sent again counts once.
    id: id(entry.number) ?? '',
    identity: { userId: customer },
    at: number(entry.at),
    url: text(entry.page) ?? '',
    properties: { amount: entry.amount ?? null },
  });
}

/** Whether the operator wants it told. */
function isTold({ kind }) {
  return kind !== 'page' || setting('visits') !== 'false';
}

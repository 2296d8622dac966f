// A Sidenote plugin that brings what people do: a shop posts lists of what happened to `/sources/NAME/orders`.

import { get } from 'sidenote:plugin/config@0.1.0';

import './engine.js';

/** A body that nests deeper is refused: engines read JSON by recursion, and the stack has an end. */
const DEPTH = 32;

export const source = {
  receive(request) {
    if (request.path !== '/orders') throw rejection('not-found', 'events go to /orders');
    if (request.method !== 'POST') throw rejection('method', 'post a list of events');
    const list = parsed(request.body);
    const events = list.map(event).filter((it) => it !== undefined && isTold(it));
    // What was left out is said, and the rest is accepted: a sender that is refused sends all of it again, or nothing.
    const leftOut = list.length - events.length;
    return {
      key: undefined,
      keyless: false,
      batches: events.length > 0 ? [{ productId: undefined, events, merges: [], extras: [] }] : [],
      ignored: leftOut > 0 ? [{ reason: 'no event of a customer', count: leftOut }] : [],
      response: {
        status: 200,
        headers: [['content-type', 'application/json']],
        body: new TextEncoder().encode(JSON.stringify({ accepted: events.length })),
      },
      extras: [],
    };
  },

  // A shop that posts isn't asked.
  poll: () => ({ batches: [], cursor: undefined, more: false, ignored: [], extras: [] }),
};

function parsed(bytes) {
  const body = new TextDecoder().decode(bytes);
  if (isDeep(body)) throw rejection('malformed', `the body nests deeper than ${DEPTH}`);
  let list;
  try {
    list = JSON.parse(body);
  } catch {
    throw rejection('malformed', 'the body is no JSON');
  }
  if (!Array.isArray(list)) throw rejection('malformed', 'the body is no list');
  return list;
}

/** Whether a text in JSON nests too deep. */
function isDeep(body) {
  let [depth, isQuoted] = [0, false];
  for (const [sign] of body.matchAll(/\\.|["[\]{}]/gs)) {
    if (sign === '"') isQuoted = !isQuoted;
    else if (!isQuoted && (sign === '[' || sign === '{')) depth += 1;
    else if (!isQuoted && (sign === ']' || sign === '}')) depth -= 1;
    if (depth > DEPTH) return true;
  }
  return false;
}

/** An event of the shop; undefined where it is none, or nobody's. */
function event(value) {
  const [name, customer] = [text(value?.event), id(value?.customer)];
  if (name === '' || customer === '') return undefined;
  const isVisit = name === 'visited';
  return {
    // The shop numbers its events: one that is sent again counts once.
    id: id(value.number),
    kind: isVisit ? 'page' : 'custom',
    name: isVisit ? '' : name,
    identity: {
      sessionId: undefined,
      anonymousId: undefined,
      userId: customer,
      email: undefined,
      extras: [],
    },
    at: typeof value.at === 'number' ? value.at : undefined,
    title: '',
    description: '',
    url: text(value.page),
    pageTitle: '',
    elements: [],
    properties: JSON.stringify({ amount: value.amount ?? null }),
    extras: [],
  };
}

/** Whether the operator wants it told. */
function isTold({ kind }) {
  return kind !== 'page' || get('visits') !== 'false';
}

/** A text, in which half of a surrogate pair becomes U+FFFD; empty for anything else. */
function text(value) {
  return typeof value === 'string' ? value.toWellFormed() : '';
}

/** An id: a text, or a whole number that JavaScript doesn't round; empty for anything else. */
function id(value) {
  return Number.isSafeInteger(value) ? String(value) : text(value).trim();
}

function rejection(kind, message) {
  return { kind, message };
}

// What people do, as a tool or a product's own code tells it.

import './engine.js';

export function rejection(kind, message) {
  return { kind, message };
}

export function event(kind, name, about = {}) {
  const { identity, properties, ...more } = about;
  return {
    id: '',
    kind,
    name,
    identity: { sessionId: undefined, anonymousId: undefined, userId: undefined, email: undefined, extras: [], ...identity },
    at: undefined,
    title: '',
    description: '',
    url: '',
    pageTitle: '',
    elements: [],
    properties: properties === undefined ? '' : JSON.stringify(properties),
    extras: [],
    ...more,
  };
}

export function response(value, status = 200) {
  const body = new TextEncoder().encode(JSON.stringify(value));
  return { status, headers: [['content-type', 'application/json']], body };
}

export function received(answer, { events = [], merges = [], ignored = [], productId, key, keyless = false } = {}) {
  const batch = { productId, events, merges, extras: [] };
  return {
    key,
    keyless,
    batches: events.length + merges.length > 0 ? [batch] : [],
    ignored: ignored.filter(({ count }) => count > 0),
    response: answer,
    extras: [],
  };
}

export function page({ batches = [], cursor, more = false, ignored = [] } = {}) {
  return { batches, cursor, more, ignored, extras: [] };
}

// A host in memory: what the plugin imports from `sidenote:plugin`, and what a test sets and sees of it.

import { createHmac } from 'node:crypto';

export const host = {
  config: {},
  secrets: {},
  /** What `send` answers, in order: a response, or an error as `{ payload }`. */
  answers: [],
  /** What was sent. */
  requests: [],
};

export function reset(settings) {
  Object.assign(host, { config: {}, secrets: {}, answers: [], requests: [] }, settings);
}

export function signature(secret, body) {
  return createHmac('sha256', secret).update(body).digest('hex');
}

export const get = (key) => host.config[key];
export const write = () => {};

export function send(request) {
  host.requests.push(request);
  const answer = host.answers.shift();
  if (!answer || 'payload' in answer) throw answer ?? new Error('the test has no answer left');
  return answer;
}

export function hmacVerify(secret, _hash, _encoding, data, given) {
  const key = host.secrets[secret];
  if (key === undefined) throw { payload: `no secret \`${secret}\`` };
  return signature(key, data) === given.toLowerCase();
}

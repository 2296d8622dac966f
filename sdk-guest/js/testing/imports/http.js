import { host } from '../index.js';

export function send(request) {
  host.requests.push(request);
  const answer = host.answers.shift();
  if (!answer || 'payload' in answer) throw answer ?? new Error('the test has no answer left');
  return answer;
}

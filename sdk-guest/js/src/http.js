// One request, one response, through the host's door to the network.

import { send } from 'sidenote:plugin/http@0.1.0';

import './engine.js';
import { fromError, fromStatus } from './failure.js';

export function exchange({ method, url, headers = [], body, json, secretsInBody = false, timeoutMs }) {
  const isJson = json !== undefined;
  const content = isJson ? JSON.stringify(json) : (body ?? '');
  const request = {
    method: method ?? (isJson || body !== undefined ? 'POST' : 'GET'),
    url,
    headers: isJson ? [['content-type', 'application/json'], ...headers] : headers,
    body: typeof content === 'string' ? new TextEncoder().encode(content) : content,
    secretsInBody,
    timeoutMs,
  };
  try {
    return send(request);
  } catch (error) {
    throw fromError(error);
  }
}

export function throwForStatus(response) {
  if (response.status < 200 || response.status > 299) throw fromStatus(response);
  return response;
}

export function secret(name) {
  return `{{secret:${name}}}`;
}

export function header({ headers }, name) {
  return headers.find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
}

export function isTruncated(response) {
  return header(response, 'x-sidenote-truncated') !== undefined;
}

export function encode(text) {
  const escape = (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`;
  const encoded = encodeURIComponent(text.toWellFormed()).replace(/[!'()*]/g, escape);
  // A segment of dots leads elsewhere, `%2E` too. Encoded twice it names something that isn't there.
  return encoded === '.' || encoded === '..' ? encoded.replaceAll('.', '%252E') : encoded;
}

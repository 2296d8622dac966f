import { error, host, signature } from '../index.js';

export function hmacSign(secret, hash, encoding, data) {
  const key = host.secrets[secret];
  if (!key) throw error(`no secret \`${secret}\``);
  return signature(key, data, { hash, encoding });
}

export function hmacVerify(secret, hash, encoding, data, given) {
  const wanted = hmacSign(secret, hash, encoding, data);
  return wanted === (encoding === 'hex' ? given.toLowerCase() : given);
}

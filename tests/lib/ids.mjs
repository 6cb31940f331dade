/** Ids as clients make them: a prefix, and a ULID (time first, so that they sort). */
import crypto from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A new id, e.g. `newId('ses')`. */
export function newId(prefix) {
  let time = '';
  for (let rest = Date.now(), n = 0; n < 10; n += 1, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time;
  const random = [...crypto.randomBytes(16)].map((byte) => ALPHABET[byte % 32]).join('');
  return `${prefix}_${time}${random}`;
}

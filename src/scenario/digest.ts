/** Short checksums in letters and digits, for links: against damage and cutting, not against malice. FNV-1a, 32 bits. */
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** The last `length` digits in base 62 of a number. */
export function base62(value: number, length: number): string {
  let text = '';
  let rest = value;
  for (let digit = 0; digit < length; digit += 1) {
    text = (ALPHABET[rest % 62] ?? '0') + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

/** The number that base 62 digits mean, or undefined. */
export function fromBase62(text: string): number | undefined {
  let value = 0;
  for (const digit of text) {
    const at = ALPHABET.indexOf(digit);
    if (at < 0) return undefined;
    value = value * 62 + at;
  }
  return value;
}

/** A checksum of `length` letters and digits; at most six carry anything. */
export function digest(text: string, length: number): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >> 8), 0x01000193);
  }
  // The high bits of FNV are the better mixed ones.
  hash ^= hash >>> 15;
  return base62(hash >>> 0, length);
}

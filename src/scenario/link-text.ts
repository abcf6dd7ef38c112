/**
 * A scenario's text as the payload of a link, version 1: three digits (base 62) that say how long the body is, the
 * body (words of a frozen list as one or two bytes, then raw deflate by the platform, in base64url), and six digits of
 * checksum. It ends in a letter or digit, so that no mail program cuts it.
 *
 * Reading trusts nothing: size is bounded while unpacking, and of a damaged payload the text that can still be read is
 * given beside what is wrong.
 */
import { BOUNDS } from '../core/bounds.ts';
import { base62, digest, fromBase62 } from './digest.ts';
import { LINK_WORDS_1 } from './link-words.ts';
import { decodeUtf8, deflate, encodeUtf8, fromBase64Url, inflate, toBase64Url } from './platform.ts';

export type Unpacked =
  | { readonly kind: 'ok'; readonly text: string }
  /** What is wrong, as a sentence; `text` is what could still be read, where that is anything. */
  | { readonly kind: 'trouble'; readonly sentence: string; readonly text?: string };

const LENGTH_DIGITS = 3;
const CHECK_DIGITS = 6;
/** Marks that the next byte stands for itself. */
const ESCAPE = 0;
/** Words 0..127 are one byte from here up; the next 256 are a lead byte, 1 or 2, and one byte from here up. */
const FIRST_WORD = 0x80;
const LEADS = 2;
const WORDS_A_LEAD = 128;

export async function packText(text: string): Promise<string> {
  const body = toBase64Url((await deflate(replaceWords(text))).bytes);
  return base62(body.length, LENGTH_DIGITS) + body + digest(body, CHECK_DIGITS);
}

export async function unpackText(payload: string): Promise<Unpacked> {
  const said = fromBase62(payload.slice(0, LENGTH_DIGITS));
  const whole = (said ?? 0) + LENGTH_DIGITS + CHECK_DIGITS;
  const damaged = said === undefined || payload.length > whole || !/^[A-Za-z0-9_-]+$/.test(payload);
  const cut = !damaged && payload.length < whole;
  const body = payload.slice(LENGTH_DIGITS, damaged ? undefined : LENGTH_DIGITS + said);
  const check = payload.slice(LENGTH_DIGITS + (said ?? 0));
  const { bytes, trouble } = await inflate(fromBase64Url(body), BOUNDS.linkUnpackedBytes);
  const text = restoreWords(bytes);
  const partly = text.length > 0 ? { text } : {};
  if (cut) {
    const sentence = `The link is cut off: ${String(payload.length)} of ${String(whole)} characters of its text arrived.`;
    return { kind: 'trouble', sentence, ...partly };
  }
  if (trouble === 'too large' || text.length > BOUNDS.linkUnpackedBytes) {
    const sentence = `The link unpacks to more than ${String(BOUNDS.linkUnpackedBytes)} characters, which is the bound.`;
    return { kind: 'trouble', sentence };
  }
  if (damaged || check !== digest(body, CHECK_DIGITS) || trouble !== undefined)
    return {
      kind: 'trouble',
      sentence: 'The link is damaged: its text does not fit its checksum.',
      ...partly,
    };
  return { kind: 'ok', text };
}

/** Words of the list become single bytes, longest first; other bytes that look like one are marked by an escape. */
function replaceWords(text: string): Uint8Array {
  const bytes: number[] = [];
  for (let at = 0; at < text.length;) {
    const word = longestWordAt(text, at);
    if (word !== undefined) {
      if (word >= WORDS_A_LEAD) bytes.push(Math.floor(word / WORDS_A_LEAD));
      bytes.push(FIRST_WORD + (word % WORDS_A_LEAD));
      at += (LINK_WORDS_1[word] as string).length;
      continue;
    }
    const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
    for (const byte of encodeUtf8(character)) {
      if (byte <= LEADS || byte >= FIRST_WORD) bytes.push(ESCAPE);
      bytes.push(byte);
    }
    at += character.length;
  }
  return Uint8Array.from(bytes);
}

/** Places in the list by first letter, longest first. */
const BY_LETTER: ReadonlyMap<string, readonly number[]> = (() => {
  const letters = new Map<string, number[]>();
  const longestFirst = LINK_WORDS_1.map((_word, index) => index).sort(
    (a, b) => (LINK_WORDS_1[b] ?? '').length - (LINK_WORDS_1[a] ?? '').length,
  );
  for (const index of longestFirst) {
    const letter = LINK_WORDS_1[index]?.[0] ?? '';
    letters.set(letter, [...(letters.get(letter) ?? []), index]);
  }
  return letters;
})();

const longestWordAt = (text: string, at: number): number | undefined =>
  BY_LETTER.get(text[at] ?? '')?.find((index) => text.startsWith(LINK_WORDS_1[index] ?? '', at));

/** The inverse; stops a little past the bound. */
function restoreWords(bytes: Uint8Array): string {
  let text = '';
  let run: number[] = [];
  const flush = (): void => {
    text += decodeUtf8(Uint8Array.from(run));
    run = [];
  };
  for (let at = 0; at < bytes.length && text.length <= BOUNDS.linkUnpackedBytes; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === ESCAPE) {
      at += 1;
      if (at < bytes.length) run.push(bytes[at] ?? 0);
    } else if (byte > LEADS && byte < FIRST_WORD) run.push(byte);
    else {
      const lead = byte <= LEADS ? byte : 0;
      if (lead > 0) at += 1;
      flush();
      text += LINK_WORDS_1[lead * WORDS_A_LEAD + (bytes[at] ?? 0) - FIRST_WORD] ?? '';
    }
  }
  flush();
  return text;
}

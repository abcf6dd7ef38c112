/**
 * Links: inputs, never state. `#/s/<id>?at=<operation>.<step in it>&<setting>=<value>`, with only the settings that
 * differ from the scenario's own. What cannot be understood is said in sentences, never silently replaced.
 */
import { settingAccepts, settingOf } from '../core/settings.ts';
import type { SettingChoices } from './ast.ts';

export interface Place {
  /** `3`, or `g2` for the second operation of `given`; `0` is the beginning. */
  readonly operation: string;
  readonly step: number;
}

export interface CatalogueLink {
  readonly id: string;
  readonly at?: Place;
  readonly settings: SettingChoices;
}

export type ParsedLink =
  | { readonly kind: 'none' }
  | ({ readonly kind: 'catalogue' } & CatalogueLink)
  | { readonly kind: 'problems'; readonly sentences: readonly string[] };

/** From `#` on; at most 80 characters for the settings of one machine. */
export function formatLink({ id, at, settings }: CatalogueLink): string {
  const parts = [
    ...(at === undefined ? [] : [`at=${at.operation}.${String(at.step)}`]),
    ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
  ];
  return `#/s/${id}${parts.length === 0 ? '' : `?${parts.join('&')}`}`;
}

const LONGEST = 2048;

/** Understands a hash, tolerating one percent-decoding too many and what mail programs leave around a link. */
export function parseLink(hash: string): ParsedLink {
  if (hash.length > LONGEST)
    return problems('The link is longer than any link made here. It was probably pasted twice.');
  const text = trimPasted(decodeOnce(hash));
  if (text === '' || text === '#' || text === '#/') return { kind: 'none' };
  if (text.startsWith('#/x/'))
    return problems('Links that carry a text of their own are not in this version yet.');
  const match = /^#\/s\/([a-z0-9-]+)(?:\?(.*))?$/.exec(text);
  if (match === null)
    return problems(
      `This is no link of mmuscope: ${shorten(text)}. A link looks like #/s/three-exits?at=1.5.`,
    );
  return readParameters(match[1] ?? '', match[2]);
}

function readParameters(id: string, query: string | undefined): ParsedLink {
  const sentences: string[] = [];
  const settings: Record<string, string> = {};
  let at: Place | undefined;
  for (const part of query === undefined ? [] : query.split('&')) {
    const [name = '', value, ...more] = part.split('=');
    const setting = settingOf(name);
    if (value === undefined || value === '' || more.length > 0)
      sentences.push(`The link is cut off or damaged at "${shorten(part)}".`);
    else if (name === 'at') {
      const place = /^(g?[0-9]{1,5})\.([0-9]{1,7})$/.exec(value);
      if (place === null)
        sentences.push(`The link's step "${shorten(value)}" is damaged: it looks like at=1.5.`);
      else at = { operation: place[1] ?? '0', step: Number(place[2]) };
    } else if (setting === undefined)
      sentences.push(`The link asks for "${shorten(name)}", which this version does not know.`);
    else if (!settingAccepts(setting, value))
      sentences.push(`The link asks for ${name}=${shorten(value)}, which this version does not know.`);
    else settings[name] = value;
  }
  if (sentences.length > 0) return { kind: 'problems', sentences };
  return at === undefined ? { kind: 'catalogue', id, settings } : { kind: 'catalogue', id, settings, at };
}

const problems = (...sentences: string[]): ParsedLink => ({ kind: 'problems', sentences });
const shorten = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text);

function decodeOnce(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const trimPasted = (text: string): string =>
  text
    .trim()
    .replace(/^[<("']+/, '')
    .replace(/[>)"'.,;!]+$/, '');

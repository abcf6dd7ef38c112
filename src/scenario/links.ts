/**
 * Links: inputs, never state. `#/s/<id>` names a scenario of the catalogue, `#/x/1<payload>` carries a text of its
 * own; after `?` stand the check and the place of the shared step, and the settings that differ from the text.
 * What cannot be understood is said in sentences, never silently replaced. One decoder a version, kept for ever.
 */
import { BOUNDS } from '../core/bounds.ts';
import type { Mistake } from '../core/flush-settings.ts';
import {
  settingAccepts,
  settingOf,
  SETTINGS,
  type Setting,
  type SettingName,
  type Bug,
  type TodaysBug,
} from '../core/settings.ts';
import type { SettingChoices } from './ast.ts';
import { couldBeOwn, isOwnName } from './own-choices.ts';
import type { Varied } from './sweep.ts';

export interface Place {
  /** `3`, or `g2` for the second operation of `given`; `0` is the beginning. */
  readonly operation: string;
  readonly step: number;
}

/** What a link says beside the text. */
export interface LinkState {
  readonly at?: Place;
  /** Check of the shared step. */
  readonly check?: string;
  readonly settings: SettingChoices;
  /** The other run of a comparison: its settings that differ from the text. */
  readonly versus?: SettingChoices;
  /** Steps that the other run has taken alone since it came to where the first one stands. */
  readonly beyond?: number;
  /** The settings that a table of runs varies, where one is open. */
  readonly varied?: readonly Varied[];
}

export type LinkSource =
  { readonly kind: 'catalogue'; readonly id: string } | { readonly kind: 'own'; readonly text: string };

export type ParsedLink =
  | { readonly kind: 'none' }
  /** The page that lists all scenarios. */
  | { readonly kind: 'scenarios' }
  | ({ readonly kind: 'catalogue'; readonly id: string } & LinkState)
  | ({ readonly kind: 'own'; readonly text: string } & LinkState)
  /** `text` is what could still be read of an own link. */
  | { readonly kind: 'problems'; readonly sentences: readonly string[]; readonly text?: string };

/** A link of the catalogue is never longer, counted from `#`. */
export const LONGEST_CATALOGUE_LINK = 80;
const LONGEST_QUERY = 2048;

/** From `#` on. Settings are spelt out, and abbreviated only where a catalogue link would grow too long. */
export async function formatLink(source: LinkSource, state: LinkState): Promise<string> {
  if (source.kind === 'own') {
    const { packText } = await texts();
    return `#/x/1.${await packText(source.text)}${queryOf(state, 'long')}`;
  }
  return formatCatalogueLink(source.id, state);
}

/** The coding of texts has a long list of words, and most links have no text. */
const texts = () => import('./link-text.ts');

export function formatCatalogueLink(id: string, state: LinkState): string {
  const long = `#/s/${id}${queryOf(state, 'long')}`;
  return long.length <= LONGEST_CATALOGUE_LINK ? long : `#/s/${id}${queryOf(state, 'short')}`;
}

/** The check comes first, so that a link cut anywhere behind it is found out. */
function queryOf(
  { at, check, settings, versus, beyond = 0, varied }: LinkState,
  form: 'long' | 'short',
): string {
  const parts = [
    ...(check === undefined ? [] : [`c=${check}`]),
    ...(at === undefined ? [] : [`at=${at.operation}.${String(at.step)}`]),
    ...(form === 'long' ? longForm('', settings) : shortForm('p', settings)),
    ...(versus === undefined
      ? []
      : Object.keys(versus).length === 0
        ? ['vs=same']
        : form === 'long'
          ? longForm('vs.', versus)
          : shortForm('vs', versus)),
    ...(beyond === 0 ? [] : [`b=${String(beyond)}`]),
    ...(varied === undefined ? [] : variedForm(varied, form)),
  ];
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

const longForm = (prefix: string, settings: SettingChoices): readonly string[] =>
  Object.entries(settings).map(([name, value]) => `${prefix}${name}=${value}`);

const variedForm = (varied: readonly Varied[], form: 'long' | 'short'): readonly string[] =>
  form === 'long'
    ? varied.map(({ name, values }) => `vary.${name}=${values.join(',')}`)
    : [`y=${varied.map(({ name, values }) => codeOf(name, values.join(','))).join('')}`];

const shortForm = (name: string, settings: SettingChoices): readonly string[] => {
  const codes = Object.entries(settings).map(([setting, value]) => codeOf(setting, value));
  return codes.length === 0 ? [] : [`${name}=${codes.join('')}`];
};

const BUG_CODES: Readonly<Record<Bug, string>> = {
  'C-B2': '2',
  'C-B3': '3',
  'C-B4': '4',
  'C-B5': '5',
  'C-B6': '6',
  'nx-slip': 'x',
  'nonpaging-write': 'w',
  'walk-race': 'r',
  'E-B4': 'e',
};

const TODAYS_BUG_CODES: Readonly<Record<TodaysBug, string>> = {
  'D-B2': 'b',
  'D-B3': 'c',
  'D-B4': 'd',
  'D-B5': 'k',
  'I-B1': 'i',
  'I-B2': 'j',
  'F-B2': 'f',
  'F-B4': 'g',
  'F-B5': 'h',
};
const MISTAKE_CODES: Readonly<Record<Mistake, string>> = { 'B-B1': 'l', 'B-B3': 'm', 'B-B4': 'o' };

/** Abbreviations of settings in links, frozen: a capital for the setting, then one sign for each value. */
const CODES: Readonly<
  Record<SettingName, { readonly letter: string; readonly values: Readonly<Record<string, string>> }>
> = {
  machine: { letter: 'M', values: { 'kvm-2007': '1', native: 'n', 'two-stage': 't', 'kvm-shadow': 's' } },
  era: {
    letter: 'E',
    values: { '2007b': 'b', '2006': '6', '2007a': 'a', '2007c': 'c', '6.12': 'd', '6.1': 'e', '2011': 'f' },
  },
  cpu: { letter: 'C', values: { 'vmx-novpid': 'n', svm: 's', 'vmx-vpid': 'v', arm64: 'a' } },
  guest: {
    letter: 'G',
    values: { '4-level': '4', '5-level': '5', '3-level': '3', pae: 'p', '2-level': '2', nonpaging: 'n' },
  },
  host: { letter: 'H', values: { '4-level': '4', '5-level': '5', '3-level': '3' } },
  'host-pages': { letter: 'P', values: { '4K': 'k', '2M': 'm' } },
  'ept-ad': { letter: 'A', values: { on: '1', off: '0' } },
  psc: { letter: 'S', values: { off: '0', guest: 'g', both: 'b' } },
  tlb: { letter: 'T', values: { unlimited: 'u', '4': '4', '8': '8', '16': 'x', '64': 'q' } },
  vcpus: { letter: 'V', values: { '1': '1', '2': '2', '3': '3', '4': '4' } },
  'nx-huge-pages': { letter: 'X', values: { off: '0', on: '1' } },
  'log-clear': { letter: 'L', values: { 'with-fetch': 'f', apart: 'a', 'apart-all-set': 's' } },
  'mmio-without': { letter: 'D', values: { none: 'n', entries: 'e', memory: 'm', generation: 'g' } },
  'gpte-write': { letter: 'W', values: { update: 'u', zap: 'z' } },
  flush: { letter: 'F', values: { always: 'a', 'on-fault': 'o', never: 'n' } },
  'flush-reach': { letter: 'R', values: { all: 'a', local: 'l' } },
  'flush-size': { letter: 'Z', values: { context: 'c', page: 'p', 'one-page': '1' } },
  'flush-when': { letter: 'O', values: { after: 'a', before: 'b' } },
  asids: { letter: 'I', values: { '63': 'x', '4': '4' } },
  'cr3-cache': { letter: 'Q', values: { off: '0', on: '1' } },
  'shipped-bugs': { letter: 'B', values: { all: 'a', none: 'n', ...BUG_CODES } },
  break: { letter: 'K', values: { none: 'n', ...BUG_CODES, ...TODAYS_BUG_CODES, ...MISTAKE_CODES } },
};

/** A choice of the text's own is spelt out, `Path.cr3`: nobody but the text knows it. */
function codeOf(name: string, value: string): string {
  const parts = value.split(',');
  if (isOwnName(name)) return [name, ...parts].join(OWN_MARK);
  const { letter, values } = CODES[name as SettingName];
  return letter + parts.map((part) => values[part] ?? '?').join('');
}

/** No abbreviation of a setting has this sign. */
const OWN_MARK = '.';

/** Understands a hash, tolerating one percent-decoding too many and what mail programs leave around a link. */
export async function parseLink(hash: string): Promise<ParsedLink> {
  const isOwn = /^[^A-Za-z0-9]*(#|%23)(\/|%2F)x(\/|%2F)/i.test(hash);
  if (hash.length > (isOwn ? BOUNDS.linkBytes : LONGEST_QUERY)) {
    const bound = String(isOwn ? BOUNDS.linkBytes : LONGEST_QUERY);
    return problems(
      `The link is ${String(hash.length)} characters long; the longest that is made here has ${bound}. It was probably pasted twice.`,
    );
  }
  const text = trimPasted(decodeOnce(hash));
  if (text === '' || text === '#' || text === '#/') return { kind: 'none' };
  if (text === '#/scenarios') return { kind: 'scenarios' };
  const own = /^#\/x\/([0-9]{1,4})\.([^?]*)(?:\?(.*))?$/s.exec(text);
  if (own !== null) return parseOwn({ version: Number(own[1]), payload: own[2] ?? '', query: own[3] });
  const catalogue = /^#\/s\/([a-z0-9-]+)(?:\?(.*))?$/.exec(text);
  if (catalogue === null) return problems(notALink(text));
  const state = readQuery(catalogue[2]);
  return 'sentences' in state
    ? { kind: 'problems', sentences: state.sentences }
    : { kind: 'catalogue', id: catalogue[1] ?? '', ...state };
}

function notALink(text: string): string {
  if (text.startsWith('#/x/')) return 'The link is cut off: it ends before the text that it should carry.';
  return `This is no link of mmuscope: ${shorten(text)}. A link looks like #/s/three-exits?at=1.5.`;
}

async function parseOwn(link: {
  version: number;
  payload: string;
  query: string | undefined;
}): Promise<ParsedLink> {
  if (link.version !== 1) {
    const remedy = link.version > 1 ? ' Open it with a newer mmuscope.' : '';
    return problems(`The link has version ${String(link.version)}, which is not known here.${remedy}`);
  }
  const { unpackText } = await texts();
  const unpacked = await unpackText(link.payload);
  const state = readQuery(link.query);
  const sentences = [
    ...(unpacked.kind === 'trouble' ? [unpacked.sentence] : []),
    ...('sentences' in state ? state.sentences : []),
  ];
  if (!('sentences' in state) && (state.check === undefined || state.at === undefined))
    sentences.push('The link is cut off: the step that it shares is missing.');
  if (sentences.length > 0 || 'sentences' in state)
    return { kind: 'problems', sentences, ...(unpacked.text === undefined ? {} : { text: unpacked.text }) };
  return { kind: 'own', text: unpacked.text ?? '', ...state };
}

type Query = LinkState | { readonly sentences: readonly string[] };

function readQuery(query: string | undefined): Query {
  const reader = new QueryReader();
  for (const part of query === undefined ? [] : query.split('&')) reader.read(part);
  return reader.result();
}

class QueryReader {
  private readonly sentences: string[] = [];
  private readonly settings: Record<string, string> = {};
  private versus: Record<string, string> | undefined;
  private at: Place | undefined;
  private check: string | undefined;
  private beyond: number | undefined;
  private readonly varied: Varied[] = [];

  read(part: string): void {
    const [name = '', value, ...more] = part.split('=');
    if (value === undefined || value === '' || more.length > 0)
      this.sentences.push(`The link is cut off or damaged at "${shorten(part)}".`);
    else if (name === 'at') this.readPlace(value);
    else if (name === 'c') this.readCheck(value);
    else if (name === 'vs' && value === 'same') this.versus ??= {};
    else if (name === 'p') this.readAll(this.settings, value);
    else if (name === 'vs') this.readAll((this.versus ??= {}), value);
    else if (name === 'y')
      this.readCodes(value, this.vary, (own, values) => {
        this.readVaried(own, values);
      });
    else if (name === 'b') this.readBeyond(value);
    else if (name.startsWith('vary.')) this.readVaried(name.slice('vary.'.length), value);
    else if (name.startsWith('vs.')) this.readSetting((this.versus ??= {}), name.slice('vs.'.length), value);
    else this.readSetting(this.settings, name, value);
  }

  result(): Query {
    if (this.sentences.length > 0) return { sentences: this.sentences };
    return {
      settings: this.settings,
      ...(this.at === undefined ? {} : { at: this.at }),
      ...(this.check === undefined ? {} : { check: this.check }),
      ...(this.versus === undefined ? {} : { versus: this.versus }),
      ...(this.beyond === undefined ? {} : { beyond: this.beyond }),
      ...(this.varied.length === 0 ? {} : { varied: this.varied }),
    };
  }

  private readPlace(value: string): void {
    const place = /^(g?[0-9]{1,5})\.([0-9]{1,7})$/.exec(value);
    if (place === null)
      this.sentences.push(`The link's step "${shorten(value)}" is damaged: it looks like at=1.5.`);
    else this.at = { operation: place[1] ?? '0', step: Number(place[2]) };
  }

  private readCheck(value: string): void {
    if (/^[A-Za-z0-9]{4}$/.test(value)) this.check = value;
    else this.sentences.push(`The link is cut off or damaged at "c=${shorten(value)}".`);
  }

  private readBeyond(value: string): void {
    if (/^[0-9]{1,7}$/.test(value)) this.beyond = Number(value);
    else this.sentences.push(`The link is cut off or damaged at "b=${shorten(value)}".`);
  }

  private readVaried(name: string, value: string): void {
    const setting = settingOf(name);
    if (isOwnName(name)) this.readOwn(name, value, (values) => this.varied.push({ name, values }));
    else if (setting === undefined)
      this.sentences.push(`The link varies "${shorten(name)}", which this version does not know.`);
    else this.vary(setting, value);
  }

  /** Values of a table of runs: each must be known by itself. */
  private readonly vary: Taker = (setting, text) => {
    const { name } = setting;
    const values = text.split(',');
    const unknown = values.find((value) => !settingAccepts(setting, value));
    if (unknown === undefined) this.varied.push({ name, values });
    else
      this.sentences.push(`The link varies ${name}=${shorten(unknown)}, which this version does not know.`);
  };

  private into(choices: Record<string, string>): Taker {
    return (setting, text) => {
      if (settingAccepts(setting, text)) choices[setting.name] = text;
      else
        this.sentences.push(
          `The link asks for ${setting.name}=${shorten(text)}, which this version does not know.`,
        );
    };
  }

  private readSetting(into: Record<string, string>, name: string, value: string): void {
    const setting = settingOf(name);
    if (isOwnName(name) && !value.includes(','))
      this.readOwn(name, value, ([only = '']) => (into[name] = only));
    else if (isOwnName(name)) this.damaged(name, value);
    else if (setting === undefined)
      this.sentences.push(`The link asks for "${shorten(name)}", which this version does not know.`);
    else this.into(into)(setting, value);
  }

  /** A choice that some text offers, with one value, or several where a table varies it. */
  private readOwn(name: string, value: string, take: (values: readonly string[]) => void): void {
    const values = value.split(',');
    if (values.every((one) => couldBeOwn(name, one))) take(values);
    else this.damaged(name, value);
  }

  private damaged(name: string, value: string): void {
    this.sentences.push(`The link is damaged at "${shorten(`${name}=${value}`)}".`);
  }

  private readAll(into: Record<string, string>, value: string): void {
    this.readCodes(value, this.into(into), (own, chosen) => {
      this.readSetting(into, own, chosen);
    });
  }

  private readCodes(value: string, take: Taker, takeOwn: (name: string, values: string) => void): void {
    const pieces = value.match(/[A-Z][^A-Z]*/g) ?? [];
    if (pieces.join('') !== value) this.sentences.push(`The link is damaged at "${shorten(value)}".`);
    for (const piece of pieces) {
      if (piece.includes(OWN_MARK)) {
        const [own = '', ...chosen] = piece.split(OWN_MARK);
        takeOwn(own, chosen.join(','));
        continue;
      }
      const name = SETTINGS.find((setting) => CODES[setting.name].letter === piece[0])?.name;
      const values = piece
        .slice(1)
        .split('')
        .map((code) =>
          Object.entries(name === undefined ? {} : CODES[name].values).find(([, known]) => known === code),
        );
      const text = values.map((found) => found?.[0] ?? '').join(',');
      const setting = settingOf(name ?? '');
      if (setting === undefined || values.length === 0 || values.includes(undefined))
        this.sentences.push(
          `The link asks for the setting "${shorten(piece)}", which this version does not know.`,
        );
      else take(setting, text);
    }
  }
}

/** What becomes of a setting that was read. */
type Taker = (setting: Setting, text: string) => void;

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
    .replace(/[>)"'.,;!\s]+$/, '');

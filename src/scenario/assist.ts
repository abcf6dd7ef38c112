/**
 * Help while writing a scenario: what may stand at a place of the text, and what a word or number there means.
 * Everything comes from the same tables as the language itself: settings, counters, flags, calls, names in scope.
 */
import { rulesOf } from '../core/audit/rules-of.ts';
import '../core/meanings.ts';
import { instructionOf } from '../core/hardware/invalidations.ts';
import { invalidationMeaning } from '../core/hardware/invalidation-words.ts';
import { CALL_NAMES } from '../core/machine/steps.ts';
import { applies, choicesOf, SETTINGS, settingOf, type Setting, type Settings } from '../core/settings.ts';
import { addressMeaning, settingsWhileWriting } from './addresses.ts';
import {
  ALL_WORDS,
  EXPECT_WORDS,
  expectedFor,
  flagsFor,
  formsFor,
  HANDLER,
  HOST_TARGETS,
  hostWordsFor,
  LOG_STATES,
  MAP_FLAGS,
  operationsFor,
  POINTS,
  PRIVILEGES,
  flippedFor,
  registersFor,
  RIGHTS,
  slotTraitsFor,
  statementsFor,
  TARGETS,
  othersFor,
  WHEN,
  type WordList,
} from './assist-words.ts';
import type { Line, OwnChoice, Span, Token } from './ast.ts';
import { settingText } from './choices.ts';
import { numberOf } from './cursor.ts';
import { hasAddress } from './entries.ts';
import { readLines } from './lines.ts';
import { isToday } from './machine-words.ts';
import { interpret } from './statements.ts';

export interface Offer {
  readonly text: string;
  readonly meaning: string;
  readonly kind: 'word' | 'setting' | 'value' | 'address' | 'name';
}

export interface Offers {
  /** Where the word that is being written begins. */
  readonly from: number;
  readonly offers: readonly Offer[];
}

const offer = (kind: Offer['kind'], list: WordList): readonly Offer[] =>
  list.map(([text, meaning]) => ({ text, meaning, kind }));

/** What may stand at an offset of the text. Nothing inside texts in quotes and comments. */
export function offersAt(text: string, offset: number): Offers {
  const line = readLines(text).find((candidate) => offset >= candidate.from && offset <= candidate.to);
  const nothing = { from: offset, offers: [] };
  if (line === undefined) return nothing;
  const before = line.tokens.filter((token) => token.from < offset);
  const current = before.at(-1);
  const writing = current !== undefined && current.to >= offset && current.kind !== 'equals';
  if (current?.kind === 'text' && writing) return nothing;
  if (line.comment !== undefined && offset > line.to - line.comment.length) return nothing;
  const done = writing ? before.slice(0, -1) : before;
  const from = writing ? beginOfWriting(current, done, offset) : offset;
  return { from, offers: offersAfter(text, line, done) };
}

/** Where the word begins that is being written: in a list of alternatives behind the last comma. */
function beginOfWriting(current: Token, done: readonly Token[], offset: number): number {
  const listed = done.at(-1)?.kind === 'equals' && done.some(({ text }) => text === 'when');
  return listed
    ? current.from + current.text.slice(0, offset - current.from).lastIndexOf(',') + 1
    : current.from;
}

function offersAfter(text: string, line: Line, done: readonly Token[]): readonly Offer[] {
  const settings = settingsIn(text);
  const last = done.at(-1);
  const head = done[0]?.text;
  if (last?.kind === 'equals') return valuesOf(done.at(-2)?.text ?? '', { text, settings });
  if (head === undefined)
    return line.indent > 2
      ? [...offer('word', HANDLER), ...offer('word', operationsFor(settings))]
      : offer('word', statementsFor(settings, line.indent > 0));
  if (head === 'at') return meanwhileAfter(text, line, done);
  if (head === 'machine' || head === 'policy') return settingNames(settings, head);
  if (head === 'try' || done.some((token) => token.text === 'when'))
    return [...namesOfChoices(text), ...settingNames(settings)];
  if (head === 'choice') return [];
  if (head === 'expect') return offer('word', expectedFor(settings));
  if (head === 'note' && last?.kind === 'text') return offer('word', WHEN);
  if (head === 'note' && last?.text === 'at')
    return CALL_NAMES.filter((name) => name !== 'operation' && !name.includes(' ')).map((name) => ({
      text: name,
      meaning: 'Said while this call runs.',
      kind: 'name',
    }));
  if (head === 'slot') return done.length < 3 ? [] : offer('word', slotTraitsFor(settings));
  if (head === 'host') return hostArguments(text, done, settings);
  if (/^v[0-9]$/.test(head) && done.length === 1) return offer('word', PRIVILEGES);
  if (/^v[0-9]$/.test(head) && done.length === 2) return offer('word', operationsFor(settings));
  return [...argumentsAfter(text, done, settings), ...offer('word', mayBeConditional(done) ? WHEN : [])];
}

/** `at <point>: v1 ...`: the point, who acts, and then any operation. */
function meanwhileAfter(text: string, line: Line, done: readonly Token[]): readonly Offer[] {
  if (done.length === 1) return offer('name', POINTS);
  return done.length === 2
    ? offer('word', othersFor(settingsIn(text)))
    : offersAfter(text, line, done.slice(2));
}

/** A line that says all that it must: an operation with its argument, an entry with its value. */
function mayBeConditional(done: readonly Token[]): boolean {
  const [head] = done;
  const value = done.findIndex(({ kind }) => kind === 'arrow' || kind === 'equals');
  if (head?.text === 'map' || head?.text === 'entry') return value >= 0 && done.length > value + 1;
  return /^(v[0-9]+|flip|host)$/.test(head?.text ?? '') && done.length > 3 && done.at(-1)?.kind !== 'arrow';
}

const choicesOfText = (text: string): readonly OwnChoice[] => interpret(readLines(text)).choices;

const namesOfChoices = (text: string): readonly Offer[] =>
  choicesOfText(text).map(({ name, meaning }) => ({ text: `${name}=`, meaning, kind: 'setting' }));

const settingsIn = (text: string): Settings => settingsWhileWriting(interpret(readLines(text)).statements);

const PAGES: readonly Offer[] = [
  { text: 'pages=', meaning: 'How many pages, from that address on.', kind: 'word' },
];

/** `host`, then what it does, then on what. */
function hostArguments(text: string, done: readonly Token[], settings: Settings): readonly Offer[] {
  const last = done.at(-1);
  if (done.length === 1) return offer('word', hostWordsFor(settings));
  if (last?.kind === 'arrow') return offer('word', HOST_TARGETS);
  if (WITH_SLOT.includes(done[1]?.text ?? '')) return logArguments(done);
  if (done.some((token) => token.text === 'frame') && last?.text !== 'frame') return offer('word', RIGHTS);
  const forms = formsFor(last?.text ?? '', settings, 'hypervisor');
  if (forms.length > 0) return offer('word', forms);
  if (isToday(settings)) return done.length === 3 ? PAGES : [];
  return last?.text === 'set-entry' || last?.text === 'ipas2e1is' ? [] : addressesIn(text);
}

const WITH_SLOT = ['log', 'fetch-log', 'clear-log', 'add-slot', 'delete-slot'];

/** `log slot=0 on`: the slot, then whether. */
function logArguments(done: readonly Token[]): readonly Offer[] {
  if (done.length === 2) return [{ text: 'slot=', meaning: 'Slots are counted from 0.', kind: 'word' }];
  return done[1]?.text === 'log' && done.length === 5 ? offer('word', LOG_STATES) : [];
}

const WANTS_ADDRESS = [
  'read',
  'write',
  'exec',
  'invlpg',
  'set-pte',
  'map',
  'table-of',
  'flip',
  'shadow',
  'address',
  'vae1is',
];

function argumentsAfter(text: string, done: readonly Token[], settings: Settings): readonly Offer[] {
  const last = done.at(-1);
  if (last?.kind === 'arrow') return offer('word', TARGETS);
  if (last?.text === 'set') return offer('name', registersFor(settings));
  if (last?.text === 'register') return offer('name', flippedFor(settings));
  if (last?.text === 'invpcid' || last?.text === 'tlbi')
    return offer('word', formsFor(last.text, settings, 'guest'));
  if (last?.text === 'load-cr3' || last?.text === 'load-ttbr0' || last?.text === 'in')
    return namesOfSpaces(text);
  const named = done.some((token) => token.kind === 'arrow');
  if (WANTS_ADDRESS.includes(last?.text ?? '')) return addressesIn(text);
  const flags = done[0]?.text === 'map' ? [...flagsFor(settings), ...MAP_FLAGS] : flagsFor(settings);
  return named ? offer('word', flags) : [];
}

function settingNames(settings: Settings, where?: string): readonly Offer[] {
  return SETTINGS.filter(
    (setting) => applies(setting, settings) && (where === undefined || setting.where === where),
  ).map((setting) => ({
    text: `${setting.name}=`,
    meaning: setting.meaning,
    kind: 'setting',
  }));
}

function valuesOf(name: string, { text, settings }: { text: string; settings: Settings }): readonly Offer[] {
  const own = choicesOfText(text).find((choice) => choice.name === settingText(name));
  if (own !== undefined)
    return own.values.map((value) => ({ text: value, meaning: own.meaning, kind: 'value' }));
  const setting = settingOf(settingText(name));
  if (setting === undefined) return name === 'kernel' ? namesOfSpaces(text) : [];
  return choicesOf(setting, settings).map(({ value, meaning, wrong }) => ({
    text: value,
    meaning: wrong === true ? `${meaning} (wrong on purpose)` : meaning,
    kind: 'value',
  }));
}

/** Names that `let` gives, and addresses that `map` lines use. */
export function addressesIn(text: string): readonly Offer[] {
  const { names, statements } = interpret(readLines(text));
  const settings = settingsWhileWriting(statements);
  const named = [...names].map(([name, value]) => ({
    text: name,
    meaning: `0x${value.toString(16)}`,
    kind: 'name' as const,
  }));
  const values = new Set(names.values());
  const mapped = statements.flatMap((statement) =>
    statement.kind === 'map' && !values.has(statement.change.gva) ? [statement.change.gva] : [],
  );
  return [
    ...named,
    ...[...new Set(mapped)].map((gva) => ({
      text: `0x${gva.toString(16)}`,
      meaning: addressMeaning(gva, settings),
      kind: 'address' as const,
    })),
  ];
}

/** The address spaces of a text, `main` first. */
export function spacesIn(text: string): readonly string[] {
  return [
    'main',
    ...interpret(readLines(text)).statements.flatMap((s) => (s.kind === 'space' ? [s.name] : [])),
  ];
}

const namesOfSpaces = (text: string): readonly Offer[] =>
  spacesIn(text).map((name) => ({ text: name, meaning: 'An address space.', kind: 'name' }));

/** What the word or number at an offset means, and its extent. */
export function explainAt(text: string, offset: number): (Span & { readonly meaning: string }) | undefined {
  const line = readLines(text).find((candidate) => offset >= candidate.from && offset <= candidate.to);
  const token = line?.tokens.find((candidate) => offset >= candidate.from && offset <= candidate.to);
  if (line === undefined || token === undefined || token.kind === 'text') return undefined;
  const meaning = meaningOf(text, line, token);
  return meaning === undefined ? undefined : { from: token.from, to: token.to, meaning };
}

function meaningOf(text: string, line: Line, token: Token): string | undefined {
  const at = line.tokens.indexOf(token);
  const own = ownMeaning(text, line, at);
  if (own !== undefined) return own;
  const value =
    line.tokens[at - 1]?.kind === 'equals'
      ? settingOf(settingText(line.tokens[at - 2]?.text ?? ''))
      : undefined;
  if (value !== undefined) return meaningOfValues(value, token.text);
  const setting = settingOf(settingText(token.text));
  if (setting !== undefined && line.tokens[at + 1]?.kind === 'equals') return setting.meaning;
  const number = numberOf(token.text) ?? namedValue(text, token.text);
  if (number !== undefined)
    return numberMeaning(number, { before: line.tokens[at - 1]?.text, settings: settingsIn(text) });
  const form = instructionOf(`${line.tokens[at - 1]?.text ?? ''}-${token.text}`);
  if (form !== undefined) return invalidationMeaning(form.name);
  // `note at` is no word of its own.
  if (token.text === 'at' && at > 0) return undefined;
  const expected = line.tokens[0]?.text === 'expect' ? EXPECT_WORDS.get(token.text) : undefined;
  return (
    expected ??
    ALL_WORDS.get(token.text.replace(/(#\d+)?:$/, '')) ??
    rulesOf(settingsIn(text))[token.text]?.words
  );
}

/** What a choice of the text's own decides, on its name and on its values. */
function ownMeaning(text: string, line: Line, at: number): string | undefined {
  const [before, here, after] = [line.tokens[at - 2], line.tokens[at], line.tokens[at + 1]];
  const name = line.tokens[at - 1]?.kind === 'equals' ? before : after?.kind === 'equals' ? here : undefined;
  const named = settingText(name?.text ?? '');
  const own = choicesOfText(text).find((choice) => choice.name === named);
  return own === undefined ? undefined : `${own.meaning} One of: ${own.values.join(', ')}.`;
}

/** Several values, joined by commas, each with its own meaning. */
function meaningOfValues(setting: Setting, text: string): string | undefined {
  const parts = text.split(',');
  const meant = setting.values.filter(({ value }) => parts.includes(value));
  const [only] = meant;
  return meant.length > 1
    ? meant.map(({ value, meaning }) => `${value}: ${meaning}`).join('; ')
    : only?.meaning;
}

function namedValue(text: string, word: string): bigint | undefined {
  const { names } = interpret(readLines(text));
  const parts = word.split('+').map((part) => numberOf(part) ?? names.get(part));
  return parts.some((part) => part === undefined)
    ? undefined
    : parts.reduce<bigint>((sum, part) => sum + (part ?? 0n), 0n);
}

function numberMeaning(value: bigint, at: { before: string | undefined; settings: Settings }): string {
  if (at.before === 'gfn')
    return `Guest frame 0x${value.toString(16)}, at guest address 0x${(value << 12n).toString(16)}.`;
  if (at.before === 'frame')
    return `Host frame 0x${value.toString(16)}, at host address 0x${(value << 12n).toString(16)}.`;
  if (value >= 4096n && hasAddress(value, at.settings)) return addressMeaning(value, at.settings);
  return `${String(value)}, 0x${value.toString(16)}`;
}

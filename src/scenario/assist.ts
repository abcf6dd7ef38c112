/**
 * Help while writing a scenario: what may stand at a place of the text, and what a word or number there means.
 * Everything comes from the same tables as the language itself: settings, counters, flags, calls, names in scope.
 */
import { COUNTERS } from '../core/counters.ts';
import { RULES } from '../core/audit/audit.ts';
import { indexAt, isCanonical, TABLE_NAMES_BY_LEVEL } from '../core/hardware/x86-entry.ts';
import { REGISTER_BITS } from '../core/hardware/registers.ts';
import { CALL_NAMES } from '../core/machine/steps.ts';
import { SETTINGS, settingOf } from '../core/settings.ts';
import type { Line, Span, Token } from './ast.ts';
import { numberOf } from './cursor.ts';
import { readLines } from './lines.ts';
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

type WordList = readonly (readonly [word: string, meaning: string])[];

const STATEMENTS: WordList = [
  ['title', 'The scenario in a few words.'],
  ['about', 'What one will understand, in quotes.'],
  ['minutes', 'How long it takes to go through.'],
  ['machine', 'Which hypervisor, era and processor.'],
  ['policy', 'How the hypervisor behaves, wrong behaviour included.'],
  ['slot', 'Guest memory: address and size.'],
  ['let', 'A name for a number.'],
  ['map', "An entry of the guest's page tables."],
  ['space', 'Begins another address space.'],
  ['entry', 'Raw guest memory: address and 8 bytes.'],
  ['given', 'Operations that run first, shown folded.'],
  ['begin', 'Counters and step numbers start at 0.'],
  ['v0', 'An operation of vCPU 0.'],
  ['flip', 'A bit of memory changes, and nobody in the machine did it.'],
  ['note', 'Said while the operation above runs.'],
  ['expect', 'What must come out at this place.'],
  ['try', 'A button that runs the same text under other settings.'],
];
const PRIVILEGES: WordList = [
  ['user', 'The program acts.'],
  ['kernel', "The guest's kernel acts."],
  ['cpuid', 'An exit that changes nothing.'],
];
const OPERATIONS: WordList = [
  ['read', 'Reads 8 bytes at an address.'],
  ['write', 'Writes at an address: write V = 1.'],
  ['exec', 'Fetches an instruction.'],
  ['set-pte', "Changes an entry of the guest's tables, through the kernel's window onto the table."],
  ['invlpg', 'Drops one translation from the TLB.'],
  ['load-cr3', 'Switches to another address space.'],
  ['set', 'Changes a control register or one bit of it.'],
  ['cpuid', 'An exit that changes nothing.'],
];
const HANDLER: WordList = [
  ['retry', 'The handler ends, and the guest tries the access again.'],
  ['skip', 'The handler ends, and the access is given up.'],
];
const TARGETS: WordList = [
  ['gfn', 'A guest frame by number.'],
  ['absent', 'The entry is 0.'],
  ['table-of', "The frame of the page table that serves an address: the kernel's window onto it."],
  ['table', 'The table that map lines made below this entry.'],
];
const FLAGS: WordList = [
  ['rw', 'May be written (R/W set).'],
  ['ro', 'May not be written (R/W clear).'],
  ['user', 'User mode may use it (U/S set).'],
  ['kernel', 'Only the kernel may use it (U/S clear).'],
  ['accessed', 'Bit A: a walk has used the entry.'],
  ['dirty', 'Bit D: the page has been written.'],
  ['nx', 'No instructions may be fetched from it.'],
  ['global', 'Kept in the TLB over a CR3 load.'],
];
const EXPECTED: WordList = [
  ...COUNTERS.map((counter) => [`${counter.name}=`, counter.meaning] as const),
  ['read=', 'What the last read got.'],
  ['no violation', 'No rule of the audit has been broken.'],
  ['no harm', 'No access reached what no correct processor could have given.'],
  ['violation', 'A rule of the audit has been broken.'],
  ['harm', 'An access did harm: stale-read, stale-write, lost-write.'],
  ['when', 'Only under these settings.'],
];
const OTHER: WordList = [
  ['on', "What the guest's own handler does: on #PF."],
  ['#PF', 'A page fault.'],
  ['level', 'The level of an entry: 1 is the page table, 4 the root.'],
  ['mmuscope', 'Every scenario begins with this word and the version of the language.'],
  ['when', 'The line counts only under these settings.'],
  ['main', 'The address space of the first map lines.'],
  ['bit', 'A bit of the word, 0 to 63.'],
  ['shadow', "An entry of the hypervisor's shadow tables."],
];

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
  const from = writing ? current.from : offset;
  const done = writing ? before.slice(0, -1) : before;
  return { from, offers: offersAfter(text, line, done) };
}

function offersAfter(text: string, line: Line, done: readonly Token[]): readonly Offer[] {
  const last = done.at(-1);
  const head = done[0]?.text;
  if (last?.kind === 'equals') return valuesOf(done.at(-2)?.text ?? '', text);
  if (head === undefined)
    return line.indent > 2
      ? [...offer('word', HANDLER), ...offer('word', OPERATIONS)]
      : offer('word', STATEMENTS);
  if (head === 'machine' || head === 'policy') return settingNames(head);
  if (head === 'try') return settingNames();
  if (head === 'expect')
    return done.some((token) => token.text === 'when') ? settingNames() : offer('word', EXPECTED);
  if (head === 'note' && last?.text === 'at')
    return CALL_NAMES.filter((name) => name !== 'operation' && !name.includes(' ')).map((name) => ({
      text: name,
      meaning: 'Said while this call runs.',
      kind: 'name',
    }));
  if (/^v[0-9]$/.test(head) && done.length === 1) return offer('word', PRIVILEGES);
  if (/^v[0-9]$/.test(head) && done.length === 2) return offer('word', OPERATIONS);
  return argumentsAfter(text, done);
}

function argumentsAfter(text: string, done: readonly Token[]): readonly Offer[] {
  const last = done.at(-1);
  if (last?.kind === 'arrow') return offer('word', TARGETS);
  if (last?.text === 'set')
    return REGISTER_BITS.map(({ register, name, meaning }) => ({
      text: `${register}.${name} = `,
      meaning,
      kind: 'name',
    }));
  if (last?.text === 'load-cr3' || last?.text === 'in') return namesOfSpaces(text);
  const named = done.some((token) => token.kind === 'arrow');
  const wantsAddress = ['read', 'write', 'exec', 'invlpg', 'set-pte', 'map', 'table-of', 'flip', 'shadow'];
  if (wantsAddress.includes(last?.text ?? '')) return addressesIn(text);
  return named ? offer('word', FLAGS) : [];
}

function settingNames(where?: string): readonly Offer[] {
  return SETTINGS.filter((setting) => where === undefined || setting.where === where).map((setting) => ({
    text: `${setting.name}=`,
    meaning: setting.meaning,
    kind: 'setting',
  }));
}

function valuesOf(name: string, text: string): readonly Offer[] {
  const setting = settingOf(name);
  if (setting === undefined) return name === 'kernel' ? namesOfSpaces(text) : [];
  return setting.values.map(({ value, meaning, wrong }) => ({
    text: value,
    meaning: wrong === true ? `${meaning} (wrong on purpose)` : meaning,
    kind: 'value',
  }));
}

/** Names that `let` gives, and addresses that `map` lines use. */
export function addressesIn(text: string): readonly Offer[] {
  const { names, statements } = interpret(readLines(text));
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
      meaning: addressMeaning(gva),
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

const ALL_WORDS = new Map<string, string>(
  [...OTHER, ...STATEMENTS, ...PRIVILEGES, ...OPERATIONS, ...HANDLER, ...TARGETS, ...FLAGS, ...EXPECTED].map(
    ([word, meaning]) => [word.replace(/=$/, ''), meaning],
  ),
);

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
  const value =
    line.tokens[at - 1]?.kind === 'equals' ? settingOf(line.tokens[at - 2]?.text ?? '') : undefined;
  if (value !== undefined) return value.values.find((choice) => choice.value === token.text)?.meaning;
  const setting = settingOf(token.text);
  if (setting !== undefined && line.tokens[at + 1]?.kind === 'equals') return setting.meaning;
  const number = numberOf(token.text) ?? namedValue(text, token.text);
  if (number !== undefined) return numberMeaning(number, line.tokens[at - 1]?.text);
  return ALL_WORDS.get(token.text) ?? RULES[token.text];
}

function namedValue(text: string, word: string): bigint | undefined {
  const { names } = interpret(readLines(text));
  const parts = word.split('+').map((part) => numberOf(part) ?? names.get(part));
  return parts.some((part) => part === undefined)
    ? undefined
    : parts.reduce<bigint>((sum, part) => sum + (part ?? 0n), 0n);
}

function numberMeaning(value: bigint, before: string | undefined): string {
  if (before === 'gfn')
    return `Guest frame 0x${value.toString(16)}, at guest address 0x${(value << 12n).toString(16)}.`;
  if (value >= 4096n && isCanonical(value, '4-level')) return addressMeaning(value);
  return `${String(value)}, 0x${value.toString(16)}`;
}

/** An address cut into its indices: `0x7f3c5a823000: PML4 0fe, PDPT 0f1, PD 0d4, PT 023, offset 000`. */
function addressMeaning(gva: bigint): string {
  const fields = [4, 3, 2, 1].map(
    (level) => `${TABLE_NAMES_BY_LEVEL[level] ?? ''} ${indexAt(gva, level).toString(16).padStart(3, '0')}`,
  );
  return `0x${gva.toString(16)}: ${fields.join(', ')}, offset ${(gva & 0xfffn).toString(16).padStart(3, '0')}`;
}

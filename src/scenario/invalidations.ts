/**
 * What the host does by itself, and the instructions that invalidate cached translations: `v0 kernel invpcid all`,
 * `host invept single`, `host set-entry 0x21000 -> absent`, `host fetch-log slot=0`.
 */
import type { HostEntryChange } from '../core/operations/operation.ts';
import {
  INVALIDATION_FORMS,
  type InvalidationForm,
  type InvalidationName,
} from '../core/hardware/invalidation-forms.ts';
import type { GuestAction, Invalidate, Line, OperationStatement } from './ast.ts';
import type { Cursor } from './cursor.ts';

/** The words of instructions that have forms: `invept single` is the invalidation `invept-single`. */
const HOST_FAMILIES = ['invept', 'invvpid', 'tlb-control'] as const;
const HOST_WORDS = [
  ...HOST_FAMILIES,
  'invlpga',
  'tlbi',
  'set-entry',
  'flush-all',
  'log',
  'fetch-log',
] as const;

/** The number of the first virtual processor or machine: VPID or ASID 1; 0 is the host's. */
const FIRST_GUEST = 1;
const TAGS = {
  invpcid: { word: 'pcid', usual: 0, max: 0xfff },
  invvpid: { word: 'vpid', usual: FIRST_GUEST, max: 0xffff },
  invlpga: { word: 'asid', usual: FIRST_GUEST, max: 63 },
} as const;

/** Largest frame that an entry names: physical addresses have 40 bits. */
export const MAX_PFN = 0xfffffff;

/** `level=2`, where it stands next. Which levels there are depends on the machine. */
export function readLevel(cursor: Cursor): number | undefined {
  if (cursor.peek()?.text !== 'level') return undefined;
  cursor.next();
  cursor.equals();
  return cursor.small('the level', { min: 0, max: 63 });
}

/** `pcid=1`, where it stands next. */
export function readTag(cursor: Cursor, word: 'pcid' | 'vpid' | 'asid', max: number): number | undefined {
  if (cursor.peek()?.text !== word) return undefined;
  cursor.next();
  cursor.equals();
  return cursor.small(`the ${word}`, { min: 0, max });
}

/** The forms of an instruction, as its invalidations are named: `single`, `all`. */
const formsOf = (family: string, by?: InvalidationForm['by']): readonly string[] =>
  INVALIDATION_FORMS.filter(
    (spec) => spec.name.startsWith(`${family}-`) && (by === undefined || spec.by === by),
  ).map((spec) => spec.name.slice(family.length + 1));

function readForm(cursor: Cursor, family: string, by: InvalidationForm['by']): Invalidate {
  const form = cursor.oneOf(formsOf(family, by), `a form of ${family}`);
  return readTarget(cursor, `${family}-${form}` as InvalidationName, family);
}

/** What an invalidation is aimed at: an address, then a number of an address space or a virtual processor. */
function readTarget(cursor: Cursor, name: InvalidationName, family: string): Invalidate {
  const takes = INVALIDATION_FORMS.find((spec) => spec.name === name)?.takes ?? [];
  const address = takes.includes('address') ? cursor.number('an address') : 0n;
  const tags = TAGS[family as keyof typeof TAGS] as (typeof TAGS)[keyof typeof TAGS] | undefined;
  const tag =
    takes.includes('tag') && tags !== undefined ? (readTag(cursor, tags.word, tags.max) ?? tags.usual) : 0;
  return { kind: 'invalidate', name, address, tag };
}

export const readInvpcid = (cursor: Cursor): Invalidate => readForm(cursor, 'invpcid', 'guest');
export const readTlbi = (cursor: Cursor, by: InvalidationForm['by']): Invalidate =>
  readForm(cursor, 'tlbi', by);

/** Slots are numbered from 0; how many there are, the text's own lines say. */
const MAX_SLOT = 63;

/** `host invept all`, `host set-entry 0x21000 level=2 -> absent`, `host log slot=0 on`: the host acts. */
export function readHost(cursor: Cursor, line: Line): OperationStatement {
  cursor.take('host');
  const word = cursor.oneOf(HOST_WORDS, 'what the host does');
  const action = readHostAction(cursor, word);
  cursor.end();
  return { vcpu: 0, privilege: 'kernel', action, line };
}

function readHostAction(cursor: Cursor, word: (typeof HOST_WORDS)[number]): GuestAction {
  if (word === 'set-entry') return readSetEntry(cursor);
  if (word === 'flush-all') return { kind: 'flush-all' };
  if (word === 'log' || word === 'fetch-log') return readLog(cursor, word);
  if (word === 'invlpga') return readTarget(cursor, 'invlpga', 'invlpga');
  return readForm(cursor, word, 'hypervisor');
}

/** `log slot=0 on`, `log slot=0 off`, `fetch-log slot=0`. */
function readLog(cursor: Cursor, word: 'log' | 'fetch-log'): GuestAction {
  cursor.oneOf(['slot'], 'slot=');
  cursor.equals();
  const slot = cursor.small('the slot', { min: 0, max: MAX_SLOT });
  if (word === 'fetch-log') return { kind: 'log', slot, does: 'fetch' };
  return { kind: 'log', slot, does: cursor.oneOf(['on', 'off'], 'on or off') === 'on' ? 'begin' : 'end' };
}

function readSetEntry(cursor: Cursor): GuestAction {
  const gpa = cursor.number('a guest physical address');
  const level = readLevel(cursor);
  cursor.arrow('Write: host set-entry <address> -> <target>.');
  const change = readHostChange(cursor);
  return { kind: 'set-host-entry', gpa, change, ...(level === undefined ? {} : { level }) };
}

function readHostChange(cursor: Cursor): HostEntryChange {
  switch (cursor.oneOf(['absent', 'frame', 'raw'], 'a target')) {
    case 'absent':
      return { kind: 'absent' };
    case 'raw':
      return { kind: 'raw', value: cursor.number('the value of the entry') };
    case 'frame': {
      const frame = cursor.small('the host frame', { min: 0, max: MAX_PFN });
      const seen = new Set<string>();
      while (cursor.peek() !== undefined) seen.add(cursor.oneOf(['read', 'write', 'exec'], 'a right'));
      if (seen.size === 0) {
        cursor.note(undefined, {
          message: 'The entry does not say what the guest may do',
          remedy: 'Add read, write or exec.',
        });
      }
      const rights = { read: seen.has('read'), write: seen.has('write'), execute: seen.has('exec') };
      return { kind: 'page', frame, rights };
    }
  }
}

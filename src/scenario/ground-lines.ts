/** The parts of lines that lay the ground: memory slots, address spaces, raw memory. */
import type { Line, SettingTest, SlotTraits, Statement } from './ast.ts';
import type { Cursor } from './cursor.ts';

/** Largest number of slot changes that a text may begin with. */
export const MAX_GENERATION = 0xffff_fffe;
const SLOT_TRAITS = ['readonly', 'large', 'absent', 'smm', 'hva'] as const;

/** `slot 0x0 64M`, then `readonly`, `large`, `absent`, `smm`, `hva=0x7f101000`. */
export function readSlotLine(cursor: Cursor, line: Line): Statement {
  const gpa = cursor.number('the address of the slot');
  const bytes = cursor.number('its size');
  let traits: SlotTraits = {};
  while (cursor.peek() !== undefined) {
    const word = cursor.oneOf(SLOT_TRAITS, 'what the slot is like');
    if (word === 'hva') {
      cursor.equals();
      traits = { ...traits, hva: cursor.number('the address in the process') };
    } else traits = { ...traits, [word]: true };
  }
  return { kind: 'slot', gpa, bytes, ...traits, line };
}

export function readSpace(cursor: Cursor, line: Line): Statement {
  const name = cursor.word('the name of an address space', 'Write: space B kernel=main.').text;
  if (!cursor.atPair()) return { kind: 'space', name, line };
  cursor.oneOf(['kernel'], 'kernel=<space>');
  cursor.equals();
  return {
    kind: 'space',
    name,
    kernelOf: cursor.word('the name of an address space', 'Write: kernel=main.').text,
    line,
  };
}

/** `entry 0x100ff8 = 0x21067`, or half a word: `bytes=4`. */
export function readEntry(
  cursor: Cursor,
  { line, when }: { line: Line; when: readonly SettingTest[] },
): Statement {
  const gpa = cursor.number('a guest physical address');
  cursor.equals();
  const place = cursor.peek();
  const value = cursor.number('the value');
  const bytes = readEntryBytes(cursor);
  if (bytes === 4 && value >> 32n !== 0n)
    cursor.fail(place, {
      message: `0x${value.toString(16)} does not fit 4 bytes`,
      remedy: 'Write at most 8 hex digits, or leave bytes=4 out.',
    });
  return { kind: 'entry', gpa, bytes, value, when, line };
}

function readEntryBytes(cursor: Cursor): 4 | 8 {
  if (!cursor.atPair()) return 8;
  cursor.oneOf(['bytes'], 'bytes=4');
  cursor.equals();
  return cursor.oneOf(['4', '8'], 'a size of 4 or 8') === '4' ? 4 : 8;
}

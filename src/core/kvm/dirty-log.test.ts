import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { guestProgram, onMachine } from '../../testing/guest-programs.ts';
import { planOf, RUNS, timelineOf } from '../../testing/scenarios.ts';
import { must } from '../assert.ts';
import { guestFrameOf, FIRST_GUEST_PFN, FIRST_SHADOW_PFN } from '../machine/world.ts';
import { frameOfWord, type Gfn } from '../quantities.ts';
import { Recorder } from '../operations/recorder.ts';
import type { SettingChoices } from '../../scenario/ast.ts';

const ERAS = ['2006', '2007a', '2007b', '2007c'] as const;

const settings: fc.Arbitrary<SettingChoices> = fc.record({
  cpu: fc.constantFrom('vmx-novpid', 'svm'),
  'gpte-write': fc.constantFrom('zap', 'update'),
  flush: fc.constantFrom('always', 'on-fault'),
  'shipped-bugs': fc.constantFrom('all', 'none'),
});

const START = 'host log slot=0 on';
const FETCH = 'host fetch-log slot=0';

/** The program with a log of its memory that begins somewhere, is fetched now and then, and once more at the end. */
function logged(text: string, by: { start: number; fetches: readonly boolean[] }): string {
  const lines = text.split('\n');
  const begin = lines.indexOf('begin') + 1;
  const tops = lines.slice(begin).filter((line) => !line.startsWith(' '));
  const first = tops[Math.min(by.start, tops.length - 1)];
  const body = lines.slice(begin).flatMap((line, at) => {
    if (line.startsWith(' ')) return [line];
    if (line === first && lines.indexOf(line, begin) === begin + at) return [START, line];
    const logs = begin + at > lines.indexOf(first ?? '', begin);
    return logs && by.fetches[at % by.fetches.length] === true ? [FETCH, line] : [line];
  });
  return [...lines.slice(0, begin), ...body, FETCH].join('\n');
}

/** Guest frames of which an operation changed a word. */
function writtenBy(recorder: Recorder, from: number): readonly Gfn[] {
  const journal = must(recorder.machine.journal, 'a journal');
  const frames = new Set<Gfn>();
  for (let change = from; change < journal.changes; change += 1) {
    const { table, key } = journal.changedPlace(change);
    const frame = table === 'word' ? frameOfWord(key as number) : undefined;
    if (frame !== undefined && frame >= FIRST_GUEST_PFN && frame < FIRST_SHADOW_PFN)
      frames.add(guestFrameOf(frame));
  }
  return [...frames];
}

describe('INV-12: a frame written since the last fetch is in the next one', () => {
  test.each(ERAS)('era %s', (era) => {
    fc.assert(
      fc.property(
        guestProgram,
        fc.record({ start: fc.nat(8), fetches: fc.array(fc.boolean(), { minLength: 1, maxLength: 16 }) }),
        settings,
        (program, by, choices) => {
          const text = logged(onMachine(program, `machine kvm-2007 era=${era}`), by);
          const recorder = new Recorder(planOf(text, choices).program);
          const written = new Set<Gfn>();
          while (!recorder.done) {
            const from = must(recorder.machine.journal, 'a journal').changes;
            recorder.advance();
            const last = must(recorder.operations.at(-1), 'an operation');
            if (last.section !== 'body' || recorder.stop !== undefined) continue;
            if (last.text === START) written.clear();
            else if (last.dirty === undefined) {
              for (const frame of writtenBy(recorder, from)) written.add(frame);
            } else {
              const given = last.dirty;
              expect([...written].filter((frame) => !given.includes(frame))).toEqual([]);
              written.clear();
            }
          }
          const broken = [...recorder.machine.world.tables.violation.values()].map(({ rule }) => rule);
          expect(broken).not.toContain('INV-12');
          expect(broken).not.toContain('INV-11');
        },
      ),
      { numRuns: RUNS },
    );
  });
});

const HEAD = 'mmuscope 1\nmachine kvm-2007\nslot 0x0 16M\nmap 0x400000 -> gfn 0x40 rw user accessed dirty\n';

/** Frames of each fetch of a text's body. */
const fetched = (text: string, choices: SettingChoices = {}): readonly (readonly number[])[] =>
  timelineOf(HEAD + text, choices).operations.flatMap(({ dirty }) => (dirty === undefined ? [] : [dirty]));

describe('what a fetch gives', () => {
  /** The fault fixer marks the table of the entry that it makes dirty; the last era only where the walk sets a mark. */
  const TABLE = 0x13;
  const ofWrite = (era: string): readonly number[] => (era === '2007c' ? [0x40] : [TABLE, 0x40]);

  test.each(ERAS)('a page written before the log began is noted when it is written again: %s', (era) => {
    const text = `begin
v0 user write 0x400000 = 1
host log slot=0 on
v0 user write 0x400000 = 2
host fetch-log slot=0
host fetch-log slot=0
v0 user write 0x400000 = 3
host fetch-log slot=0
v0 user read 0x400000
host fetch-log slot=0`;
    expect(fetched(text, { era })).toEqual([ofWrite(era), [], ofWrite(era), []]);
  });

  test.each(ERAS)('a log that ends forgets, and one that begins twice does not: %s', (era) => {
    const text = `begin
host log slot=0 on
v0 user write 0x400000 = 1
host log slot=0 on
host fetch-log slot=0
v0 user write 0x400000 = 1
host log slot=0 off
host log slot=0 on
host fetch-log slot=0`;
    // The page is new, so in every era only the frame itself is noted: its entry is dirty, and its leaf built writable.
    expect(fetched(text, { era })).toEqual([[0x40], []]);
  });

  test.each(ERAS)('of two slots each has its own log: %s', (era) => {
    const text = `slot 0x1000000 4K
map 0x401000 -> gfn 0x1000 rw user accessed dirty
begin
host log slot=1 on
v0 user write 0x400000 = 1
v0 user write 0x401000 = 1
host fetch-log slot=1`;
    expect(fetched(text, { era })).toEqual([[0x1000]]);
  });

  test.each(ERAS)('a store into a shadowed table is noted by the emulator: %s', (era) => {
    const text = `map 0xffff888000000000 -> table-of 0x400000 rw kernel accessed dirty
given
  v0 user read 0x400000
begin
host log slot=0 on
v0 kernel write 0xffff888000000100 = 0
host fetch-log slot=0`;
    // The fault fixer marks the table with the kernel's own entry too, frame 0x16.
    expect(fetched(text, { era })).toEqual([era === '2007c' ? [TABLE] : [TABLE, 0x16]]);
  });

  test.each(ERAS)('without paging too: %s', (era) => {
    const text = `mmuscope 1
machine kvm-2007 guest=nonpaging
slot 0x0 16M
begin
v0 kernel write 0x40000 = 1
host log slot=0 on
v0 kernel write 0x40008 = 1
v0 kernel write 0x40010 = 1
host fetch-log slot=0
host fetch-log slot=0`;
    const logs = timelineOf(text, { era }).operations.flatMap(({ dirty }) => dirty ?? []);
    expect(logs).toEqual([0x40]);
  });
});

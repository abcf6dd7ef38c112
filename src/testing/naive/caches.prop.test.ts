/**
 * The model's TLB and paging-structure caches against a naive processor that keeps plain lists: after every operation
 * both must have given the access the same end, counted the same, and remember the same.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PscEntry, TlbEntry } from '../../core/machine/tables.ts';
import { World } from '../../core/machine/world.ts';
import type { AccessResult } from '../../core/operations/access.ts';
import type { Operation, Program } from '../../core/operations/operation.ts';
import { Recorder } from '../../core/operations/recorder.ts';
import { gfn } from '../../core/quantities.ts';
import { SOAKING } from '../scenarios.ts';
import { plant, strangersOf } from './cache-strangers.ts';
import { enumeratedOn, MACHINES, sequenceOn, type Sequence } from './cache-sequences.ts';
import { FRAMES } from './cache-worlds.ts';
import type { RememberedTable, Seen, Translation } from './caches.ts';
import type { Tally } from './descent.ts';
import { NaiveMachine } from './processor-operations.ts';
import type { Outcome } from './processor.ts';

const RUNS = SOAKING ? 5000 : 300;
/** In `npm test` each run draws the same sequences, so that a failure is there to be looked at again. */
const DRAWN = SOAKING ? {} : { seed: 20_070_105 };
/** Every n-th enumerated sequence; a prime to the sizes of the loops, so that every value of each stays. */
const strideOf = (machine: string): number => (SOAKING || machine === 'native' ? 1 : 7);

const hex = (value: bigint | number): string => value.toString(16);
const flags = (named: Readonly<Record<string, boolean>>): string =>
  Object.entries(named)
    .flatMap(([name, set]) => (set ? name : []))
    .join('');

const programOf = ({ settings, world, operations }: Sequence): Program => ({
  settings,
  slots: [{ firstGfn: gfn(0), frames: FRAMES }],
  memory: world.memory,
  tables: world.tables,
  root: gfn(world.roots[0]),
  given: [],
  body: operations.map((operation, line) => ({ operation, text: '', line, lastLine: line })),
});

const NATIVE_BASE = 0x1000_0000n;
/** WnR of a fault on a guest's table is not compared. */
const WNR_OF_TABLE = 1n << 6n;
const S1PTW = 1n << 7n;
const comparable = (kind: string, code: bigint): bigint =>
  kind === 'stage 2 abort' && (code & S1PTW) !== 0n ? code & ~WNR_OF_TABLE : code;

function modelEnd(result: AccessResult): string {
  const { completed, physical, hostFault, faults } = result;
  if (completed) return `ok ${hex(physical ?? 0n)}`;
  if (hostFault !== undefined)
    return `${hostFault.kind} ${hex(comparable(hostFault.kind, hostFault.code))} ${hex(hostFault.gpa)}`;
  const fault = faults.at(-1);
  return fault === undefined ? 'gp' : `page fault ${hex(fault.errorCode)}`;
}

function naiveEnd(outcome: Outcome, nested: boolean): string {
  if (outcome.t === 'ok') return `ok ${hex(nested ? outcome.at : outcome.at - NATIVE_BASE)}`;
  if (outcome.t === 'page fault') return `page fault ${hex(outcome.code)}`;
  if (outcome.t === 'gp') return 'gp';
  return `${outcome.kind} ${hex(comparable(outcome.kind, outcome.code))} ${hex(outcome.gpa)}`;
}

const seenText = (seen: readonly Seen[]): string =>
  seen.map(({ word, value }) => `${hex(word)}=${hex(value)}`).join(' ');
const filledText = (of: Pick<TlbEntry, 'filledFrom' | 'filledValues'>): string =>
  of.filledFrom.map((word, at) => `${hex(word)}=${hex(of.filledValues[at] ?? 0n)}`).join(' ');

function modelTranslation(entry: TlbEntry): string {
  const { kind, asid, pcid, root, vpn, pageBits, pfn, host, protectionKey } = entry;
  const guest = flags({
    r: entry.readable,
    w: entry.writable,
    u: entry.user,
    x: entry.executable,
    y: entry.userExecutable,
    g: entry.global,
    d: entry.dirty,
  });
  const second =
    host === undefined
      ? ''
      : flags({ r: host.read, w: host.write, x: host.execute, y: host.userExecute ?? host.execute });
  return [
    `${kind} ${String(asid)}.${String(pcid)}.${hex(root)}`,
    `${hex(BigInt(vpn) << 12n)}/${String(pageBits)} -> ${hex(BigInt(pfn) << 12n)}`,
    `${guest} key ${String(protectionKey)} level ${String(entry.level ?? 0)} host ${second} from ${filledText(entry)}`,
  ].join(' ');
}

function naiveTranslation(entry: Translation): string {
  const { kind, guest, space, root, page, size, to, allows, host } = entry;
  const stage = kind === 'guest-physical';
  const rights = flags({
    r: !stage || host?.read === true,
    w: allows.write,
    u: allows.user,
    x: allows.fetchKernel,
    y: allows.fetchUser,
    g: entry.global,
    d: entry.dirty,
  });
  const second =
    host === undefined || stage
      ? ''
      : flags({ r: host.read, w: host.write, x: host.fetchKernel, y: host.fetchUser });
  return [
    `${kind} ${String(guest)}.${String(space)}.${hex(root)}`,
    `${hex(page)}/${String(size)} -> ${hex(to)}`,
    `${rights} key ${String(allows.key)} level ${String(entry.level)} host ${second} from ${seenText(entry.seen)}`,
  ].join(' ');
}

const modelTable = (table: PscEntry): string =>
  `${table.stage} ${String(table.asid)}.${String(table.pcid)}.${hex(table.root)} ` +
  `${String(table.depth)} ${hex(table.prefix)}<<${String(table.shift)} at ${hex(table.place)} from ${filledText(table)}`;
const naiveTable = (table: RememberedTable): string =>
  `${table.stage} ${String(table.guest)}.${String(table.space)}.${hex(table.root)} ` +
  `${String(table.depth)} ${hex(table.prefix)}<<${String(table.shift)} at ${hex(table.place)} from ${seenText(table.seen)}`;

const COUNTED: readonly (keyof Tally)[] = [
  'refs',
  'adw',
  'spared',
  'tlb_hits',
  'tlb_misses',
  'tlb_fills',
  'stale_hits',
];

/** In the order of use where the TLB can run full, else in the order of filling. */
const modelTranslations = (world: World): readonly string[] =>
  [...world.tables.tlb.values()]
    .filter(({ vcpu }) => vcpu === 0)
    .sort((a, b) => a.used - b.used || a.serial - b.serial)
    .map((entry) => modelTranslation(entry));
const modelTables = (world: World): readonly string[] =>
  [...world.tables.psc.values()]
    .filter(({ vcpu }) => vcpu === 0)
    .sort((a, b) => a.serial - b.serial)
    .map((table) => modelTable(table));

interface State {
  readonly end: string;
  readonly counted: Readonly<Record<string, number>>;
  readonly translations: readonly string[];
  readonly tables: readonly string[];
}

function modelState(world: World, result: AccessResult | undefined): State {
  const count = (name: string): number => world.get('counter', `${name}@0`) ?? 0;
  const names = [...COUNTED, 'walks', 'tlb_evictions'];
  return {
    end: result === undefined ? '' : modelEnd(result),
    counted: Object.fromEntries(names.map((name) => [name, count(name)])),
    translations: modelTranslations(world),
    tables: modelTables(world),
  };
}

function naiveState({ processor }: NaiveMachine, end: Outcome | undefined): State {
  const { tally, walks, caches } = processor;
  return {
    end: end === undefined ? '' : naiveEnd(end, processor.nested),
    counted: {
      ...Object.fromEntries(COUNTED.map((name) => [name, tally[name]])),
      walks,
      tlb_evictions: caches.evictions,
    },
    translations: caches.translations.map((entry) => naiveTranslation(entry)),
    tables: caches.tables.map((table) => naiveTable(table)),
  };
}

const textOf = (operation: Operation): string =>
  JSON.stringify(operation, (_key, value: unknown) =>
    typeof value === 'bigint' ? `0x${hex(value)}` : value,
  );

/** Runs a sequence on both; stops at the first operation after which they differ. */
function compare(sequence: Sequence): void {
  const recorder = new Recorder(programOf(sequence), { record: false });
  recorder.advance();
  const { world } = recorder.machine;
  const first = new World(world);
  const register = (name: string): bigint => first.get('reg', `0.${name}`) ?? 0n;
  const naive = new NaiveMachine(sequence.settings, {
    frames: FRAMES,
    memory: (at) => first.word(Number(at >> 3n)),
    registers: {
      cr0: register('cr0'),
      cr3: register('cr3'),
      cr4: register('cr4'),
      efer: register('efer'),
      pkru: 0n,
      pkrs: 0n,
      ac: 0n,
      pdptes: [],
      asid: 0,
    },
  });
  const strangers = strangersOf(sequence.settings);
  plant(recorder.machine, strangers);
  naive.processor.caches.translations = strangers.translations;
  naive.processor.caches.tables = strangers.tables;
  for (const operation of sequence.operations) {
    recorder.advance();
    const { result } = recorder.operations.at(-1) ?? {};
    const end = naive.run(operation);
    const model = modelState(world, result);
    const expected = naiveState(naive, end);
    // A difference is what is worth the words: thousands of states are equal.
    if (JSON.stringify(model) !== JSON.stringify(expected))
      expect({ operation: textOf(operation), ...model }, show(sequence)).toEqual({
        operation: textOf(operation),
        ...expected,
      });
  }
  const { ram } = naive.processor;
  const changed = new Set([
    ...world.tables.word.keys(),
    ...[...ram.words.keys()].map((at) => Number(at >> 3n)),
  ]);
  const different = [...changed].filter((word) => world.word(word) !== ram.word(BigInt(word) << 3n));
  if (different.length > 0) expect(different.map(hex), show(sequence)).toEqual([]);
}

const show = ({ settings, operations }: Sequence): string =>
  [JSON.stringify(settings), ...operations.map(textOf)].join('\n');

describe('the caches serve, forget and fill as the naive processor does', () => {
  test.each(MACHINES.map((machine) => [machine.name, machine] as const))(
    '%s, drawn sequences',
    (_name, machine) => {
      const report = fc.check(fc.property(sequenceOn(machine), compare), { numRuns: RUNS, ...DRAWN });
      if (!report.failed) return;
      const [smallest] = report.counterexample ?? [];
      if (smallest !== undefined) compare(smallest);
      throw new Error(`seed ${String(report.seed)}: fails, but not a second time`, {
        cause: report.errorInstance,
      });
    },
  );

  test.each(MACHINES.map((machine) => [machine.name, machine] as const))(
    '%s, every access, change, invalidation and access',
    (_name, machine) => {
      let number = 0;
      let compared = 0;
      for (const sequence of enumeratedOn(machine)) {
        if (number % strideOf(machine.settings.machine) === 0) {
          compare(sequence);
          compared += 1;
        }
        number += 1;
      }
      expect(compared).toBeGreaterThan(100);
    },
  );
});

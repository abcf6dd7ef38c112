/** The guest's tables of a recorded program: as lines of raw entries, and as the tables that the stage draws. */
import type { GuestTable } from '../core/operations/operation.ts';
import { levelsOf } from '../core/hardware/x86-format.ts';
import { gfn, gva } from '../core/quantities.ts';
import { frameOf, type Moved } from './moved.ts';
import { hex, PAGE } from './numbers.ts';
import type { RecordedScenario } from './recording.ts';

const PRESENT = 1n;
const PAGE_SIZE = 1n << 7n;
/** What bits of an entry say, in the words of `map` lines: set, and clear. */
const FLAGS: readonly (readonly [bit: bigint, set: string, clear: string])[] = [
  [1n << 1n, 'rw', 'ro'],
  [1n << 2n, 'user', 'kernel'],
  [1n << 5n, 'accessed', ''],
  [1n << 6n, 'dirty', ''],
  [1n << 8n, 'global', ''],
  [1n << 63n, 'nx', ''],
];

/** An `entry` line for each entry that is not 0, by tables. */
export function tableLines(scenario: RecordedScenario, moved: Moved): readonly string[] {
  const entries = Object.entries(scenario.page_tables).map(([gpa, value]) => ({
    gpa: BigInt(gpa),
    value: BigInt(value),
  }));
  const tables = new Map<bigint, string[]>();
  for (const { gpa, value } of entries) {
    const table = gpa - (gpa % PAGE);
    const level = scenario.tables.find((known) => BigInt(known.gpa) === table)?.level;
    const lines = tables.get(table) ?? ['', headOf(scenario, table)];
    lines.push(entryLine({ gpa, value: moved.entry(value), level }, scenario.pte_bytes));
    tables.set(table, lines);
  }
  return [...tables.values()].flat();
}

function headOf({ tables }: RecordedScenario, gpa: bigint): string {
  const table = tables.find((known) => BigInt(known.gpa) === gpa);
  if (table === undefined) return `# Memory from ${hex(gpa)} on.`;
  const { level, guest_sees_it_at: window } = table;
  const seen = typeof window === 'string' ? `; the guest writes it at ${window}` : '';
  return `# The level ${String(level)} table at ${hex(gpa)}${seen}.`;
}

function entryLine(
  { gpa, value, level }: { gpa: bigint; value: bigint; level: number | undefined },
  bytes: 4 | 8,
): string {
  const line = `entry ${hex(gpa)} = ${hex(value)}${bytes === 4 ? ' bytes=4' : ''}`;
  return level === undefined ? line : `${line}  # ${meaningOf(value, level)}`;
}

function meaningOf(value: bigint, level: number): string {
  if ((value & PRESENT) === 0n) return 'not present';
  const large = level > 1 && (value & PAGE_SIZE) !== 0n;
  const what = level === 1 ? 'gfn' : large ? 'large page at gfn' : 'table at gfn';
  const flags = FLAGS.map(([bit, set, clear]) => ((value & bit) === 0n ? clear : set)).filter(
    (w) => w !== '',
  );
  return [what, hex(frameOf(value)), ...flags].join(' ');
}

const MODES = { long64: '4-level', pae32: 'pae', legacy32: '2-level', nonpaging32: '2-level' } as const;

/** The tables that the program has when it begins, with the first address that each serves. */
export function recordedTables(scenario: RecordedScenario): readonly GuestTable[] {
  const { page_tables, pte_bytes, tables, mode, vcpus } = scenario;
  if (mode === 'nonpaging32') return [];
  const levels = levelsOf(MODES[mode]);
  const found = new Map<bigint, GuestTable>();
  const visit = (gpa: bigint, level: number, first: bigint): void => {
    const at = levels.find((own) => own.level === level);
    if (at === undefined || found.has(gpa) || !tables.some((t) => BigInt(t.gpa) === gpa && t.level === level))
      return;
    const firstGva = mode === 'long64' ? BigInt.asUintN(64, BigInt.asIntN(48, first)) : first;
    found.set(gpa, { gfn: gfn(Number(gpa / PAGE)), level, firstGva: gva(firstGva), space: 'main' });
    for (let index = 0; index < 1 << at.bits; index += 1) {
      const value = BigInt(page_tables[hex(gpa + BigInt(index * pte_bytes))] ?? '0x0');
      if ((value & PRESENT) === 0n || (level < 3 && (value & PAGE_SIZE) !== 0n)) continue;
      visit(frameOf(value) * PAGE, level - 1, first + (BigInt(index) << BigInt(at.shift)));
    }
  };
  for (const { cr3 } of vcpus) visit((BigInt(cr3) / PAGE) * PAGE, levels[0]?.level ?? 0, 0n);
  return [...found.values()];
}

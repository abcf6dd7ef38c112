/** What a line says about an entry of a table, against the guest's and the host's formats: levels, pages, addresses. */
import {
  guestAddressBits,
  guestMode,
  guestPageLevels,
  hostLevels,
  hostPageLevels,
  lastLevel,
} from '../core/hardware/encode.ts';
import type { TableLevel } from '../core/hardware/format.ts';
import { PHYSICAL_BITS } from '../core/hardware/registers.ts';
import { isCanonical } from '../core/hardware/x86-entry.ts';
import { vcpuId } from '../core/quantities.ts';
import type { Operation } from '../core/operations/operation.ts';
import type { Settings } from '../core/settings.ts';
import type { EntryChange, GuestAction, Line, Span } from './ast.ts';
import { GuestTables, MAIN_SPACE } from './guest-tables.ts';
import type { Report, Said } from './machine-check.ts';

/** What lines are planned on. */
export interface Ground {
  readonly settings: Settings;
  readonly tables: GuestTables;
  readonly report: Report;
}

const hexText = (value: bigint | number): string => `0x${value.toString(16)}`;
const sizeText = (shift: number): string =>
  shift >= 30
    ? `${String(2 ** (shift - 30))} GiB`
    : shift >= 20
      ? `${String(2 ** (shift - 20))} MiB`
      : '4 KiB';
/** `1, 2 or 3`. */
const orText = (numbers: readonly number[]): string => {
  const sorted = [...numbers].sort((a, b) => a - b).map(String);
  return sorted.length < 2 ? sorted.join('') : `${sorted.slice(0, -1).join(', ')} or ${sorted.at(-1) ?? ''}`;
};

/** Why the guest has no such address; undefined where it does. */
function whyNoAddress(address: bigint, settings: Settings): Said | undefined {
  const bits = guestAddressBits(settings);
  const text = hexText(address);
  const end = hexText(1n << BigInt(bits));
  if (settings.cpu === 'arm64') {
    if (address >> BigInt(bits) === 0n) return undefined;
    return {
      message: `${text} has more than ${String(bits)} bits, and only the lower half of the addresses is modelled`,
      remedy: `Use an address below ${end}.`,
    };
  }
  if (bits === 32) {
    if (address >> 32n === 0n) return undefined;
    return {
      message: `${text} is above 4 GiB, and this guest has addresses of 32 bits`,
      remedy: `Use an address below ${end}.`,
    };
  }
  if (isCanonical(address, bits === 48 ? '4-level' : '5-level')) return undefined;
  const upper = BigInt.asUintN(64, -(1n << BigInt(bits - 1)));
  return {
    message: `${text} is not canonical: bits 63 to ${String(bits - 1)} are not all equal`,
    remedy: `Use an address below ${hexText(1n << BigInt(bits - 1))} or from ${hexText(upper)} up.`,
  };
}

/** Whether the guest has such an address. */
export const hasAddress = (address: bigint, settings: Settings): boolean =>
  whyNoAddress(address, settings) === undefined;

/** Whether tables can serve the address; what is wrong is said. */
export function checkAddress({ settings, report }: Ground, address: bigint, line: Line): boolean {
  const why = whyNoAddress(address, settings);
  if (why !== undefined) report({ line }, why);
  return why === undefined;
}

/** Whether a program can name the address at all: one that is not canonical is the guest's own mistake. */
export function checkNameable(ground: Ground, address: bigint, line: Line): boolean {
  const narrow = ground.settings.cpu !== 'arm64' && guestAddressBits(ground.settings) === 32;
  return !narrow || checkAddress(ground, address, line);
}

const targetOf = (line: Line): Span | undefined =>
  line.tokens[line.tokens.findIndex((token) => token.kind === 'arrow') + 1];

/** The number behind `level=`, the first or the last of the line. */
function levelSpan(line: Line, which: 'first' | 'last'): Span | undefined {
  const pairs = line.tokens.filter(
    (token, at) => token.text === 'level' && line.tokens[at + 1]?.kind === 'equals',
  );
  const name = which === 'first' ? pairs[0] : pairs.at(-1);
  return name === undefined ? undefined : line.tokens[line.tokens.indexOf(name) + 2];
}

/** The level that a line names, or the last one; undefined, and said, where the tables have no such level. */
function levelIn(
  levels: readonly TableLevel[],
  named: number | undefined,
  by: { report: Report; line: Line; which?: 'first' | 'last' },
): TableLevel | undefined {
  if (named === undefined) return lastLevel(levels);
  const found = levels.find((at) => at.level === named);
  if (found !== undefined) return found;
  const numbers = levels.map((at) => at.level);
  by.report(
    { line: by.line, span: levelSpan(by.line, by.which ?? 'first') },
    {
      message: `the level is ${String(named)}`,
      remedy: `Write a number from ${String(Math.min(...numbers))} to ${String(Math.max(...numbers))}.`,
    },
  );
  return undefined;
}

/** The level of the guest's entry that a change means. */
export const levelOfChange = (
  { tables, report }: Ground,
  change: EntryChange,
  line: Line,
): TableLevel | undefined => levelIn(tables.levels, change.level, { report, line });

/** Levels at which an entry may name a page; the hypervisor of 2007 knows no pages of 1 GiB. */
const pageLevels = (settings: Settings): readonly number[] =>
  guestPageLevels(settings).filter((level) => settings.machine !== 'kvm-2007' || level <= 2);

function checkPage(ground: Ground, at: TableLevel, page: { frame: number; line: Line }): boolean {
  const { settings, report } = ground;
  const levels = pageLevels(settings);
  const { frame, line } = page;
  const place = { line, span: targetOf(line) };
  if (!levels.includes(at.level)) {
    report(place, {
      message: `An entry of level ${String(at.level)} names a table, not a page, on this machine`,
      remedy: `Write: -> table, or level=${orText(levels)}.`,
    });
    return false;
  }
  if (guestMode(settings) === '2-level' && at.level === 1 && frame >= 1 << 20) {
    report(place, {
      message: `Frame ${hexText(frame)} does not fit an entry of 4 bytes`,
      remedy: 'Use a frame below 0x100000.',
    });
    return false;
  }
  return checkAligned(ground, at, page);
}

function checkAligned(
  { report }: Ground,
  at: TableLevel,
  { frame, line }: { frame: number; line: Line },
): boolean {
  const frames = 2 ** (at.shift - 12);
  if (frame % frames === 0) return true;
  report(
    { line, span: targetOf(line) },
    {
      message: `Frame ${hexText(frame)} does not begin a page of ${sizeText(at.shift)}`,
      remedy: `Use a multiple of ${hexText(frames)}, for example ${hexText(frames * Math.max(1, Math.floor(frame / frames)))}.`,
    },
  );
  return false;
}

/** Flags that the guest's entries have no bits for. */
function checkFlags({ settings, report }: Ground, change: EntryChange, line: Line): void {
  const mode = guestMode(settings);
  const at = (word: string): Span | undefined => line.tokens.find((token) => token.text === word);
  if (change.flags.noExecute && mode === '2-level') {
    report(
      { line, span: at('nx') },
      { message: 'An entry of 4 bytes has no bit for nx', remedy: 'Leave nx out, or use guest=pae.' },
    );
  }
  const keys = !settings.machine.startsWith('kvm-') && (mode === '4-level' || mode === '5-level');
  if (change.flags.key !== 0 && !keys) {
    report(
      { line, span: at('key') },
      {
        message: 'Entries have no protection key on this machine',
        remedy: 'Leave key= out, or use machine native with guest=4-level.',
      },
    );
  }
}

/** What a change stores; undefined, and said, where that is nothing that the guest's format has. */
export function valueOfChange(
  ground: Ground,
  change: EntryChange,
  of: { line: Line; space: string; at: TableLevel },
): bigint | undefined {
  const { target, flags } = change;
  const { line, at } = of;
  checkFlags(ground, change, line);
  switch (target.kind) {
    case 'absent':
      return 0n;
    case 'gfn':
      if (!checkPage(ground, at, { frame: target.gfn, line })) return undefined;
      return ground.tables.entryOf('page', at.level, { frame: target.gfn, flags });
    case 'table':
      return entryOfTable(ground, change, of);
    case 'table-of':
      return entryOfNamedTable(ground, { ...change, target }, of);
  }
}

function entryOfTable(
  { tables, report }: Ground,
  { gva, flags }: EntryChange,
  { line, space, at }: { line: Line; space: string; at: TableLevel },
): bigint | undefined {
  const below = tables.below(at.level);
  if (below === undefined) {
    const others = tables.levels.slice(0, -1).map((level) => level.level);
    report(
      { line, span: targetOf(line) },
      {
        message: `An entry of level ${String(at.level)} names a page, not a table`,
        remedy: `Write level=${orText(others)} before ->.`,
      },
    );
    return undefined;
  }
  const child = tables.find({ space, level: below.level, gva });
  if (child !== undefined) return tables.entryOf('table', at.level, { frame: child.gfn, flags });
  report(
    { line },
    {
      message: 'No map line makes a table below this entry',
      remedy: 'Map an address of that range first.',
    },
  );
  return undefined;
}

/** An entry that names the table of another address: a page at the last level, a table above it. */
function entryOfNamedTable(
  { tables, report }: Ground,
  change: EntryChange & { target: Extract<EntryChange['target'], { kind: 'table-of' }> },
  { line, space, at }: { line: Line; space: string; at: TableLevel },
): bigint | undefined {
  const { target, flags } = change;
  const level = levelIn(tables.levels, target.level, { report, line, which: 'last' })?.level;
  if (level === undefined) return undefined;
  const table = tables.find({ space: target.space === '' ? space : target.space, level, gva: target.gva });
  const kind = tables.below(at.level) === undefined ? 'page' : 'table';
  if (table !== undefined) return tables.entryOf(kind, at.level, { frame: table.gfn, flags });
  report(
    { line },
    {
      message: `No map line makes a table of level ${String(level)} for ${hexText(target.gva)}`,
      remedy: `Add: map ${hexText(target.gva)} -> absent.`,
    },
  );
  return undefined;
}

/** Whether a change maps a window onto the table in that frame. */
export function opensWindow({ tables }: Ground, { target }: EntryChange, frame: number): boolean {
  if (target.kind !== 'table-of' || tables.levels.length === 0) return false;
  const space = target.space === '' ? MAIN_SPACE : target.space;
  const level = target.level ?? lastLevel(tables.levels).level;
  return tables.find({ space, level, gva: target.gva })?.gfn === frame;
}

/** An address at which a guest's kernel could see a frame. */
export function exampleWindow(settings: Settings, frame: number): string {
  const bits = guestAddressBits(settings);
  const base =
    settings.cpu === 'arm64'
      ? 1n << BigInt(bits - 1)
      : ({ 32: 0xc0000000n, 48: 0xffff880000000000n }[bits] ?? 0xff11000000000000n);
  return hexText(base + (BigInt(frame) << 12n));
}

/** A level of the second stage, for an address that it can serve. */
function hostPlace(
  { settings, report }: Ground,
  { gpa, level }: { gpa: bigint; level?: number },
  line: Line,
): TableLevel | undefined {
  if (gpa >> BigInt(PHYSICAL_BITS) === 0n) return levelIn(hostLevels(settings), level, { report, line });
  report(
    { line },
    {
      message: `${hexText(gpa)} is no guest physical address: they have ${String(PHYSICAL_BITS)} bits`,
      remedy: `Use an address below ${hexText(1n << BigInt(PHYSICAL_BITS))}.`,
    },
  );
  return undefined;
}

export function hostEntryOperation(
  ground: Ground,
  action: Extract<GuestAction, { kind: 'set-host-entry' }>,
  line: Line,
): Operation | undefined {
  const { settings, report } = ground;
  const at = hostPlace(ground, action, line);
  if (at === undefined) return undefined;
  const { change, gpa } = action;
  if (change.kind === 'page') {
    const levels = hostPageLevels(settings);
    const place = { line, span: targetOf(line) };
    if (!levels.includes(at.level)) {
      const remedy = `Write level=${orText(levels)}, or raw and a value.`;
      report(place, { message: `An entry of level ${String(at.level)} names a table, not a page`, remedy });
      return undefined;
    }
    if (!checkAligned(ground, at, { frame: change.frame, line })) return undefined;
    if (settings.cpu === 'svm' && !change.rights.read)
      report(place, { message: 'A nested entry of AMD cannot forbid reading', remedy: 'Add read.' });
  }
  return { kind: 'set-host-entry', vcpu: vcpuId(0), gpa, level: at.level, change };
}

export function flipOfHost(
  ground: Ground,
  { gpa, level, bit }: { gpa: bigint; level?: number | undefined; bit: number },
  line: Line,
): Operation | undefined {
  const at = hostPlace(ground, level === undefined ? { gpa } : { gpa, level }, line);
  return at === undefined
    ? undefined
    : { kind: 'flip', vcpu: vcpuId(0), bit, place: 'host', gpa, level: at.level };
}

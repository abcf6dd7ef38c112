/**
 * The tables of a second stage that maps all of guest memory from the start: EPT, nested tables, or arm64 stage 2.
 * Nobody maintains them; a scenario may change an entry, and nothing is flushed for it.
 */
import { assert, must } from '../assert.ts';
import { DESC_AF, DESC_TABLE, DESC_VALID, LAST_LEVEL } from '../hardware/arm-levels.ts';
import { S2AP_READ, S2AP_WRITE, type ArmFormatOptions } from '../hardware/arm-format.ts';
import { hostLevels } from '../hardware/encode.ts';
import { EPT_PS, EPT_R, EPT_W, EPT_WRITE_BACK, EPT_X } from '../hardware/ept-format.ts';
import { indexIn, type TableLevel } from '../hardware/format.ts';
import { PTE_NX, PTE_P, PTE_PS, PTE_U, PTE_W } from '../hardware/x86-entry.ts';
import type { Machine } from '../machine/machine.ts';
import type { HostRights, SlotRecord } from '../machine/tables.ts';
import { FIRST_SHADOW_PFN, hostFrameOf } from '../machine/world.ts';
import type { HostEntryChange } from '../operations/operation.ts';
import { gfn, pfn, wordOf, type Pfn } from '../quantities.ts';
import type { Settings } from '../settings.ts';

export type HostKind = 'npt' | 'ept' | 'arm';

export const hostKindOf = ({ cpu }: Settings): HostKind =>
  cpu === 'svm' ? 'npt' : cpu === 'arm64' ? 'arm' : 'ept';

/** Bits of an intermediate address on arm64, by the number of levels. */
const IPA_BITS: Readonly<Record<string, number>> = { '3-level': 40, '4-level': 48 };

/** Stage 2 as VTCR_EL2 would set it: 4 KiB granule, hardware access flag. */
export function armHostFormat(settings: Settings): ArmFormatOptions {
  const inputBits = must(IPA_BITS[settings.host], 'an address size');
  const startLevel = settings.host === '3-level' ? 1 : 0;
  return { granule: 12, inputBits, startLevel, outputBits: 48, ha: true, hd: false, hpd: false };
}

/** Address of the root table. */
export const HOST_ROOT = BigInt(FIRST_SHADOW_PFN) << 12n;

const ALL: HostRights = { read: true, write: true, execute: true };
const LARGE_SHIFT = 21;
const FRAME_WORDS = 512;

/** Builds the tables for all slots, inside steps of its own. */
export function buildHostTables(m: Machine): void {
  const builder = new Builder(m);
  for (const slot of m.world.tables.slot.values()) builder.mapSlot(slot);
}

class Builder {
  private readonly m: Machine;
  private readonly levels: readonly TableLevel[];
  private readonly kind: HostKind;
  private nextFrame: number;
  /** Frames of tables by depth and by the addresses that they serve. */
  private readonly tables = new Map<string, Pfn>();

  constructor(m: Machine) {
    this.m = m;
    this.levels = hostLevels(m.settings);
    this.kind = hostKindOf(m.settings);
    const root = must(this.levels[0], 'a level');
    const rootFrames = Math.max(1, 2 ** root.bits / FRAME_WORDS);
    this.nextFrame = FIRST_SHADOW_PFN + rootFrames;
    m.step('host-table', { pfn: FIRST_SHADOW_PFN, level: root.level, gpa: 0n });
    m.set('hostTable', FIRST_SHADOW_PFN, Object.freeze({ pfn: FIRST_SHADOW_PFN, depth: 0, gpa: 0n }));
  }

  mapSlot(slot: SlotRecord): void {
    const large = this.m.settings['host-pages'] === '2M' ? 2 ** (LARGE_SHIFT - 12) : 1;
    const first = slot.firstGfn - (slot.firstGfn % large);
    for (let frame = first; frame < slot.firstGfn + slot.frames; frame += large) {
      const gpa = BigInt(frame) << 12n;
      const depth = this.levels.findIndex((at) => at.shift === (large === 1 ? 12 : LARGE_SHIFT));
      const table = this.table(gpa, depth);
      const at = must(this.levels[depth], 'a level');
      const entry = encodeHostPage(this.kind, { at, frame: hostFrameOf(gfn(frame)), rights: ALL });
      this.m.set('word', wordOf(table, indexIn(at, gpa)), entry);
    }
  }

  private table(gpa: bigint, depth: number): Pfn {
    if (depth === 0) return FIRST_SHADOW_PFN;
    const above = must(this.levels[depth - 1], 'a level');
    const key = `${String(depth)} ${String(gpa >> BigInt(above.shift))}`;
    const known = this.tables.get(key);
    if (known !== undefined) return known;
    const parent = this.table(gpa, depth - 1);
    const frame = pfn(this.nextFrame);
    this.nextFrame += 1;
    this.tables.set(key, frame);
    const firstGpa = (gpa >> BigInt(above.shift)) << BigInt(above.shift);
    const { level } = must(this.levels[depth], 'a level');
    this.m.step('host-table', { pfn: frame, level, gpa: firstGpa });
    this.m.set('hostTable', frame, Object.freeze({ pfn: frame, depth, gpa: firstGpa }));
    this.m.set('word', wordOf(parent, indexIn(above, gpa)), encodeHostTable(this.kind, frame));
    return frame;
  }
}

function encodeHostTable(kind: HostKind, frame: number): bigint {
  const address = BigInt(frame) << 12n;
  if (kind === 'ept') return address | EPT_R | EPT_W | EPT_X;
  if (kind === 'npt') return address | PTE_P | PTE_W | PTE_U;
  return address | DESC_VALID | DESC_TABLE;
}

/** Stage 2: normal memory, write-back, inner shareable. */
const S2_NORMAL = (0xfn << 2n) | (3n << 8n);
const S2_NO_EXECUTE = 2n << 53n;

interface HostPage {
  readonly at: TableLevel;
  readonly frame: number;
  readonly rights: HostRights;
}

/** An entry that names a page of the level's size. Nested tables have no separate right to read. */
export function encodeHostPage(kind: HostKind, { at, frame, rights }: HostPage): bigint {
  const address = BigInt(frame) << 12n;
  const { read, write, execute } = rights;
  switch (kind) {
    case 'ept':
      return (
        address |
        (read ? EPT_R : 0n) |
        (write ? EPT_W : 0n) |
        (execute ? EPT_X : 0n) |
        EPT_WRITE_BACK |
        (at.level > 1 ? EPT_PS : 0n)
      );
    case 'npt':
      return (
        address |
        (read ? PTE_P : 0n) |
        (write ? PTE_W : 0n) |
        PTE_U |
        (execute ? 0n : PTE_NX) |
        (at.level > 1 ? PTE_PS : 0n)
      );
    case 'arm':
      return (
        address |
        DESC_VALID |
        (at.level === LAST_LEVEL ? DESC_TABLE : 0n) |
        DESC_AF |
        S2_NORMAL |
        (read ? S2AP_READ : 0n) |
        (write ? S2AP_WRITE : 0n) |
        (execute ? 0n : S2_NO_EXECUTE)
      );
  }
}

/** The word of the entry of `level` that serves a guest physical address, where the tables reach so far. */
export function hostEntryWord(
  m: Machine,
  { gpa, level }: { gpa: bigint; level: number },
): number | undefined {
  const levels = hostLevels(m.settings);
  const tables = [...m.world.tables.hostTable.values()];
  const depth = levels.findIndex((at) => at.level === level);
  const at = levels[depth];
  if (at === undefined) return undefined;
  const above = levels[depth - 1];
  const covered = above === undefined ? 0n : gpa >> BigInt(above.shift);
  const table = tables.find(
    (candidate) =>
      candidate.depth === depth && (above === undefined || candidate.gpa >> BigInt(above.shift) === covered),
  );
  return table === undefined ? undefined : wordOf(table.pfn, indexIn(at, gpa));
}

export function hostEntryValue(m: Machine, level: number, change: HostEntryChange): bigint {
  if (change.kind === 'absent') return 0n;
  if (change.kind === 'raw') return change.value;
  const at = hostLevels(m.settings).find((candidate) => candidate.level === level);
  assert(at !== undefined, 'a level of the second stage');
  return encodeHostPage(hostKindOf(m.settings), { at, frame: change.frame, rights: change.rights });
}

/**
 * Recorded page walks for tests: tables of any two modes laid out in memory, one walk over them per operation, and the
 * timeline of that. The smallest program there is stands in for a scenario's.
 */
import { Journal } from '../core/machine/journal.ts';
import { Machine } from '../core/machine/machine.ts';
import { DEFAULT_SETTINGS } from '../core/settings.ts';
import { gfn } from '../core/quantities.ts';
import { eptLevels } from '../core/hardware/ept-levels.ts';
import { eptFormat, EPT_BITS, EPT_WRITE_BACK } from '../core/hardware/ept-format.ts';
import { indexIn, writeEntry, type TableLevel } from '../core/hardware/format.ts';
import {
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PSE,
  EFER_LMA,
  EFER_NXE,
  pagingRegisters,
  PHYSICAL_BITS,
  type AccessKind,
} from '../core/hardware/registers.ts';
import { eptStage, nptStage, type SecondStage, type StageFault } from '../core/hardware/second-stage.ts';
import { walk } from '../core/hardware/walk.ts';
import { X86_BITS } from '../core/hardware/x86-entry.ts';
import type { PagingMode } from '../core/hardware/paging-mode.ts';
import { entryBytesOf, levelsOf, x86Format } from '../core/hardware/x86-format.ts';
import type { Recorder } from '../core/operations/recorder.ts';
import type { WalkGeometry } from '../scene/walk-record.ts';
import { Timeline } from '../timeline/timeline.ts';

/** A timeline of what `operations` do to a machine, one after another. */
export function timelineFrom(operations: readonly ((m: Machine) => void)[]): Timeline {
  const machine = new Machine({ settings: DEFAULT_SETTINGS, journal: new Journal() });
  const records = operations.map((run, number) => {
    const firstStep = machine.steps;
    machine.call('operation', { index: number }, () => {
      run(machine);
    });
    const section = number === 0 ? 'setup' : 'body';
    return { section, number, text: '', line: 0, lastLine: 0, firstStep, endStep: machine.steps } as const;
  });
  const program = {
    settings: DEFAULT_SETTINGS,
    slots: [],
    memory: [],
    tables: [],
    root: gfn(0),
    given: [],
    body: [],
  };
  const beginStep = records[0]?.endStep ?? 0;
  // What a timeline asks of a recorder, without the hypervisor that a recorder brings.
  const recorder = { machine, program, operations: records, beginStep, stop: undefined };
  return new Timeline(recorder as unknown as Recorder, []);
}

type HostMode = Extract<PagingMode, '4-level' | '5-level' | 'pae' | '2-level'>;

export interface WalkRun {
  readonly guest: PagingMode;
  /** Mode of nested tables as AMD has them, or EPT; none for one dimension. */
  readonly host?: HostMode | 'ept' | 'ept-5';
  /** Sizes of the pages as powers of two. */
  readonly guestPage?: number;
  readonly hostPage?: number;
  readonly gva?: bigint;
  /** Host physical address of guest physical address 0. */
  readonly guestAt?: bigint;
  readonly access?: AccessKind;
  /** Walks of one address after another, each an operation. */
  readonly walks?: number;
  /** PAE: the root entries are held in registers. */
  readonly pdptrs?: boolean;
  /** Changes the tables before the walk. */
  readonly damage?: (tables: { guest: Tables; host: Tables | undefined }) => void;
}

/** Where guest memory lies in host memory. */
const GUEST_AT = 0x5_8000_0000n;
/** Within reach of a host with 32-bit tables. */
const LOW_GUEST_AT = 0x80_0000n;
const GUEST_TABLES = 0x10_0000n;
const HOST_TABLES = 0x4_0000n;
const PAGE = 0x4000_0000n;
const GVA = { wide: 0x7f3c_5a82_3010n, narrow: 0x5a82_3010n } as const;

const X86_FLAGS = 0x7n;
const EPT_FLAGS = 0x7n;
const LARGE = 0x80n;

/** Tables under construction: what maps an address, and where each entry lies in memory. */
export class Tables {
  readonly root: bigint;
  readonly levels: readonly TableLevel[];
  private next: bigint;
  private readonly children = new Map<string, bigint>();
  /** Writes an entry at an address of the space that the tables name. */
  readonly put: (address: bigint, entry: bigint) => void;
  private readonly leafFlags: bigint;
  private readonly bytes: 4 | 8;

  constructor(by: {
    root: bigint;
    levels: readonly TableLevel[];
    bytes: 4 | 8;
    leafFlags: bigint;
    put: (address: bigint, entry: bigint) => void;
  }) {
    this.root = by.root;
    this.next = by.root + 0x1000n;
    this.levels = by.levels;
    this.bytes = by.bytes;
    this.leafFlags = by.leafFlags;
    this.put = by.put;
  }

  /** Address of the entry of `level` that serves `address`. */
  entry(address: bigint, level: number): bigint {
    let table = this.root;
    for (const at of this.levels) {
      const place = table + BigInt(indexIn(at, address) * this.bytes);
      if (at.level === level) return place;
      table = this.children.get(key(table, at, address)) ?? 0n;
    }
    return 0n;
  }

  map(address: bigint, target: bigint, pageBits: number): void {
    let table = this.root;
    for (const at of this.levels) {
      const place = table + BigInt(indexIn(at, address) * this.bytes);
      if (at.shift === pageBits) {
        this.put(
          place,
          (target & ~((1n << BigInt(at.shift)) - 1n)) | this.leafFlags | (at.level > 1 ? LARGE : 0n),
        );
        return;
      }
      const child = this.children.get(key(table, at, address)) ?? this.next;
      if (child === this.next) this.next += 0x1000n;
      this.children.set(key(table, at, address), child);
      this.put(place, child | (this.isRegister(at) ? 1n : X86_FLAGS));
      table = child;
    }
  }

  /** Entries of a PAE root grant nothing: only P may be set. */
  private isRegister(at: TableLevel): boolean {
    return at.bits === 2;
  }
}

const key = (table: bigint, at: TableLevel, address: bigint): string =>
  `${String(table)} ${String(indexIn(at, address))}`;

const hostLevels = (host: NonNullable<WalkRun['host']>): readonly TableLevel[] =>
  host === 'ept' || host === 'ept-5' ? eptLevels(host === 'ept' ? 4 : 5) : levelsOf(host);

const EPT = {
  physicalBits: PHYSICAL_BITS,
  accessedDirty: false,
  executeOnly: false,
  oneGiB: true,
} as const;

function stageOf(host: NonNullable<WalkRun['host']>, access: AccessKind): SecondStage {
  const root = HOST_TABLES;
  if (host === 'ept' || host === 'ept-5')
    return eptStage({ ...EPT, root, levels: host === 'ept' ? 4 : 5 }, access);
  return nptStage({ root, mode: host, physicalBits: PHYSICAL_BITS, nxe: true }, access);
}

/** The levels of such a run, and how its entries are read. */
export function geometryOfRun({ guest, host }: WalkRun): WalkGeometry {
  const options = { physicalBits: PHYSICAL_BITS, nxe: true, pse: true } as const;
  const guestReader = { ...x86Format({ mode: guest, ...options }), bits: X86_BITS };
  if (host === undefined) return { guest: levelsOf(guest), host: [], readers: { guest: guestReader } };
  const isEpt = host === 'ept' || host === 'ept-5';
  const hostReader = isEpt
    ? { ...eptFormat({ ...EPT, levels: host === 'ept' ? 4 : 5 }), bits: EPT_BITS }
    : { ...x86Format({ mode: host, ...options }), bits: X86_BITS };
  return {
    guest: levelsOf(guest),
    host: hostLevels(host),
    readers: { guest: guestReader, host: hostReader },
  };
}

const placeOf = ({ host, guestAt }: WalkRun, gpa: bigint): bigint =>
  host === undefined ? gpa : gpa + (guestAt ?? (host === '2-level' ? LOW_GUEST_AT : GUEST_AT));

function build(m: Machine, run: WalkRun): { guest: Tables; host: Tables | undefined; gva: bigint } {
  const { host: hostMode, guest: mode } = run;
  const wide = mode === '4-level' || mode === '5-level';
  const gva = run.gva ?? (wide ? GVA.wide : GVA.narrow);
  const bytes = hostMode === '2-level' ? 4 : 8;
  const host =
    hostMode === undefined
      ? undefined
      : new Tables({
          root: HOST_TABLES,
          levels: hostLevels(hostMode),
          bytes,
          leafFlags: hostMode.startsWith('ept') ? EPT_FLAGS | EPT_WRITE_BACK : X86_FLAGS,
          put: (address, entry) => {
            writeEntry(m, { address, bytes }, entry);
          },
        });
  const back = (gpa: bigint): bigint => {
    host?.map(gpa, placeOf(run, gpa), run.hostPage ?? 12);
    return placeOf(run, gpa);
  };
  const guestBytes = entryBytesOf(mode);
  const guest = new Tables({
    root: GUEST_TABLES,
    levels: levelsOf(mode),
    bytes: guestBytes,
    leafFlags: X86_FLAGS,
    put: (gpa, entry) => {
      writeEntry(m, { address: back(gpa), bytes: guestBytes }, entry);
    },
  });
  if (mode === 'nonpaging') back(gva);
  else guest.map(gva, PAGE, run.guestPage ?? 12);
  const at = run.guestPage ?? 12;
  back(PAGE | (gva & ((1n << BigInt(at)) - 1n)));
  return { guest, host, gva };
}

const RAW: Readonly<Record<PagingMode, { cr0: bigint; cr4: bigint; efer: bigint }>> = {
  nonpaging: { cr0: 0n, cr4: 0n, efer: 0n },
  '2-level': { cr0: CR0_PG | CR0_WP, cr4: CR4_PSE, efer: 0n },
  pae: { cr0: CR0_PG | CR0_WP, cr4: CR4_PAE, efer: EFER_NXE },
  '4-level': { cr0: CR0_PG | CR0_WP, cr4: CR4_PAE, efer: EFER_NXE | EFER_LMA },
  '5-level': { cr0: CR0_PG | CR0_WP, cr4: CR4_PAE | CR4_LA57, efer: EFER_NXE | EFER_LMA },
};

/** Lays the tables out in operation 0 and walks once in each operation after it. */
export function walkRun(run: WalkRun): { timeline: Timeline; geometry: WalkGeometry } {
  const access = run.access ?? 'read';
  const raw = { cr3: GUEST_TABLES, ...RAW[run.guest] };
  let gva = 0n;
  const walkOnce = (m: Machine): void => {
    const pdptrs = run.pdptrs === true ? [0, 1, 2, 3].map((at) => m.word(pdpte(run, at))) : undefined;
    const registers = { ...pagingRegisters(raw), ...(pdptrs === undefined ? {} : { pdptrs }) };
    const request = { gva, access, user: true, registers } as const;
    const stage = run.host === undefined ? undefined : stageOf(run.host, access);
    if (stage === undefined) walk(m, request);
    else walk<StageFault>(m, { ...request, host: (gpa, use) => stage.locate(m, gpa, use) });
  };
  const timeline = timelineFrom([
    (m) => {
      m.step('setup-memory', { gfn: 0 });
      const built = build(m, run);
      gva = built.gva;
      run.damage?.(built);
    },
    ...Array.from({ length: run.walks ?? 1 }, () => walkOnce),
  ]);
  timeline.seek(timeline.length);
  return { timeline, geometry: geometryOfRun(run) };
}

const pdpte = (run: WalkRun, index: number): number => Number(placeOf(run, GUEST_TABLES) >> 3n) + index;

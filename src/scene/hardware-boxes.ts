/** The vCPUs and their TLBs as boxes. */
import { gfnOfAddress, pfnOfAddress, type Pfn } from '../core/quantities.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { currentAsidOf, IPI_IN_FLIGHT } from '../core/kvm/vendor.ts';
import { differsFromTables } from '../core/hardware/tlb.ts';
import type { TlbEntry, VcpuState } from '../core/machine/tables.ts';
import { BOUNDS } from '../core/bounds.ts';
import { contextIn } from '../core/kvm/context-2007.ts';
import type { CpuRow } from './cast.ts';
import { entryTitle, flagsOf } from './entries.ts';
import { guestDialect, PAE_ROOT } from './kvm-dialects.ts';
import { cpuColumns, ROWS_OF_EACH_TLB } from './layout.ts';
import { hex, place, stateOfKeys, type Context, type SceneBox, type SceneRow } from './parts.ts';

/** What is said of vCPUs and TLBs in one way by a KVM of 2007, and in another by one of today. */
export interface HardwareWords {
  readonly mode: (context: Context, vcpu: number) => string;
  /** Beside a guest's root the shadow's: not where four entries of a page of its own are the root. */
  readonly root: (context: Context, vcpu: number) => string;
  /** What the vCPU has to do before it runs the guest. */
  readonly owed: (context: Context, vcpu: number) => string | undefined;
  readonly row: (context: Context, of: { row: CpuRow; vcpu: number }) => SceneRow;
  /** The tag of the TLB entries that the vCPU uses now, 0 where there are none; and what the tag is called. */
  readonly tag: (context: Context, vcpu: number) => number;
  readonly tagName: (context: Context) => string;
  readonly gfnOf: (context: Context, pfn: Pfn) => number | undefined;
}

const OF_2007: HardwareWords = {
  mode: ({ world }, vcpu) => MODE_WORDS[contextIn(world, vcpu).mode] ?? '',
  root: ({ world }, vcpu) => {
    const hpa = world.get('reg', `${String(vcpu)}.root_hpa`) ?? 0n;
    const root = shadowPageAt(world, pfnOfAddress(hpa));
    return root === undefined ? '' : ` → sp ${String(root.serial)}`;
  },
  owed: ({ world }, vcpu) => {
    const owed = [...world.tables.owed.values()].filter((debt) => debt.vcpu === vcpu);
    if (owed.some((debt) => debt.overdue === true)) return 'flush overdue';
    if ((world.get('reg', `${String(vcpu)}.${IPI_IN_FLIGHT}`) ?? 0n) !== 0n) return 'interrupt on its way';
    if (world.get('request', vcpu) !== undefined) return 'asked to flush before entry';
    return owed.length === 0 ? undefined : 'flush owed before entry';
  },
  row: (context, { vcpu }) => floodRow(context, vcpu),
  tag: ({ world }, vcpu) => currentAsidOf(world, vcpu),
  tagName: ({ settings }) => (settings.cpu === 'vmx-vpid' ? 'VPID' : 'ASID'),
  gfnOf: (_context, pfn) => gfnOfPfn(pfn),
};

/** Each vCPU and its TLB. */
export const hardwareBoxes = (context: Context, words = OF_2007): readonly SceneBox[] =>
  (context.cast.kvm?.vcpus ?? [0]).flatMap((vcpu) => [
    cpuBox(context, vcpu, words),
    tlbBox(context, vcpu, words),
  ]);

function cpuBox(context: Context, vcpu: number, words: HardwareWords): SceneBox {
  const state = context.world.get('vcpu', vcpu);
  const id = `vcpu:${String(vcpu)}`;
  const area = place(context, id);
  const columns = cpuColumns(context.cast, area.width);
  const badge = words.owed(context, vcpu);
  return {
    ...area,
    id,
    zone: 'hardware',
    title: `vCPU ${String(vcpu)}`,
    subtitle: modeText(state),
    rows: cpuRows(context, vcpu, words),
    ...(columns > 1 ? { columns } : {}),
    fold: '',
    state: context.changes.has(id) ? 'touched' : 'quiet',
    ...(badge === undefined ? {} : { badge }),
  };
}

function modeText(state: VcpuState | undefined): string {
  switch (state?.mode) {
    case 'guest':
      return 'in guest';
    case 'user space':
      return 'in user space';
    case 'halted':
      return 'halted';
    case 'hypervisor':
    case undefined:
      return `in exit ${String(state?.exitSerial ?? 0)}`;
  }
}

/** Rows of the first vCPU can be looked into by their plain names. */
const regRow = (vcpu: number, name: string): string =>
  vcpu === 0 ? `reg:${name}` : `reg:${String(vcpu)}.${name}`;

function cpuRows(context: Context, vcpu: number, words: HardwareWords): readonly SceneRow[] {
  const reg = (name: string): bigint => context.world.get('reg', `${String(vcpu)}.${name}`) ?? 0n;
  const state = (...names: string[]): SceneRow['state'] =>
    stateOfKeys(
      context,
      names.map((name) => `reg:${String(vcpu)}.${name}`),
    );
  let pdpte = 0;
  return (context.cast.kvm?.rows ?? []).map((row): SceneRow => {
    switch (row) {
      case 'cr3':
        return {
          id: regRow(vcpu, 'cr3'),
          index: 'CR3',
          text: `gfn ${hex(gfnOfAddress(reg('cr3')))}${words.root(context, vcpu)}`,
          flags: [],
          state: state('cr3', 'root_hpa'),
        };
      case 'mode':
        return {
          id: regRow(vcpu, 'cr0'),
          index: 'mode',
          text: words.mode(context, vcpu),
          title: ['cr0', 'cr4', 'efer'].map((name) => `${name.toUpperCase()} 0x${hex(reg(name))}`).join('\n'),
          flags: [],
          state: state('cr0', 'cr4', 'efer'),
        };
      case 'pdpte':
        return pdpteRow(context, { vcpu, index: pdpte++, state });
      case 'flood':
      case 'previous':
      case 'device':
        return words.row(context, { row, vcpu });
    }
  });
}

export const MODE_WORDS: Readonly<Record<string, string>> = {
  nonpaging: 'paging off',
  '2-level': '2-level',
  pae: 'PAE',
  '4-level': '4-level',
  '5-level': '5-level',
};

/** A root entry of PAE that the processor keeps. The step that reads it from there says which. */
function pdpteRow(
  context: Context,
  { vcpu, index, state }: { vcpu: number; index: number; state: (name: string) => SceneRow['state'] },
): SceneRow {
  const name = `pdptr${String(index)}`;
  const value = context.world.get('reg', `${String(vcpu)}.${name}`) ?? 0n;
  const before = (context.changes.get(`reg:${String(vcpu)}.${name}`)?.before as bigint | undefined) ?? value;
  const { step } = context;
  const isRead =
    step?.kind === 'guest-walk-pdptr' ||
    (step?.kind === 'gwalk-element' && step.facts['level'] === PAE_ROOT.level);
  const read = isRead && step.facts['index'] === index;
  const own = state(name);
  const dialect = guestDialect('pae');
  return {
    id: regRow(vcpu, name),
    index: `PDPTE${String(index)}`,
    text: value === 0n ? 'empty' : hex(gfnOfAddress(value)),
    title: entryTitle(dialect, PAE_ROOT, value),
    flags: flagsOf(dialect, PAE_ROOT, { value, before }).filter((flag) => flag.text.trim() !== ''),
    state: own === 'quiet' && read ? 'read' : own,
  };
}

/** The fork detector: writes in a row into one shadowed table. */
function floodRow(context: Context, vcpu: number): SceneRow {
  const now = (name: string): bigint =>
    context.world.get('reg', `${String(vcpu)}.last_pt_write_${name}`) ?? 0n;
  const before = (name: string): bigint =>
    (context.changes.get(`reg:${String(vcpu)}.last_pt_write_${name}`)?.before as bigint | undefined) ??
    now(name);
  const text = (of: (name: string) => bigint): string =>
    of('count') === 0n ? 'none' : `${String(of('count'))} to gfn ${hex(of('gfn'))}`;
  return {
    id: `flood:${String(vcpu)}`,
    index: 'PT writes',
    text: text(now),
    title:
      'Writes in a row into one shadowed page table. At the third the hypervisor gives up its shadow: the guest may be forking.',
    flags: [],
    // A count of 0 is often written over by 0.
    state: text(before) === text(now) ? 'quiet' : 'changed',
  };
}

function tlbBox(context: Context, vcpu: number, words: HardwareWords): SceneBox {
  const asid = words.tag(context, vcpu);
  const entries = [...context.world.tables.tlb.values()]
    .filter((entry) => entry.vcpu === vcpu)
    .sort((a, b) => a.serial - b.serial);
  const live = entries.filter((entry) => entry.asid === asid);
  const several = (context.cast.kvm?.vcpus.length ?? 1) > 1;
  const most = several ? ROWS_OF_EACH_TLB : BOUNDS.tlbEntriesDrawn;
  const rows = live.slice(-most).map((entry) => tlbRow(context, entry, words));
  const id = `tlb:${String(vcpu)}`;
  const touched = [...context.changes.keys(), ...context.reads].some((key) => key.startsWith(`${id}:`));
  const own = context.step?.vcpu === vcpu;
  const flushed = own && (context.step.op === 'flush' || context.step.facts['freshAsid'] === true);
  const dead = entries.length - live.length;
  return {
    ...place(context, id),
    id,
    zone: 'hardware',
    title: several ? `TLB ${String(vcpu)}` : 'TLB',
    subtitle: asid === 0 ? '' : `${words.tagName(context)} ${String(asid)}`,
    rows,
    fold: [
      live.length === 0 ? 'empty' : '',
      live.length > most ? `+${String(live.length - most)} older` : '',
      dead > 0
        ? `${String(dead)} of older ${words.tagName(context)}s${several || live.length === 0 ? '' : ', unusable'}`
        : '',
    ]
      .filter((part) => part !== '')
      .join(' · '),
    state: touched || flushed ? 'touched' : 'quiet',
  };
}

function tlbRow(context: Context, entry: TlbEntry, words: HardwareWords): SceneRow {
  const key = `tlb:${String(entry.vcpu)}:${String(entry.serial)}`;
  const gva = BigInt(entry.vpn) << 12n;
  const rights = [entry.writable ? 'W' : '–', entry.user ? 'U' : '–', entry.executable ? 'X' : '–'];
  const differs = differsFromTables(context.world, entry);
  const row: SceneRow = {
    id: key,
    index: '',
    text: `${context.nameOf(gva) ?? `…${hex(gva).slice(-8, -3)}`} → ${hex(words.gfnOf(context, entry.pfn) ?? entry.pfn)}`,
    flags: rights.map((text) => ({ text, set: text !== '–', changed: false, meaning: 'cached right' })),
    state: context.changes.has(key) ? 'changed' : context.reads.has(key) ? 'read' : 'quiet',
  };
  return differs ? { ...row, text: `${row.text} ≠ tables`, mark: 'no longer what the tables say' } : row;
}

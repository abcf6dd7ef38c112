/** The vCPU, its TLB and its paging-structure caches as boxes. */
import { BOUNDS } from '../../core/bounds.ts';
import { hostKindOf } from '../../core/bare/host-tables.ts';
import { isArm } from '../../core/bare/registers.ts';
import { pagingModeOf } from '../../core/hardware/registers.ts';
import { differsFromTables } from '../../core/hardware/tlb.ts';
import type { PscEntry, TlbEntry } from '../../core/machine/tables.ts';
import { FIRST_SHADOW_PFN } from '../../core/machine/world.ts';
import { gfnOfPfn } from '../../core/kvm/memslots.ts';
import { gfnOfAddress } from '../../core/quantities.ts';
import type { Settings } from '../../core/settings.ts';
import { columnsIn } from '../layout.ts';
import { hex, place, type Context, type Flag, type SceneBox, type SceneRow } from '../parts.ts';
import { frameWord, type Dialects } from './boxes.ts';
import { keepsPdptes } from './cast.ts';
import { entryTitle, flagsOf } from '../entries.ts';
import { sizeText } from '../dialect.ts';

export interface Hardware {
  readonly settings: Settings;
  readonly dialects: Dialects;
}

export const hardwareBoxes = (context: Context, hardware: Hardware): readonly SceneBox[] => [
  cpuBox(context, hardware),
  tlbBox(context, hardware),
  ...((context.cast.bare?.rows.psc ?? 0) > 0 ? [pscBox(context, hardware)] : []),
];

const register = ({ world }: Context, name: string): bigint => world.get('reg', `0.${name}`) ?? 0n;
const registerState = (context: Context, names: readonly string[]): SceneRow['state'] =>
  names.some((name) => context.changes.has(`reg:0.${name}`)) ? 'changed' : 'quiet';

function cpuBox(context: Context, hardware: Hardware): SceneBox {
  const vcpu = context.world.get('vcpu', 0);
  const { settings } = hardware;
  const nested = context.cast.bare?.nested === true;
  return {
    ...place(context, 'vcpu:0'),
    id: 'vcpu:0',
    zone: 'hardware',
    title: nested ? 'vCPU 0' : 'CPU 0',
    subtitle: !nested ? '' : vcpu?.mode === 'hypervisor' ? `in exit ${String(vcpu.exitSerial)}` : 'in guest',
    rows: [
      rootRow(context, settings),
      modeRow(context, settings),
      ...stageRow(settings),
      ...pdpteRows(context, hardware),
    ],
    fold: '',
    state: context.changes.has('vcpu:0') ? 'touched' : 'quiet',
  };
}

function rootRow(context: Context, settings: Settings): SceneRow {
  const arm = isArm(settings);
  const value = register(context, 'cr3');
  const pcid = arm ? register(context, 'ttbr0_asid') : pcidOf(context, value);
  const space = pcid === 0n ? '' : ` · ${arm ? 'ASID' : 'PCID'} ${String(pcid)}`;
  return {
    id: 'reg:cr3',
    index: arm ? 'TTBR0' : 'CR3',
    text: `${frameWord(context)} ${hex(gfnOfAddress(value))}${space}`,
    title: `0x${hex(value)}`,
    flags: [],
    state: registerState(context, ['cr3', 'ttbr0_asid']),
  };
}

const CR4_PCIDE = 17n;
const pcidOf = (context: Context, cr3: bigint): bigint =>
  ((register(context, 'cr4') >> CR4_PCIDE) & 1n) === 0n ? 0n : cr3 & 0xfffn;

function modeRow(context: Context, settings: Settings): SceneRow {
  const raw = {
    cr0: register(context, 'cr0'),
    cr4: register(context, 'cr4'),
    efer: register(context, 'efer'),
  };
  const mode = isArm(settings) ? settings.guest : pagingModeOf(raw);
  return {
    id: isArm(settings) ? 'mode' : 'reg:cr0',
    index: 'mode',
    text: mode === 'nonpaging' ? 'paging off' : mode === 'pae' ? 'PAE' : mode,
    title: Object.entries(isArm(settings) ? armRegisters(context) : raw)
      .map(([name, value]) => `${name.toUpperCase()} 0x${hex(value)}`)
      .join('\n'),
    flags: [],
    state: registerState(context, ['cr0', 'cr4', 'efer', 'sctlr_el1', 'tcr_el1']),
  };
}

const armRegisters = (context: Context): Readonly<Record<string, bigint>> => ({
  sctlr_el1: register(context, 'sctlr_el1'),
  tcr_el1: register(context, 'tcr_el1'),
});

const STAGE_ROOTS = { ept: 'EPTP', npt: 'nCR3', arm: 'VTTBR' } as const;

function stageRow(settings: Settings): readonly SceneRow[] {
  if (settings.machine !== 'two-stage') return [];
  return [
    {
      id: 'stage2',
      index: STAGE_ROOTS[hostKindOf(settings)],
      text: `host ${hex(FIRST_SHADOW_PFN)}`,
      title: `The root of the second stage lies in host frame ${hex(FIRST_SHADOW_PFN)}: ${settings.host}.`,
      flags: [],
      state: 'quiet',
    },
  ];
}

function pdpteRows(context: Context, { settings, dialects }: Hardware): readonly SceneRow[] {
  const at = dialects.guest?.levels[0];
  if (!keepsPdptes(settings) || dialects.guest === undefined || at === undefined) return [];
  const { guest } = dialects;
  const read = context.step?.kind === 'walk-register' ? context.step.facts['index'] : undefined;
  return [0, 1, 2, 3].map((index) => {
    const name = `pdptr${String(index)}`;
    const value = register(context, name);
    const before = (context.changes.get(`reg:0.${name}`)?.before as bigint | undefined) ?? value;
    const state = registerState(context, [name]);
    return {
      id: `reg:${name}`,
      index: `PDPTE${String(index)}`,
      text: value === 0n ? 'empty' : hex(gfnOfAddress(value)),
      title: entryTitle(guest, at, value),
      flags: flagsOf(guest, at, { value, before }).filter((flag) => flag.text.trim() !== ''),
      state: state === 'quiet' && read === index ? 'read' : state,
    };
  });
}

/** What the processor calls the number of a virtual machine or processor. */
export const tagName = ({ cpu }: Settings): string =>
  cpu === 'svm' ? 'ASID' : cpu === 'arm64' ? 'VMID' : 'VPID';

const live = <T extends { readonly vcpu: number; readonly serial: number }>(
  entries: Iterable<T>,
): readonly T[] => [...entries].filter((entry) => entry.vcpu === 0).sort((a, b) => a.serial - b.serial);

function cacheBox<T>(
  context: Context,
  of: {
    id: 'tlb:0' | 'psc:0';
    title: string;
    subtitle: string;
    entries: readonly T[];
    row: (entry: T) => SceneRow;
  },
): SceneBox {
  const { id, entries } = of;
  const shown = entries.slice(-BOUNDS.tlbEntriesDrawn);
  const hidden = entries.length - shown.length;
  const table = id.slice(0, 4);
  const touched = [...context.changes.keys(), ...context.reads].some((key) => key.startsWith(table));
  const area = place(context, id);
  return {
    ...area,
    id,
    zone: 'hardware',
    title: of.title,
    subtitle: of.subtitle,
    rows: shown.map(of.row),
    columns: columnsIn(context.cast, area.width),
    fold: entries.length === 0 ? 'empty' : hidden > 0 ? `+${String(hidden)} older` : '',
    state: touched || context.step?.op === 'flush' ? 'touched' : 'quiet',
  };
}

function tlbBox(context: Context, { settings }: Hardware): SceneBox {
  const entries = live(context.world.tables.tlb.values());
  const numbers = new Set(entries.map((entry) => entry.asid).filter((asid) => asid !== 0));
  const [number] = numbers;
  return cacheBox(context, {
    id: 'tlb:0',
    title: 'TLB',
    subtitle: numbers.size === 1 && number !== undefined ? `${tagName(settings)} ${String(number)}` : '',
    entries,
    row: (entry) => tlbRow(context, entry, settings),
  });
}

/** A host frame as these machines number it: without a hypervisor, as the system itself does. */
export function frameText({ cast }: Pick<Context, 'cast'>, pfn: number): string {
  const own = cast.bare?.nested === true ? undefined : gfnOfPfn(pfn as never);
  return hex(own ?? pfn);
}

const pageText = (context: Context, vpn: number): string => {
  const address = BigInt.asUintN(64, BigInt(vpn) << 12n);
  const named = context.nameOf(address);
  if (named !== undefined) return named.length > 9 ? `${named.slice(0, 8)}…` : named;
  return shortened(hex(address >> 12n));
};

/** The upper digits of a long address say least. */
const shortened = (digits: string): string => (digits.length > 9 ? `…${digits.slice(-8)}` : digits);

export function tlbRow(context: Context, entry: TlbEntry, settings: Settings): SceneRow {
  const key = `tlb:0:${String(entry.serial)}`;
  const gpa = entry.kind === 'guest-physical';
  const size = entry.pageBits === 12 ? '' : ` ${sizeText(entry.pageBits)}`;
  const space = entry.pcid === 0 ? '' : ` ${isArm(settings) ? 'ASID' : 'PCID'} ${String(entry.pcid)}`;
  const from = gpa ? shortened(hex(entry.vpn)) : pageText(context, entry.vpn);
  const differs = differsFromTables(context.world, entry);
  const row: SceneRow = {
    id: key,
    index: gpa ? 'gpa' : 'va',
    text: `${from} → ${frameText(context, entry.pfn)}${size}${space}${differs ? ' ≠' : ''}`,
    flags: rightsOf(entry),
    title: tlbTitle(entry, differs),
    state: context.changes.has(key) ? 'changed' : context.reads.has(key) ? 'read' : 'quiet',
  };
  return differs ? { ...row, mark: DIFFERS } : row;
}

const DIFFERS = 'no longer what the tables say';
const KINDS: Readonly<Record<TlbEntry['kind'], string>> = {
  linear: 'from the tables of one dimension',
  combined: "from the guest's tables and the host's together",
  'guest-physical': "from the host's tables alone",
};

const tlbTitle = (entry: TlbEntry, differs: boolean): string =>
  [
    `0x${hex(BigInt.asUintN(64, BigInt(entry.vpn) << 12n))}`,
    `${entry.kind}: ${KINDS[entry.kind]}`,
    ...rightsOf(entry)
      .filter((flag) => flag.set)
      .map((flag) => flag.meaning),
    ...(differs ? [DIFFERS] : []),
  ].join('\n');

export function rightsOf(entry: TlbEntry): readonly Flag[] {
  const right = (text: string, set: boolean, meaning: string): Flag => ({
    text: set ? text : '–',
    set,
    changed: false,
    meaning: `${text}: ${meaning}`,
  });
  if (entry.kind === 'guest-physical')
    return [
      right('r', entry.readable, 'the host lets read'),
      right('w', entry.writable, 'the host lets write'),
      right('x', entry.executable, 'the host lets fetch'),
    ];
  const { host } = entry;
  return [
    ...(entry.global ? [right('G\u00a0', true, 'global: for every address space')] : []),
    right('W', entry.writable, 'writable'),
    right('U', entry.user, 'for user mode too'),
    right('X', entry.executable, 'may be fetched from'),
    right('D', entry.dirty, 'the page is marked dirty already'),
    ...(host === undefined
      ? []
      : [
          { text: '\u00a0', set: false, changed: false, meaning: '' },
          right('r', host.read, 'the host lets read'),
          right('w', host.write, 'the host lets write'),
          right('x', host.execute, 'the host lets fetch'),
        ]),
  ];
}

function pscBox(context: Context, hardware: Hardware): SceneBox {
  return cacheBox(context, {
    id: 'psc:0',
    title: 'table caches',
    subtitle: '',
    entries: live(context.world.tables.psc.values()),
    row: (entry) => pscRow(context, entry, hardware),
  });
}

function pscRow(context: Context, entry: PscEntry, { dialects, settings }: Hardware): SceneRow {
  const key = `psc:0:${String(entry.serial)}`;
  const guest = entry.stage === 'guest';
  const at = (guest ? dialects.guest : dialects.host)?.levels[entry.depth];
  const first = BigInt.asUintN(64, entry.prefix << BigInt(entry.shift));
  const space = entry.pcid === 0 ? '' : ` ${isArm(settings) ? 'ASID' : 'PCID'} ${String(entry.pcid)}`;
  const differs = differsFromTables(context.world, entry);
  const row: SceneRow = {
    id: key,
    index: guest ? 'va' : 'gpa',
    text: `${hex(first >> 12n)}… → ${frameText(context, Number(entry.place >> 12n))}${space}${differs ? ' ≠' : ''}`,
    flags: [{ text: at?.name ?? '', set: true, changed: false, meaning: '' }],
    title: `${guest ? 'Virtual' : 'Guest physical'} addresses from 0x${hex(first)} on, ${rangeText(entry.shift)} of them: the walk may begin at this ${at?.name ?? 'table'}.`,
    state: context.changes.has(key) ? 'changed' : context.reads.has(key) ? 'read' : 'quiet',
  };
  return differs ? { ...row, mark: DIFFERS } : row;
}

const rangeText = (shift: number): string =>
  shift < 40 ? sizeText(shift) : `${String(2 ** (shift - 40))}T`.replace(/^0\..*/, '512G');

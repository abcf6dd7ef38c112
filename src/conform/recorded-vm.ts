/** Makes the machine of a recorded scenario: slots, memory, vCPUs that have not run yet. */
import { Journal } from '../core/machine/journal.ts';
import { Machine, type MachineOptions } from '../core/machine/machine.ts';
import { hostFrameOf } from '../core/machine/world.ts';
import { takeFrames } from '../core/kvm-shadow/host-memory.ts';
import { startVm } from '../core/kvm-shadow/kvm-shadow.ts';
import { initLarge } from '../core/kvm-shadow/vm.ts';
import { gfn, pfn, wordOf, type Pfn } from '../core/quantities.ts';
import { DEFAULT_SETTINGS, type Settings } from '../core/settings.ts';
import type { RecordedScenario } from './recording.ts';

const PAGE = 4096n;
const LARGE = 512;
/**
 * Scenarios whose recorder also asked that all frames count as written when logging begins
 * (KVM_DIRTY_LOG_INITIALLY_SET): an input that `scenario.json` does not carry, seen in the recorded state after it.
 */
const INITIALLY_SET: ReadonlySet<string> = new Set([
  'rnd-shadow-9',
  'rnd-shadow-17',
  'npt-shadowmmu-dirtylog-manual',
  'npt-tdpmmu-dirtylog-manual',
]);
/** Guest frames below this keep the host frames that scenarios of one's own have. */
const LOW_FRAMES = 0x7000;
/** What the recorder's device answers to a read, of any width. */
const DEVICE_ANSWER = 0x1122_3344_5566_7788n;
/** First guest physical address of the data pages, and what each begins with. */
const FIRST_DATA = 0x10_0000n;
const DATA_MARK = 0xda7a_0000n;
const RET = 0xc3n;
/** The first slot has data pages below its large page only. */
const DATA_PAGES = 256;

const GUESTS: Readonly<Record<RecordedScenario['mode'], Settings['guest']>> = {
  long64: '4-level',
  pae32: 'pae',
  legacy32: '2-level',
  nonpaging32: 'nonpaging',
};

/** What user space asked of the dirty log. */
function logClearOf({ name, about }: RecordedScenario): Settings['log-clear'] {
  if (INITIALLY_SET.has(name)) return 'apart-all-set';
  return /dirty log manual|CLEAR_DIRTY_LOG/.test(about) ? 'apart' : 'with-fetch';
}

export const settingsOf = (scenario: RecordedScenario): Settings => ({
  ...DEFAULT_SETTINGS,
  machine: 'kvm-shadow',
  era: scenario.kernel.startsWith('6.12') ? '6.12' : '6.1',
  cpu: 'svm',
  guest: GUESTS[scenario.mode],
  vcpus: String(scenario.vcpus.length),
  'log-clear': logClearOf(scenario),
  'nx-huge-pages': scenario.module_params['nx_huge_pages'] === 'Y' ? 'on' : 'off',
});

/** Who looks on while a recording is run, and how many steps it may take. */
export type RecordedVmOptions = Pick<MachineOptions, 'audit' | 'wrote' | 'stepsPerRun'>;

export function recordedVm(scenario: RecordedScenario, options: RecordedVmOptions = {}): Machine {
  const m = new Machine({ settings: settingsOf(scenario), journal: new Journal(), ...options });
  let frames = 0;
  let slots = 0;
  for (const record of scenario.memslots) {
    const at = { gpa: BigInt(record.gpa), pages: Number(BigInt(record.size) / PAGE) };
    const hva = Number(BigInt(record.hva) / PAGE);
    mapMemory(m, { ...at, hva, large: record.backing.includes('2m') && !record.backing.startsWith('anon') });
    fillData(m, { ...at, hva, marks: marksOf(scenario, record.slot) });
    if (!record.present_at_start) continue;
    const slot = Object.freeze({
      firstGfn: gfn(Number(at.gpa / PAGE)),
      frames: at.pages,
      hva,
      ...((record.flags & 1) === 0 ? {} : { logged: true as const }),
      ...((record.flags & 2) === 0 ? {} : { readonly: true as const }),
    });
    m.step('slot-set', { slot: record.slot, change: 'create', generation: 0 });
    m.set('slot', record.slot, slot);
    initLarge(m, { id: record.slot, slot });
    frames += at.pages;
    slots += 1;
  }
  const protocol = m.settings['log-clear'];
  startVm(m, {
    slots,
    frames,
    manualLog: protocol !== 'with-fetch',
    initiallySet: protocol === 'apart-all-set',
  });
  fillMemory(m, scenario);
  for (const { id, cr0, cr3, cr4, efer } of scenario.vcpus) {
    m.vcpu = id;
    for (const [name, value] of Object.entries({ cr0, cr3, cr4, efer })) m.setReg(name, BigInt(value));
    m.setReg('device', DEVICE_ANSWER);
  }
  m.vcpu = 0;
  return m;
}

interface Area {
  readonly gpa: bigint;
  readonly pages: number;
  readonly hva: number;
}

function mapMemory(m: Machine, of: Area & { large: boolean }): void {
  m.step('host-map', { hva: of.hva, how: 'memory' });
  const first = Number(of.gpa / PAGE);
  const low = first + of.pages <= LOW_FRAMES;
  const base: Pfn = low ? hostFrameOf(gfn(first)) : takeFrames(m, of.pages, LARGE);
  for (let at = 0; at < of.pages; at += 1) {
    const frame = pfn(base + at);
    m.set('blank', frame, 1);
    const pageBits = of.large ? 21 : 12;
    m.set('hostPage', of.hva + at, Object.freeze({ pfn: frame, writable: true, mayWrite: true, pageBits }));
  }
}

/** What the first word of a page holds: `first` at `gpa`, one more in each page after it. */
interface Mark {
  readonly gpa: bigint;
  readonly first: bigint;
  /** Pages that are marked; all, unless said. */
  readonly pages?: number;
}

/**
 * What the recorder put into the pages of slots beside the first, which `scenario.json` does not carry: read off the
 * values that the recorded guests got. It decides nothing but what a read of these pages gives.
 */
const OTHER_MARKS: Readonly<Record<string, bigint>> = {
  'shadow64-dirtylog': 0xd1_e700n,
  'shadow64-mmio': 0x510_7000n,
  'shadow64-slot-delete': 0x510_7100n,
  'shadow64-rom-slot': 0x60_7000n,
};
/** Of large pages the first few pages are marked; 0x100 apart from one large page to the next. */
const LARGE_PAGES = 16;
const largeMark = (gpa: bigint, number: bigint): Mark => ({
  gpa: gpa + number * 0x20_0000n,
  first: 0xb1_6000n + number * 0x100n,
  pages: LARGE_PAGES,
});

function marksOf({ name, memslots }: RecordedScenario, slot: number): readonly Mark[] {
  if (name.startsWith('rnd')) return [];
  if (slot === 0) {
    const data = { gpa: FIRST_DATA, first: DATA_MARK, pages: DATA_PAGES };
    return ['shadow64-large', 'shadow32', 'shadow-pae'].includes(name)
      ? [data, largeMark(0x20_0000n, 0n)]
      : [data];
  }
  if (name === 'shadow64-nx-huge') return [0n, 1n].map((number) => largeMark(0x1000_0000n, number));
  const first = OTHER_MARKS[name];
  const gpa = memslots.find((of) => of.slot === slot)?.gpa;
  return first === undefined || gpa === undefined ? [] : [{ gpa: BigInt(gpa), first }];
}

function fillData(m: Machine, of: Area & { marks: readonly Mark[] }): void {
  for (let at = 0; at < of.pages; at += 1) {
    const gpa = of.gpa + BigInt(at) * PAGE;
    const frame = m.must('hostPage', of.hva + at).pfn;
    const mark = of.marks.findLast((candidate) => gpa >= candidate.gpa);
    if (mark === undefined || frame === undefined) continue;
    if (gpa >= mark.gpa + BigInt(mark.pages ?? of.pages) * PAGE) continue;
    m.set('word', wordOf(frame, 0), mark.first + (gpa - mark.gpa) / PAGE);
    m.set('word', wordOf(frame, 2), RET);
  }
}

/** Host word of a guest physical address, in memory that may have no slot yet. */
export function wordAt(m: Machine, scenario: RecordedScenario, gpa: bigint): number {
  for (const record of scenario.memslots) {
    const first = BigInt(record.gpa);
    if (gpa < first || gpa >= first + BigInt(record.size)) continue;
    const frame = m.get('hostPage', Number((BigInt(record.hva) + gpa - first) / PAGE))?.pfn;
    if (frame !== undefined) return wordOf(frame, Number((gpa % PAGE) / 8n));
  }
  return 0;
}

function fillMemory(m: Machine, scenario: RecordedScenario): void {
  const put = (gpa: bigint, bytes: number, value: bigint): void => {
    const word = wordAt(m, scenario, gpa);
    const shift = (gpa & 7n) * 8n;
    const mask = ((1n << BigInt(bytes * 8)) - 1n) << shift;
    m.set('word', word, (m.word(word) & ~mask) | ((value << shift) & mask));
  };
  for (const { gpa, hex } of scenario.memory)
    for (let at = 0; at * 2 < hex.length; at += 1)
      put(BigInt(gpa) + BigInt(at), 1, BigInt(`0x${hex.slice(at * 2, at * 2 + 2)}`));
  for (const [gpa, value] of Object.entries(scenario.page_tables))
    put(BigInt(gpa), scenario.pte_bytes, BigInt(value));
}

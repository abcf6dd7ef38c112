/**
 * One access tried out: what it would do to the world as it stands, with or without some bits flipped first. The
 * scenario's own operations run on a journal of their own; then everything is taken back, so that looking changes
 * nothing. There is no second walk.
 */
import { assert } from '../assert.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import { pagingModeOf } from '../hardware/registers.ts';
import { TABLE_NAMES_BY_LEVEL } from '../hardware/x86-entry.ts';
import type { Translation } from '../hardware/tlb.ts';
import { levelOfRole } from '../kvm/role-2007.ts';
import { shadowPageAt } from '../kvm/shadow-page.ts';
import { hostLevels } from '../hardware/encode.ts';
import { Journal, type AnyValue, type Facts, type Place } from '../machine/journal.ts';
import { Machine } from '../machine/machine.ts';
import type { StepKind } from '../machine/steps.ts';
import type { TableName, TlbEntry } from '../machine/tables.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN, guestFrameOf, type World } from '../machine/world.ts';
import { frameOfWord, gva as toGva, vcpuId, type VcpuId } from '../quantities.ts';
import type { Settings } from '../settings.ts';
import { runAccess, type AccessResult } from './access.ts';
import { engineOf } from './engines.ts';
import type {
  AccessOperation,
  ControlRegister,
  ExtraRegister,
  FlipOperation,
  Operation,
} from './operation.ts';
import { runOperation, stopOf } from './recorder.ts';

export type ProbeRegister = ControlRegister | ExtraRegister | 'cr3';

/** A bit to change before the access: of a word of memory by nobody in the machine, of a register by the kernel. */
export type Flip =
  | { readonly kind: 'entry'; readonly word: number; readonly bit: number }
  | { readonly kind: 'register'; readonly register: ProbeRegister; readonly bit: number };

export interface ProbeRequest extends AccessRequest {
  readonly vcpu: number;
  readonly gva: bigint;
  readonly flips: readonly Flip[];
  /** What the TLB and the paging-structure caches of the vCPU hold when the access begins. */
  readonly caches: 'as they are' | 'empty';
}

export interface ProbeStep {
  readonly kind: StepKind;
  readonly facts: Facts;
  readonly reads: readonly Place[];
  readonly changes: readonly { readonly place: Place; readonly before: AnyValue; readonly after: AnyValue }[];
}

/** An entry that was read on the way. */
export interface ProbeEntry {
  /** The word in which it lies; undefined for one that the processor keeps in a register. */
  readonly word: number | undefined;
  /** Bit of the word at which the entry begins: 32 for the upper half. */
  readonly firstBit: 0 | 32;
  readonly bytes: 4 | 8;
  readonly dimension: 'single' | 'guest' | 'host';
  /** The hypervisor reads the guest's tables itself where the processor does not. */
  readonly reader: 'processor' | 'hypervisor';
  /** Of the second stage: the row of the guest's walk that it serves. */
  readonly row: number | undefined;
  readonly level: number;
  readonly levelName: string;
  readonly index: number;
  readonly before: bigint;
  /** As it was read: with the flips. */
  readonly after: bigint;
  /** The step that read it. */
  readonly step: number;
}

export type ProbeOutcome =
  /** `entry` is the cached translation that was used or made; `physical` is in the machine's physical space. */
  | {
      readonly kind: 'reached';
      readonly address: bigint;
      readonly physical: bigint;
      readonly entry: TlbEntry | undefined;
      readonly stale: boolean;
      readonly fromCache: boolean;
    }
  | Exclude<Translation, { kind: 'ok' }>
  /** The modelled host stops before anything is translated. */
  | { readonly kind: 'stopped'; readonly message: string };

/** What becomes of the access after its first translation has failed, where a hypervisor reacts. */
export interface ProbeEnd {
  readonly result: AccessResult | undefined;
  /** The hypervisor ran the instruction itself. */
  readonly emulated: boolean;
  readonly exits: number;
  readonly stopped: string | undefined;
}

export interface Probe {
  readonly request: ProbeRequest;
  /** Steps of the access. */
  readonly steps: readonly ProbeStep[];
  /** How many of the steps belong to the first translation. */
  readonly translated: number;
  readonly outcome: ProbeOutcome;
  readonly end: ProbeEnd | undefined;
  readonly entries: readonly ProbeEntry[];
  /** Memory references of the first translation, references that caches spared, and marks that were set. */
  readonly refs: number;
  readonly spared: number;
  readonly adw: number;
  /** What was done before the access, and which of it the processor refused or found nothing to do. */
  readonly preparations: readonly { readonly operation: Operation; readonly done: boolean }[];
}

/** Tries an access out. The world is afterwards as it was. */
export function probe(world: World, settings: Settings, request: ProbeRequest): Probe {
  const size = world.size();
  const journal = new Journal();
  const m = new Machine({ settings, journal, world });
  m.vcpu = request.vcpu;
  const operations = preparationsOf(world, settings, request);
  const emptied = request.caches === 'empty' ? emptyCaches(world, request.vcpu) : [];
  let trial: Trial;
  try {
    trial = runTrial(m, { journal, request, operations });
  } finally {
    for (let change = journal.changes - 1; change >= 0; change -= 1) {
      const { table, key } = journal.changedPlace(change);
      world.put(table, key, journal.valueBefore(change));
    }
    for (const { table, key, value } of emptied) world.put(table, key, value);
  }
  assert(world.size() === size, 'looking changes nothing');
  return finished(trial, { world, settings, journal, request });
}

/** The operations that make the flips: registers first, as their writes may build tables anew. */
export function preparationsOf(
  world: World,
  settings: Settings,
  request: Pick<ProbeRequest, 'flips' | 'gva' | 'vcpu'>,
): readonly Operation[] {
  const vcpu = vcpuId(request.vcpu);
  const registers: Operation[] = [];
  for (const register of WHOLE) {
    const mask = request.flips.reduce((bits, flip) => bits | maskIn(flip, register), 0n);
    if (mask === 0n) continue;
    const value = (world.get('reg', `${String(vcpu)}.${register}`) ?? 0n) ^ mask;
    registers.push({ kind: 'set-register', vcpu, register, mask: ALL_BITS, value });
  }
  const entries: Operation[] = [];
  for (const flip of request.flips) {
    if (flip.kind === 'entry') {
      const operation = flipOperation(world, { settings, gva: request.gva, vcpu, flip });
      if (operation !== undefined) entries.push(operation);
    } else if (!WHOLE.includes(flip.register)) {
      const mask = 1n << BigInt(flip.bit);
      const now = world.get('reg', `${String(vcpu)}.${flip.register}`) ?? 0n;
      registers.push({ kind: 'set-register', vcpu, register: flip.register, mask, value: ~now & mask });
    }
  }
  return [...registers, ...entries];
}

/** Registers that are written as a whole: their bits have no names. */
const WHOLE: readonly ProbeRegister[] = ['cr3', 'pkru', 'pkrs', 'ac'];
const ALL_BITS = (1n << 64n) - 1n;

const maskIn = (flip: Flip, register: ProbeRegister): bigint =>
  flip.kind === 'register' && flip.register === register ? 1n << BigInt(flip.bit) : 0n;

/** Undefined for a word that no scenario can name: a freed table. */
function flipOperation(
  world: World,
  of: { settings: Settings; gva: bigint; vcpu: VcpuId; flip: Extract<Flip, { kind: 'entry' }> },
): FlipOperation | undefined {
  const { settings, vcpu } = of;
  const { word, bit } = of.flip;
  const frame = frameOfWord(word);
  const index = word % WORDS_PER_FRAME;
  if (frame >= FIRST_GUEST_PFN && frame < FIRST_SHADOW_PFN)
    return { kind: 'flip', vcpu, bit, place: 'guest', gfn: guestFrameOf(frame), index };
  const page = shadowPageAt(world, frame);
  if (page !== undefined)
    return {
      kind: 'flip',
      vcpu,
      bit,
      place: 'shadow',
      gva: toGva(of.gva),
      level: levelOfRole(page.role),
    };
  const found = hostPlace(world, settings, word);
  return found === undefined ? undefined : { kind: 'flip', vcpu, bit, place: 'host', ...found };
}

const WORDS_PER_FRAME = 512;

/** Which entry of the second stage a word is: the first guest physical address that it serves. */
function hostPlace(
  world: World,
  settings: Settings,
  word: number,
): { gpa: bigint; level: number } | undefined {
  if (settings.machine !== 'two-stage') return undefined;
  const levels = hostLevels(settings);
  for (const table of world.tables.hostTable.values()) {
    const at = levels[table.depth];
    const index = word - table.pfn * WORDS_PER_FRAME;
    if (at === undefined || index < 0 || index >= 2 ** at.bits) continue;
    return { gpa: table.gpa + (BigInt(index) << BigInt(at.shift)), level: at.level };
  }
  return undefined;
}

/** Takes the cached translations of a vCPU out of the world, and gives them. */
function emptyCaches(
  world: World,
  vcpu: number,
): readonly { table: TableName; key: number | string; value: AnyValue }[] {
  const taken = (['tlb', 'psc'] as const).flatMap((table) =>
    [...world.tables[table]]
      .filter(([, entry]) => entry.vcpu === vcpu)
      .map(([key, value]) => ({ table, key, value })),
  );
  for (const { table, key } of taken) world.put(table, key, undefined);
  return taken;
}

interface Costs {
  readonly refs: number;
  readonly spared: number;
  readonly adw: number;
  readonly exits: number;
}

interface Trial {
  readonly preparations: Probe['preparations'];
  /** Steps of the access, in the journal. */
  readonly first: number;
  readonly translatedEnd: number;
  readonly translation: Translation | undefined;
  readonly physical: bigint;
  readonly last: Translation | undefined;
  readonly costs: Costs;
  readonly exits: number;
  readonly fourBytes: boolean;
  readonly result: AccessResult | undefined;
  readonly stopped: string | undefined;
}

function runTrial(
  m: Machine,
  by: { journal: Journal; request: ProbeRequest; operations: readonly Operation[] },
): Trial {
  const { journal, request } = by;
  const preparations: { operation: Operation; done: boolean }[] = [];
  let translation: Translation | undefined;
  let last: Translation | undefined;
  let first = 0;
  let translatedEnd = 0;
  let [before, costs] = [costsOf(m), costsOf(m)];
  let [result, stopped]: [AccessResult | undefined, string | undefined] = [undefined, undefined];
  const real = engineOf(m.settings);
  const translate: typeof real.translate = (machine, asked) => {
    last = real.translate(machine, asked);
    if (translation === undefined) {
      [translation, translatedEnd, costs] = [last, journal.steps, costsOf(m)];
    }
    return last;
  };
  try {
    for (const operation of by.operations) preparations.push(prepare(m, journal, operation));
    first = journal.steps;
    translatedEnd = first;
    [before, costs] = [costsOf(m), costsOf(m)];
    result = m.call('operation', { index: 0 }, () => access(m, request, { ...real, translate }));
  } catch (error) {
    stopped = stopOf(m, error).message;
    if (translation === undefined) translatedEnd = journal.steps;
  }
  return {
    preparations,
    first,
    translatedEnd,
    translation,
    physical: translation?.kind === 'ok' ? real.physical(m, translation.address) : 0n,
    last,
    costs: less(costs, before),
    exits: costsOf(m).exits - before.exits,
    fourBytes: hasFourByteEntries(m),
    result,
    stopped,
  };
}

/** While the hypervisor is at work the guest cannot act: then only the processor's own part is shown. */
function access(
  m: Machine,
  request: ProbeRequest,
  engine: ReturnType<typeof engineOf>,
): AccessResult | undefined {
  m.vcpu = request.vcpu;
  if (m.get('vcpu', request.vcpu)?.mode === 'guest')
    return runAccess(m, probeAccess(request), { engine, runHandler: () => undefined });
  const { access: asked, user, gva } = request;
  engine.translate(m, { access: asked, user, gva });
  return undefined;
}

/** The access as an operation: 8 bytes where they fit the address. A store stores 1. */
export function probeAccess({ vcpu, user, access, gva }: ProbeRequest): AccessOperation {
  return {
    kind: 'access',
    vcpu: vcpuId(vcpu),
    privilege: user ? 'user' : 'kernel',
    access,
    gva: toGva(gva),
    bytes: access === 'execute' || (gva & 7n) !== 0n ? 1 : 8,
    value: access === 'write' ? 1n : 0n,
  };
}

function prepare(
  m: Machine,
  journal: Journal,
  operation: Operation,
): { operation: Operation; done: boolean } {
  const from = journal.steps;
  m.call('operation', { index: 0 }, () => runOperation(m, operation));
  const kinds = Array.from({ length: journal.steps - from }, (_, at) => journal.kind(from + at));
  return { operation, done: !kinds.includes('guest-gp') && !kinds.includes('outside-nothing') };
}

function costsOf(m: Machine): Costs {
  const count = (name: string): number => m.get('counter', `${name}@${String(m.vcpu)}`) ?? 0;
  return { refs: count('refs'), spared: count('spared'), adw: count('adw'), exits: count('exits') };
}

const less = (after: Costs, before: Costs): Costs => ({
  refs: after.refs - before.refs,
  spared: after.spared - before.spared,
  adw: after.adw - before.adw,
  exits: after.exits - before.exits,
});

function hasFourByteEntries(m: Machine): boolean {
  if (m.settings.cpu === 'arm64') return false;
  return pagingModeOf({ cr0: m.reg('cr0'), cr4: m.reg('cr4'), efer: m.reg('efer') }) === '2-level';
}

function finished(
  trial: Trial,
  by: { world: World; settings: Settings; journal: Journal; request: ProbeRequest },
): Probe {
  const { first, preparations, costs } = trial;
  const { world, settings, journal, request } = by;
  const steps = Array.from({ length: journal.steps - first }, (_, at) => stepAt(journal, first + at));
  const translated = trial.translatedEnd - first;
  const outcome = outcomeOf(trial, { world, steps: steps.slice(0, translated) });
  const mended = outcome.kind === 'page-fault' && engineOf(settings).judged;
  return {
    request,
    steps,
    translated,
    outcome,
    end:
      mended && (trial.result !== undefined || trial.stopped !== undefined)
        ? {
            result: trial.result,
            emulated: trial.result?.completed === true && trial.last?.kind !== 'ok',
            exits: trial.exits,
            stopped: trial.stopped,
          }
        : undefined,
    entries: entriesOf(steps, { world, settings, fourBytes: trial.fourBytes }),
    refs: costs.refs,
    spared: costs.spared,
    adw: costs.adw,
    preparations,
  };
}

function stepAt(journal: Journal, step: number): ProbeStep {
  const changes: ProbeStep['changes'][number][] = [];
  const end = journal.changesBefore(step + 1);
  for (let change = journal.changesBefore(step); change < end; change += 1) {
    changes.push({
      place: journal.changedPlace(change),
      before: journal.valueBefore(change),
      after: journal.valueAfter(change),
    });
  }
  return { kind: journal.kind(step), facts: journal.factsOf(step), reads: journal.readsOf(step), changes };
}

function outcomeOf(trial: Trial, by: { world: World; steps: readonly ProbeStep[] }): ProbeOutcome {
  const { translation, stopped } = trial;
  if (translation === undefined) return { kind: 'stopped', message: stopped ?? '' };
  if (translation.kind !== 'ok') return translation;
  const hit = by.steps.find((step) => step.kind === 'tlb-hit');
  return {
    kind: 'reached',
    address: translation.address,
    physical: trial.physical,
    entry: hit === undefined ? filledEntry(by.steps) : usedEntry(by.world, hit),
    stale: translation.stale !== undefined,
    fromCache: hit !== undefined,
  };
}

function filledEntry(steps: readonly ProbeStep[]): TlbEntry | undefined {
  const fill = steps.findLast((step) => step.kind === 'tlb-fill');
  const made = fill?.changes.find(({ place, after }) => place.table === 'tlb' && after !== undefined);
  return made?.after as TlbEntry | undefined;
}

function usedEntry(world: World, hit: ProbeStep): TlbEntry | undefined {
  const key = hit.reads.find((place) => place.table === 'tlb')?.key;
  return key === undefined ? undefined : world.get('tlb', String(key));
}

const READS: Readonly<
  Partial<Record<StepKind, { dimension: ProbeEntry['dimension']; reader: ProbeEntry['reader'] }>>
> = {
  'walk-read': { dimension: 'single', reader: 'processor' },
  'walk-register': { dimension: 'single', reader: 'processor' },
  'guest-entry-read': { dimension: 'guest', reader: 'processor' },
  'host-entry-read': { dimension: 'host', reader: 'processor' },
  'guest-walk-read': { dimension: 'guest', reader: 'hypervisor' },
  'guest-walk-pdptr': { dimension: 'guest', reader: 'hypervisor' },
};

/** Level of the entries that a step reads from a register without saying so. */
const PAE_ROOT_LEVEL = 3;

function entriesOf(
  steps: readonly ProbeStep[],
  by: { world: World; settings: Settings; fourBytes: boolean },
): readonly ProbeEntry[] {
  const { world, settings } = by;
  return steps.flatMap((step, at): ProbeEntry[] => {
    const read = READS[step.kind];
    if (read === undefined) return [];
    const [level, index] = [Number(step.facts['level'] ?? PAE_ROOT_LEVEL), Number(step.facts['index'])];
    const after = step.facts['entry'] as bigint;
    const place = step.reads.find(({ table }) => table === 'word');
    const word = place === undefined ? undefined : Number(place.key);
    // Shadow entries have 8 bytes, whatever the guest's have.
    const shadow = settings.machine === 'kvm-2007' && read.dimension === 'single';
    const bytes = by.fourBytes && read.dimension !== 'host' && !shadow ? 4 : 8;
    const firstBit = bytes === 4 && index % 2 === 1 ? 32 : 0;
    const whole = word === undefined ? after : world.word(word);
    return [
      {
        ...read,
        word,
        firstBit,
        bytes,
        row: read.dimension === 'host' ? Number(step.facts['row']) : undefined,
        level,
        levelName: settings.cpu === 'arm64' ? `level ${String(level)}` : (TABLE_NAMES_BY_LEVEL[level] ?? ''),
        index,
        before: bytes === 8 ? whole : (whole >> BigInt(firstBit)) & 0xffff_ffffn,
        after,
        step: at,
      },
    ];
  });
}

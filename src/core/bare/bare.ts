/**
 * Machines without KVM: `native`, where the processor walks the tables of the system itself, and `two-stage`, where a
 * second stage stands below that maps all of guest memory and that nobody maintains. They exist so that the processor
 * alone can be watched: its walks, its TLB, its invalidations.
 */
import { must } from '../assert.ts';
import type { Engine, FaultRequest, FaultResult, Translated } from '../engine.ts';
import { armRefusal, armStage, walkArm, type ArmRequest } from '../hardware/arm-walk.ts';
import type { Stage1Rights, Stage2Rights } from '../hardware/arm-format.ts';
import { stage1Format, stage2Format } from '../hardware/arm-format.ts';
import { eptFormat, type EptRights } from '../hardware/ept-format.ts';
import { refusal, type PathRights } from '../hardware/fault.ts';
import {
  countSwept,
  invalidationOf,
  SWEEP_OF_WORLD_SWITCH,
  sweepCaches,
  type Sweep,
} from '../hardware/invalidate.ts';
import type { HostOutcome, HostUse, WalkCaches } from '../hardware/page-walk.ts';
import { structureCache } from '../hardware/psc.ts';
import { PHYSICAL_BITS } from '../hardware/registers.ts';
import {
  eptStage,
  nptStage,
  type HostCaches,
  type SecondStage,
  type StageFault,
} from '../hardware/second-stage.ts';
import { cachedStage, translate, type Translation } from '../hardware/tlb.ts';
import { walk, type WalkOutcome } from '../hardware/walk.ts';
import { isCanonical } from '../hardware/x86-entry.ts';
import { x86Format } from '../hardware/x86-format.ts';
import { pfnOfGfn } from '../kvm/memslots.ts';
import type { Machine } from '../machine/machine.ts';
import type { CacheTag } from '../machine/tables.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN, guestFrameOf } from '../machine/world.ts';
import type { FlipOperation, HostEntryOperation, InvalidateOperation } from '../operations/operation.ts';
import { gfn, pfn } from '../quantities.ts';
import {
  armHostFormat,
  buildHostTables,
  HOST_ROOT,
  hostEntryValue,
  hostEntryWord,
  hostKindOf,
} from './host-tables.ts';
import {
  armRegisters,
  currentPcid,
  guestRegisters,
  isArm,
  startPdptes,
  startRegisters,
  writeGuestRegister,
} from './registers.ts';

export const bare: Engine = {
  startRegisters,
  start,
  translate: translateAccess,
  pageFault: deliverPageFault,
  hostFault: exitWithHostFault,
  backs,
  physical: (m, address) => (isNested(m) ? address : address - NATIVE_BASE),
  writeRegister: (m, write) =>
    writeGuestRegister(m, write, { tag: tagOf(m), place: (gpa) => placeOf(m, gpa) }),
  invlpg: (m, gva) => {
    const sweep = sweepOfInstruction(m, { name: 'invlpg', address: gva, tag: 0 });
    m.step('invlpg', { gva, dropped: countSwept(m, sweep) });
    sweepCaches(m, sweep);
  },
  invalidate,
  setHostEntry,
  flipped: (m, operation: FlipOperation) =>
    operation.place === 'host' ? hostEntryWord(m, operation) : undefined,
  trivialExit: (m, reason) => {
    if (!isNested(m)) m.step('cpuid', {});
    else exitAndEnter(m, { reason, gva: 0n, code: 0n });
  },
  judged: false,
};

const isNested = (m: Machine): boolean => m.settings.machine === 'two-stage';

/** Where the memory that a system without hypervisor calls physical address 0 lies in the model's memory. */
const NATIVE_BASE = BigInt(FIRST_GUEST_PFN) << 12n;
const ROOT_FRAME = Number(HOST_ROOT >> 12n);
/** The number of the one virtual machine, or virtual processor, where the processor keeps such numbers. */
const OWN_NUMBER = 1;

function start(m: Machine): void {
  m.set('vcpu', 0, Object.freeze({ mode: 'guest', exitSerial: 0 }));
  startPdptes(m, (gpa) => NATIVE_BASE + gpa);
  if (isNested(m)) buildHostTables(m);
}

/** Whose translations the processor uses now. */
function tagOf(m: Machine): CacheTag {
  const pcid = currentPcid(m);
  if (!isNested(m)) return { asid: 0, pcid, root: 0 };
  return { asid: m.settings.cpu === 'vmx-novpid' ? 0 : OWN_NUMBER, pcid, root: ROOT_FRAME };
}

/** EPT's own translations carry the tables that they came from, and nothing of the guest. */
const stageTag = (m: Machine): CacheTag => ({
  asid: hostKindOf(m.settings) === 'ept' ? 0 : OWN_NUMBER,
  pcid: 0,
  root: ROOT_FRAME,
});

/** The registers that say where and how a walk goes. */
const registersText = (m: Machine): string =>
  ['cr0', 'cr3', 'cr4', 'efer', 'pdptr0', 'pdptr1', 'pdptr2', 'pdptr3']
    .map((name) => m.reg(name).toString(16))
    .join(' ');

type How = 'cached' | 'fresh';

function translateAccess(m: Machine, request: Translated): Translation {
  const common = {
    va: request.gva,
    request,
    kind: isNested(m) ? 'combined' : 'linear',
    tag: tagOf(m),
    under: registersText(m),
  } as const;
  if (isArm(m.settings)) {
    const arm = armRequest(m, request);
    return translate(m, {
      ...common,
      refuses: (entry) => armRefusal(entry, arm),
      walk: (how) => walkArmGuest(m, request, how),
    });
  }
  const registers = guestRegisters(m, { nested: isNested(m) });
  // Asked first: neither the TLB nor a table is looked at.
  if (!isCanonical(request.gva, registers.mode)) {
    m.step('walk-not-canonical', { gva: request.gva });
    return { kind: 'not-canonical' };
  }
  return translate(m, {
    ...common,
    refuses: (entry) => (registers.mode === 'nonpaging' ? undefined : refusal(entry, request, registers)),
    walk: (how) => walkX86Guest(m, request, how),
  });
}

function walkX86Guest(
  m: Machine,
  request: Translated,
  how: How,
  from?: WalkCaches<PathRights>,
): WalkOutcome<StageFault> {
  const registers = guestRegisters(m, { nested: isNested(m) });
  const caches =
    from ??
    (how === 'cached' && m.settings.psc !== 'off' && registers.mode !== 'nonpaging'
      ? structureCache<PathRights>(m, {
          stage: 'guest',
          tag: tagOf(m),
          under: registersText(m),
          format: x86Format(registers),
          row: 0,
          agrees: (table) => agrees(m, (known) => walkX86Guest(m, request, 'fresh', known), table),
        })
      : undefined);
  return walk<StageFault>(m, {
    ...request,
    registers,
    ...hostOf(m, request, how),
    ...(caches === undefined ? {} : { caches }),
  });
}

const armRequest = (m: Machine, { gva, access, user }: Translated): ArmRequest => ({
  va: gva,
  access,
  el: user ? 0 : 1,
  registers: armRegisters(m),
});

function walkArmGuest(
  m: Machine,
  request: Translated,
  how: How,
  from?: WalkCaches<Stage1Rights>,
): WalkOutcome<StageFault> {
  const arm = armRequest(m, request);
  const { stage1 } = arm.registers;
  const caches =
    from ??
    (how === 'cached' && m.settings.psc !== 'off' && stage1 !== undefined
      ? structureCache<Stage1Rights>(m, {
          stage: 'guest',
          tag: tagOf(m),
          under: registersText(m),
          format: stage1Format(stage1.format),
          row: 0,
          agrees: (table) => agrees(m, (known) => walkArmGuest(m, request, 'fresh', known), table),
        })
      : undefined);
  return walkArm(m, {
    ...arm,
    ...hostOf(m, request, how),
    ...(caches === undefined ? {} : { caches }),
  });
}

/** Whether a walk from a remembered table ends as one from the root does. Neither leaves a trace. */
function agrees<Rights>(
  m: Machine,
  walkFrom: (caches: WalkCaches<Rights> | undefined) => WalkOutcome<StageFault> | HostOutcome<StageFault>,
  table: ReturnType<WalkCaches<Rights>['find']>,
): boolean {
  const remembered = m.lookAside(() => walkFrom({ find: () => table, keep: () => undefined }));
  const afresh = m.lookAside(() => walkFrom(undefined));
  return endOf(remembered) === endOf(afresh);
}

/** Where a walk led, or with which code it was refused. */
function endOf(outcome: WalkOutcome<StageFault> | HostOutcome<StageFault>): string {
  switch (outcome.kind) {
    case 'ok':
      return `ok ${outcome.address.toString(16)}`;
    case 'page-fault':
      return `fault ${outcome.errorCode.toString(16)}`;
    case 'not-canonical':
      return outcome.kind;
    case 'fault':
    case 'host-fault':
      return `${outcome.fault.kind} ${outcome.fault.code.toString(16)} ${outcome.fault.gpa.toString(16)}`;
  }
}

interface HostHalf {
  readonly host: (gpa: bigint, use: HostUse) => HostOutcome<StageFault>;
  readonly flat?: true;
}

const ANY = { read: true, write: true, execute: true } as const;

/** Where guest physical addresses lie: behind the second stage, or at a plain offset. */
function hostOf(m: Machine, request: Translated, how: How): HostHalf {
  if (!isNested(m)) {
    return {
      host: (address) => ({
        kind: 'ok',
        address: address + NATIVE_BASE,
        pageBits: WIDEST_PAGE,
        rights: ANY,
        dirty: true,
      }),
      flat: true,
    };
  }
  const fresh = stageOf(m, request, 'fresh');
  if (how === 'fresh') return { host: (gpa, use) => fresh.locate(m, gpa, use) };
  return { host: cachedStage(m, { cached: stageOf(m, request, how), fresh }, stageTag(m)) };
}

/** A plain offset never narrows a page. */
const WIDEST_PAGE = 64;

function stageOf(m: Machine, request: Translated, how: How): SecondStage {
  const cached = how === 'cached' && m.settings.psc === 'both';
  const { access } = request;
  switch (hostKindOf(m.settings)) {
    case 'npt': {
      const mode = m.settings.host === '5-level' ? '5-level' : '4-level';
      const options = { root: HOST_ROOT, mode, physicalBits: PHYSICAL_BITS, nxe: true } as const;
      const format = x86Format({ ...options, pse: true });
      return nptStage(
        options,
        access,
        cached ? hostCache<PathRights>(m, format, (c) => nptStage(options, access, c)) : undefined,
      );
    }
    case 'ept': {
      const options = eptOptions(m);
      const format = eptFormat(options);
      return eptStage(
        options,
        access,
        cached ? hostCache<EptRights>(m, format, (c) => eptStage(options, access, c)) : undefined,
      );
    }
    case 'arm': {
      const stage = { format: armHostFormat(m.settings), root: HOST_ROOT };
      const by = { access, el: request.user ? 0 : 1 } as const;
      const format = stage2Format(stage.format);
      return armStage(
        stage,
        by,
        cached ? hostCache<Stage2Rights>(m, format, (c) => armStage(stage, by, c)) : undefined,
      );
    }
  }
}

const eptOptions = (m: Machine): Parameters<typeof eptStage>[0] => ({
  root: HOST_ROOT,
  levels: m.settings.host === '5-level' ? 5 : 4,
  physicalBits: PHYSICAL_BITS,
  accessedDirty: m.settings['ept-ad'] === 'on',
  executeOnly: true,
  oneGiB: true,
});

/** The cache of the host's own tables, for each row of the guest's walk. */
function hostCache<Rights>(
  m: Machine,
  format: Parameters<typeof structureCache<Rights>>[1]['format'],
  stageWith: (caches: HostCaches<Rights>) => SecondStage,
): HostCaches<Rights> {
  return (use, gpa) =>
    structureCache<Rights>(m, {
      stage: 'host',
      tag: stageTag(m),
      under: '',
      format,
      row: use.row,
      agrees: (table) =>
        agrees<Rights>(
          m,
          (known) => {
            const trail = { words: [], values: [], counted: true };
            return stageWith(() => known).locate(m, gpa, { ...use, trail });
          },
          table,
        ),
    });
}

/** Memory as the system finds it at a guest physical address, for what is not translated by a walk of the guest. */
function placeOf(m: Machine, gpa: bigint): bigint {
  if (!isNested(m)) return NATIVE_BASE + gpa;
  const stage = stageOf(m, { gva: 0n, access: 'read', user: false }, 'fresh');
  const use = { row: 0, forTable: false, trail: { words: [], values: [], counted: true } };
  const found = m.lookAside(() => stage.locate(m, gpa, use));
  return found.kind === 'ok' ? found.address : NATIVE_BASE + gpa;
}

function backs(m: Machine, address: bigint): boolean {
  const frame = Number(address >> 12n);
  if (isNested(m) && frame >= FIRST_SHADOW_PFN) return true;
  return frame >= FIRST_GUEST_PFN && pfnOfGfn(m.world, gfn(guestFrameOf(pfn(frame)))) !== undefined;
}

/** Nobody intercepts page faults here: the guest's own kernel gets them. */
function deliverPageFault(m: Machine, fault: FaultRequest): FaultResult {
  const { gva, errorCode } = fault;
  m.step('page-fault', { gva, errorCode });
  m.setReg('cr2', gva);
  m.count('page_faults');
  return { kind: 'inject', errorCode };
}

function exitWithHostFault(m: Machine, { kind, gpa, code }: StageFault): FaultResult {
  exitAndEnter(m, { reason: kind, gva: gpa, code }, () => {
    m.count('host_faults');
    m.step('host-unmended', { gpa });
  });
  return { kind: 'unmended' };
}

function exitAndEnter(
  m: Machine,
  exit: { reason: StageFault['kind'] | 'cpuid'; gva: bigint; code: bigint },
  meanwhile: () => void = () => undefined,
): void {
  const { reason, gva, code } = exit;
  const exitSerial = m.must('vcpu', m.vcpu).exitSerial + 1;
  const sweep = m.settings.cpu === 'vmx-novpid' ? SWEEP_OF_WORLD_SWITCH : undefined;
  const dropped = (): number => (sweep === undefined ? 0 : countSwept(m, sweep));
  const { asid } = tagOf(m);
  m.call('VM exit', { reason, serial: exitSerial }, () => {
    m.step('vm-exit', { reason, gva, errorCode: Number(code), dropped: dropped() });
    m.set('vcpu', m.vcpu, Object.freeze({ mode: 'hypervisor', exit: reason, exitSerial }));
    m.count('exits');
    if (sweep !== undefined) sweepCaches(m, sweep);
    meanwhile();
    m.step('vm-entry', { asid, dropped: dropped(), freshAsid: false });
    if (sweep !== undefined) sweepCaches(m, sweep);
    m.set('vcpu', m.vcpu, Object.freeze({ mode: 'guest', exitSerial }));
  });
}

function sweepOfInstruction(
  m: Machine,
  { name, address, tag }: Pick<InvalidateOperation, 'name' | 'address' | 'tag'>,
): Sweep & { broadcast: boolean } {
  const instruction = must(invalidationOf(name), name);
  const now = tagOf(m);
  const target = { address, tag };
  return {
    drops: (entry) => instruction.drops(entry, now, target),
    dropsTable: (entry) => instruction.dropsTable(entry, now, target),
    broadcast: instruction.broadcast === true,
  };
}

function invalidate(m: Machine, operation: InvalidateOperation): void {
  const { name, address, tag } = operation;
  const sweep = sweepOfInstruction(m, operation);
  const aim = must(invalidationOf(name), name).meaning;
  m.step('invalidate', { name, aim, address, tag, dropped: countSwept(m, sweep, sweep.broadcast) });
  sweepCaches(m, sweep, sweep.broadcast);
}

function setHostEntry(m: Machine, { gpa, level, change }: HostEntryOperation): void {
  const word = hostEntryWord(m, { gpa, level });
  if (word === undefined) {
    m.step('outside-nothing', { gva: gpa, level });
    return;
  }
  const entry = hostEntryValue(m, level, change);
  m.step('host-entry-set', { gpa, level, entry });
  m.set('word', word, entry);
}

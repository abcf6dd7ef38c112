/**
 * KVM's shadow MMU of today, Linux 6.1 and 6.12 with nested paging off: the engine. What it does is compared, state for
 * state, with recordings of both kernels (`npm run mmuscope -- conform`). Source: the project's reference, D, F, I.
 */
import type { Engine } from '../engine.ts';
import { refusal } from '../hardware/fault.ts';
import {
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  EFER_LMA,
  EFER_NXE,
  pagingRegisters,
  type PagingRegisters,
} from '../hardware/registers.ts';
import { startRegistersOf } from '../hardware/start-registers.ts';
import { translate } from '../hardware/tlb.ts';
import { walk } from '../hardware/walk.ts';
import type { Machine, OpenCall } from '../machine/machine.ts';
import type { Work } from '../machine/sections.ts';
import { STEPS_TODAY } from '../machine/steps-today.ts';
import { addSteps } from '../machine/steps.ts';
import { FIRST_SHADOW_PFN } from '../machine/world.ts';
import { vcpusOf } from '../settings.ts';
import { fetchInstruction } from './emulate.ts';
import { eraOf } from './era.ts';
import { leaveGuest, type Exit } from './exit.ts';
import { asidOf, flushRemote, makeRequest, type Request } from './flush.ts';
import { ZERO_PFN } from './host-memory.ts';
import { changePages } from './host-operations.ts';
import { invalidateAddress } from './invalidate.ts';
import { getDirtyLog, setMemslot } from './memslots.ts';
import { hasGeneration, NO_GENERATION } from './mmio-entry.ts';
import { pageFault } from './page-fault.ts';
import { initMmu, loadPdptrs, setRegister } from './registers.ts';
import { beforeEntry } from './requests.ts';
import { SHADOW_PHYSICAL_BITS } from './reserved.ts';
import { NO_ROOT, PREV_ROOTS } from './roots.ts';
import { paeRootWord, shadowPath } from './shadow-walk.ts';
import { enterSmm, leaveSmm } from './smm.ts';
import { SPTE_A } from './spte.ts';
import { changeSlot, clearLog, giveMemory, placed } from './user-space.ts';
import type { AddressSpace } from './role.ts';
import { initLarge, spaceOfSlot } from './vm.ts';

/** Least number of shadow pages: `KVM_MIN_ALLOC_MMU_PAGES`; otherwise a fiftieth of the guest's. */
const MIN_PAGES = 64;
const PAGES_RATIO = 50;

const EXITS = { cpuid: 'cpuid', smi: 'SMI', rsm: 'RSM' } as const;

addSteps(STEPS_TODAY, 'today');

export const kvmShadow: Engine = {
  startRegisters: ({ guest }) => startRegistersOf(guest),
  start,
  enter: (m) => {
    if (m.must('vcpu', m.vcpu).mode !== 'guest') enterGuest(m);
  },
  takesLock: (m, what) => what !== 'entry' || entryTakesLock(m),
  leave: (m, how) => {
    leaveGuest(m, { reason: how === 'halt' ? 'hlt' : 'IPI' });
    m.step('vcpu-leave', { how });
    const state = m.must('vcpu', m.vcpu);
    m.set('vcpu', m.vcpu, Object.freeze({ ...state, mode: how === 'halt' ? 'halted' : 'user space' }));
  },
  flushAll: (m) => {
    flushRemote(m, 'a thread of the host asks for it');
  },
  translate: (m, request) => {
    const registers = hardwareRegisters(m);
    return translate(m, {
      va: request.gva,
      request,
      kind: 'linear',
      tag: { asid: asidOf(m), pcid: activePcid(m), root: 0 },
      under: '',
      refuses: (entry) => refusal(entry, request, registers),
      walk: () => walk(m, { ...request, registers }),
    });
  },
  backs: () => true,
  physical: (_m, address) => address,
  hostFault: () => ({ locked: false, body: () => ({ kind: 'unmended' }) }),
  invlpg: (m, gva) => {
    const work = exitFor(m, { reason: 'invlpg', gva }, () => {
      fetchInstruction(m, false);
      m.step('emulate-begin', { gva: m.reg('rip') });
      m.count('insn_emulation');
      invalidateAddress(m, gva, { roots: 'all' });
      m.step('invlpg', { gva, dropped: 0 });
      m.count('invlpg');
    });
    work.before?.();
    work.body();
    work.after?.();
  },
  invalidate: neverPlanned,
  setHostEntry: neverPlanned,
  flipped: (m, operation) =>
    operation.place === 'shadow'
      ? shadowPath(m, operation.gva).find(({ level }) => level === operation.level)?.word
      : undefined,
  flippedRegister: () => undefined,
  judged: true,
  pageFault: (m, fault) =>
    exitFor(m, { reason: '#PF', gva: fault.gva, errorCode: fault.errorCode }, () => pageFault(m, fault)),
  writeRegister: (m, write) => {
    const { register } = write;
    if (register === 'pkru' || register === 'pkrs' || register === 'ac')
      return { locked: false, body: () => false };
    const reason = register === 'efer' ? 'wrmsr' : (`mov-${register}` as const);
    return exitFor(m, { reason }, () => setRegister(m, write));
  },
  setLogging: (m, id, on) =>
    byUserSpace(m, () => {
      const { logged: _logged, ...slot } = m.must('slot', id);
      setMemslot(m, { id, slot: Object.freeze(on ? { ...slot, logged: true } : slot) });
    }),
  fetchLog: (m, id) => byUserSpace(m, () => getDirtyLog(m, { id, slot: m.must('slot', id) })),
  clearLog: (m, operation) =>
    byUserSpace(m, () => {
      clearLog(m, operation);
    }),
  changeMemory: changePages,
  changeSlot,
  trivialExit: (m, does) =>
    exitFor(m, { reason: EXITS[does] }, () => {
      if (does === 'smi') enterSmm(m);
      if (does === 'rsm') leaveSmm(m);
    }),
};

/** The scenario's text offers these on other machines only. */
function neverPlanned(): never {
  throw new Error('assertion failed: this machine does not have the operation');
}

function start(m: Machine): void {
  let frames = 0;
  for (const [id, slot] of m.world.tables.slot) {
    const complete = placed(slot);
    m.step('slot-set', { slot: id, change: 'create', generation: 0 });
    m.set('slot', id, complete);
    initLarge(m, { id, slot: complete });
    frames += slot.frames;
    giveMemory(m, complete);
  }
  const protocol = m.settings['log-clear'];
  startVm(m, {
    slots: countSlots(m, 0),
    smmSlots: countSlots(m, 1),
    frames,
    manualLog: protocol !== 'with-fetch',
    initiallySet: protocol === 'apart-all-set',
  });
  for (const vcpu of vcpusOf(m.settings)) startVcpu(m, vcpu);
  m.vcpu = 0;
}

const countSlots = (m: Machine, space: AddressSpace): number =>
  [...m.world.tables.slot.values()].filter((slot) => spaceOfSlot(slot) === space).length;

/** A VM with its slots, before any vCPU has run; inside a step of its own. */
export function startVm(
  m: Machine,
  of: { slots: number; smmSlots?: number; frames: number; manualLog?: boolean; initiallySet?: boolean },
): void {
  const counted = hasGeneration(m);
  m.step('slot-set', { slot: 0, change: 'create', generation: counted ? of.slots * 2 : NO_GENERATION });
  const generation = m.get('serial', 'slot-generation') ?? of.slots * 2;
  m.set(
    'vm',
    'kvm',
    Object.freeze({
      ...(counted ? { generation, smmGeneration: (of.smmSlots ?? 0) * 2 + 1 } : {}),
      ...(eraOf(m).putsFlushOff ? { tlbsDirty: 0 } : {}),
      updating: false,
      validGen: 0,
      usedPages: 0,
      maxPages: Math.max(MIN_PAGES, Math.floor(of.frames / PAGES_RATIO)),
      indirectPages: 0,
      invalidateSeq: 0,
      invalidating: 0,
      manualLog: of.manualLog === true,
      initiallySet: of.initiallySet === true,
    }),
  );
  m.set('blank', ZERO_PFN, 1);
  m.set(
    'frames',
    'shadow',
    Object.freeze({ fresh: FIRST_SHADOW_PFN, free: [], pagesLeft: 0, buckets: 4096 }),
  );
}

/** A vCPU with its registers set, which has not run yet. */
export function startVcpu(m: Machine, vcpu: number, how: { enter: boolean } = { enter: true }): void {
  m.vcpu = vcpu;
  m.step('setup-vcpu', { root: Number(m.reg('cr3') >> 12n) });
  m.set('vcpu', vcpu, Object.freeze({ mode: 'hypervisor', exit: 'start', exitSerial: 0 }));
  m.set(
    'mmu',
    vcpu,
    Object.freeze({
      cpuRole: Object.freeze({ base: 0, ext: 0 }),
      permissions: Object.freeze([]),
      rootRole: 0,
      root: NO_ROOT,
      prevRoots: Object.freeze(Array.from({ length: PREV_ROOTS }, () => NO_ROOT)),
    }),
  );
  initMmu(m);
  // Setting the registers of a new vCPU asks for this flush in the later kernel, and not in the earlier.
  if (eraOf(m).flushesNewVcpu) makeRequest(m, 'TLB_FLUSH_GUEST');
  if ((m.must('mmu', vcpu).cpuRole.base & 0xf) === 3) loadPdptrs(m, m.reg('cr3'));
  if (how.enter) enterGuest(m);
}

/** The guest runs on shadow tables, with paging, write protection and no-execute on whatever it chose itself. */
export function hardwareRegisters(m: Machine): PagingRegisters {
  const levels = m.must('mmu', m.vcpu).rootRole & 0xf;
  const long = levels >= 4;
  const registers = pagingRegisters({
    cr0: CR0_WP | CR0_PG,
    cr3: m.reg('root_hpa'),
    cr4: CR4_PAE | (levels === 5 ? CR4_LA57 : 0n),
    efer: EFER_NXE | (long ? EFER_LMA : 0n),
    physicalBits: SHADOW_PHYSICAL_BITS,
  });
  if (long) return registers;
  return { ...registers, pdptrs: [0, 1, 2, 3].map((index) => m.word(paeRootWord(m.vcpu, index)) & ~SPTE_A) };
}

/**
 * The shadow root is loaded with the guest's own PCID: so a switch that keeps cached translations (bit 63) finds those of
 * the process that it switches to, and no other's. A guest without PCIDs has 0.
 */
const activePcid = (m: Machine): number =>
  (m.reg('cr4') & CR4_PCIDE) === 0n ? 0 : Number(m.reg('cr3') & 0xfffn);

/** From VM exit to VM entry. */
function exitFor<R>(m: Machine, exit: Exit, handle: () => R): Work<R> {
  let call: OpenCall | undefined;
  return {
    before: () => {
      const serial = m.must('vcpu', m.vcpu).exitSerial + 1;
      call = m.open('VM exit', { reason: exit.reason, serial });
      leaveGuest(m, exit);
    },
    locked: false,
    // A vCPU that exits while another holds mmu_lock waits before it handles anything: a schedule like any other.
    ...(exit.reason === 'cpuid' ? {} : { takesLock: true }),
    body: () => {
      const result = handle();
      m.point('unlock');
      return result;
    },
    after: () => {
      enterGuest(m);
      if (call !== undefined) m.close(call);
    },
    afterTakesLock: () => entryTakesLock(m),
  };
}

const byUserSpace = <R>(m: Machine, does: () => R): Work<R> => exitFor(m, { reason: 'signal' }, does);

/** Requests that are served under mmu_lock. A vCPU that only has to flush enters without it. */
const UNDER_LOCK: readonly Request[] = ['MMU_FREE_OBSOLETE_ROOTS', 'MMU_SYNC', 'TLB_FLUSH_GUEST'];

function entryTakesLock(m: Machine): boolean {
  if (m.must('vcpu', m.vcpu).mode === 'guest') return false;
  const asked = m.get('request', m.vcpu) ?? [];
  return (
    m.must('mmu', m.vcpu).root.hpa === undefined || UNDER_LOCK.some((request) => asked.includes(request))
  );
}

export function enterGuest(m: Machine): void {
  m.call('vcpu_enter_guest', {}, () => {
    beforeEntry(m);
    const { exitSerial } = m.must('vcpu', m.vcpu);
    m.step('vm-entry', { asid: asidOf(m), dropped: 0, freshAsid: false });
    m.set('vcpu', m.vcpu, Object.freeze({ mode: 'guest', exitSerial }));
    m.point('entry');
  });
}

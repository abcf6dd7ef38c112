/**
 * KVM's first shadow MMU, of 2006 to 2007, for every guest of its time: `page_fault` and what leads to it and away from
 * it. Source: the project's reference, sections B and C; in what the eras differ is in era-2007.
 */
import { gfnOfAddress, pfnOfEntry, spte, wordOf, type Gfn } from '../quantities.ts';
import type { Engine, FaultRequest, FaultResult } from '../engine.ts';
import { refusal } from '../hardware/fault.ts';
import {
  CR0_PG,
  CR0_WP,
  CR4_PAE,
  EFER_LMA,
  pagingRegisters,
  type PagingRegisters,
} from '../hardware/registers.ts';
import { startRegistersOf } from '../hardware/start-registers.ts';
import { countEntries, dropEntries, translate, translates } from '../hardware/tlb.ts';
import { walk } from '../hardware/walk.ts';
import { indexAt } from '../hardware/x86-entry.ts';
import type { Machine, OpenCall } from '../machine/machine.ts';
import type { Work } from '../machine/sections.ts';
import { vcpusOf } from '../settings.ts';
import { contextOf, PAE_ROOTS, paeRootWord, shadowRootFor } from './context-2007.ts';
import { loadFromCache, rowOf } from './cr3-cache.ts';
import { clearLogLate, getDirtyLog, setLogging } from './dirty-log.ts';
import { emulateMmio, emulateTableWrite } from './emulate.ts';
import { traitsOf } from './era-2007.ts';
import { fetch, fetchAnew } from './fetch.ts';
import { fixReadFault, fixWriteFault, type FixResult } from './fix-fault.ts';
import { walkAddr, type GuestWalk } from './guest-walk.ts';
import { nonpagingPageFault, type NonpagingResult } from './nonpaging.ts';
import { loadableFromCache, setRegister, startPdptes } from './registers-2007.ts';
import { resetContext } from './roots.ts';
import { emptyPool, freeSomePages, shadowPageAt } from './shadow-page.ts';
import { isMmio, isPresent } from './spte-2007.ts';
import { flushFromHost } from './flush-2007.ts';
import { currentAsid, IPI_IN_FLIGHT, startTag, vmEntry, vmExit } from './vendor.ts';

export const kvm2007: Engine = {
  startRegisters: ({ guest }) => startRegistersOf(guest),
  start: (m) => {
    m.set('frames', 'shadow', emptyPool(traitsOf(m.settings).pool));
    const vcpus = vcpusOf(m.settings);
    for (const vcpu of vcpus)
      m.set('vcpu', vcpu, Object.freeze({ mode: 'hypervisor', exit: 'start', exitSerial: 0 }));
    for (const vcpu of vcpus) {
      m.vcpu = vcpu;
      m.amendLastStep(() => {
        startPdptes(m);
        startTag(m);
      });
      resetContext(m);
      enterGuest(m);
    }
    m.vcpu = 0;
  },
  enter: (m) => {
    if (m.reg(IPI_IN_FLIGHT) !== 0n) vmExit(m, { reason: 'IPI' });
    if (m.must('vcpu', m.vcpu).mode !== 'guest') enterGuest(m);
  },
  leave: (m, how) => {
    vmExit(m, { reason: how === 'halt' ? 'hlt' : 'signal' });
    m.step('vcpu-leave', { how });
    const state = m.must('vcpu', m.vcpu);
    m.set('vcpu', m.vcpu, Object.freeze({ ...state, mode: how === 'halt' ? 'halted' : 'user space' }));
  },
  flushAll: flushFromHost,
  translate: (m, request) => {
    const registers = hardwareRegisters(m);
    return translate(m, {
      va: request.gva,
      request,
      kind: 'linear',
      tag: { asid: currentAsid(m), pcid: 0, root: 0 },
      under: '',
      refuses: (entry) => refusal(entry, request, registers),
      walk: () => walk(m, { ...request, registers }),
    });
  },
  backs: () => true,
  physical: (_m, address) => address,
  hostFault: () => ({ locked: false, body: () => ({ kind: 'unmended' }) }),
  invlpg,
  invalidate: neverPlanned,
  setHostEntry: neverPlanned,
  flipped: (m, operation) => (operation.place === 'shadow' ? shadowEntry(m, operation) : undefined),
  flippedRegister: () => undefined,
  judged: true,
  pageFault: (m, fault) =>
    exitFor(m, { reason: '#PF', gva: fault.gva, errorCode: fault.errorCode }, () =>
      handlePageFault(m, fault),
    ),
  writeRegister: (m, write) => {
    const { register } = write;
    if (register === 'pkru' || register === 'pkrs' || register === 'ac')
      return { locked: false, body: () => false };
    const slot = loadableFromCache(m, write);
    if (slot !== undefined) {
      const body = (): boolean => {
        loadFromCache(m, slot);
        return true;
      };
      return { locked: false, body };
    }
    const reason = register === 'efer' ? 'wrmsr' : (`mov-${register}` as const);
    return exitFor(m, { reason }, () => setRegister(m, write));
  },
  setLogging: (m, slot, on) =>
    byUserSpace(m, () => {
      setLogging(m, slot, on);
    }),
  fetchLog,
  clearLog: neverPlanned,
  changeMemory: neverPlanned,
  changeSlot: neverPlanned,
  trivialExit: (m) => exitFor(m, { reason: 'cpuid' }, () => undefined),
};

/** The scenario's text offers these on other machines only. */
function neverPlanned(): never {
  throw new Error('assertion failed: this machine does not have the operation');
}

/** INVLPG runs in the guest itself: neither vendor's KVM intercepted it in this era. */
function invlpg(m: Machine, gva: bigint): void {
  const which = translates(gva, currentAsid(m));
  m.step('invlpg', { gva, dropped: countEntries(m, which) });
  dropEntries(m, which);
}

/**
 * The guest runs on shadow tables, with paging and write protection on whatever it chose itself. Under PAE the processor
 * holds the four root entries in registers.
 */
export function hardwareRegisters(m: Machine): PagingRegisters {
  const long = contextOf(m).shadowRootLevel === 4;
  const registers = pagingRegisters({
    cr0: m.reg('cr0') | CR0_WP | CR0_PG,
    cr3: m.reg('root_hpa'),
    cr4: CR4_PAE,
    efer: (m.reg('efer') & ~EFER_LMA) | (long ? EFER_LMA : 0n),
  });
  if (long) return registers;
  const pdptrs = Array.from({ length: PAE_ROOTS }, (_, index) =>
    m.word(paeRootWord(m.vcpu, index, rowOf(m))),
  );
  return { ...registers, pdptrs };
}

/** The word of the shadow entry of a level that serves an address, where the tables reach so far. */
function shadowEntry(m: Machine, { gva, level }: { gva: bigint; level: number }): number | undefined {
  const root = shadowRootFor(m, gva);
  let table = root.page?.pfn;
  for (let at = root.level; table !== undefined && at >= level; at -= 1) {
    const word = wordOf(table, indexAt(gva, at));
    if (at === level) return word;
    const entry = spte(m.word(word));
    table = isPresent(entry) ? shadowPageAt(m.world, pfnOfEntry(entry))?.pfn : undefined;
  }
  return undefined;
}

/** From VM exit to VM entry: what the hypervisor does in between, it does under its lock. */
function exitFor<R>(m: Machine, exit: Parameters<typeof vmExit>[1], handle: () => R): Work<R> {
  let call: OpenCall | undefined;
  return {
    before: () => {
      const serial = m.must('vcpu', m.vcpu).exitSerial + 1;
      call = m.open('VM exit', { reason: exit.reason, serial });
      vmExit(m, exit);
    },
    locked: true,
    body: () => {
      const result = handle();
      m.point('unlock');
      return result;
    },
    after: () => {
      enterGuest(m);
      if (call !== undefined) m.close(call);
    },
  };
}

/** One thread runs the vCPU and everything else that user space does: a signal takes it out of the guest first. */
const byUserSpace = <R>(m: Machine, does: () => R): Work<R> => exitFor(m, { reason: 'signal' }, does);

/** Both under the lock and after it: only a hypervisor that is broken on purpose has anything left to do then. */
function fetchLog(m: Machine, slot: number): Work<readonly Gfn[]> {
  let given: readonly Gfn[] = [];
  const work = byUserSpace(m, () => (given = getDirtyLog(m, slot)));
  return {
    ...work,
    after: () => {
      clearLogLate(m, slot, given);
      work.after?.();
    },
  };
}

function enterGuest(m: Machine): void {
  vmEntry(m);
  m.point('entry');
}

function handlePageFault(m: Machine, fault: FaultRequest): FaultResult {
  return m.call('page_fault', { gva: fault.gva, errorCode: fault.errorCode }, () => {
    freeSomePages(m);
    if (contextOf(m).mode === 'nonpaging') {
      const gpa = fault.gva & 0xffff_ffffn;
      return afterNonpaging(m, nonpagingPageFault(m, gpa, fault.access), fault);
    }
    const walked = walkAddr(m, fault);
    if (walked.kind === 'fault') return injectPageFault(m, fault.gva, walked.errorCode);
    const { word, result } = mapWalked(m, walked, fault);
    if (result !== 'write-to-table') resetFlood(m);
    if (result !== 'again' && isMmio(spte(m.word(word)))) return emulateMmio(m, walked.gfn, fault);
    m.amendLastStep(() => {
      m.count('pf_fixed');
    });
    return result === 'write-to-table' ? emulateTableWrite(m, walked.gfn, fault) : { kind: 'resume' };
  });
}

function afterNonpaging(m: Machine, result: NonpagingResult, fault: FaultRequest): FaultResult {
  const frame = gfnOfAddress(fault.gva & 0xffff_ffffn);
  if (result === 'fixed') return { kind: 'resume' };
  return result === 'device' ? emulateMmio(m, frame, fault) : emulateTableWrite(m, frame, fault);
}

/** The leaf for what the guest maps: built once and then mended by the fault fixers, or built anew at each fault. */
function mapWalked(
  m: Machine,
  walk: GuestWalk,
  request: FaultRequest,
): { word: number; result: FixResult | 'again' } {
  if (!traitsOf(m.settings).softwareBits) return fetchAnew(m, walk, request);
  const word = fetch(m, walk);
  const fault = { walk, request, word };
  return { word, result: request.access === 'write' ? fixWriteFault(m, fault) : fixReadFault(m, fault) };
}

function injectPageFault(m: Machine, gva: bigint, errorCode: number): FaultResult {
  m.call('inject_page_fault', { gva, errorCode }, () => {
    m.step('inject', { gva, errorCode });
    m.setReg('cr2', gva);
    m.count('injected');
    m.count('pf_guest');
    resetFlood(m);
  });
  return { kind: 'inject', errorCode };
}

/** `last_pt_write_count` = 0: a fault that is no table write ends a series of them. */
function resetFlood(m: Machine): void {
  m.step('flood-reset', { was: Number(m.reg('last_pt_write_count')) });
  m.setReg('last_pt_write_count', 0n);
}

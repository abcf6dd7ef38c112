/**
 * One memory access by the guest, from the first look into the TLB to its completion: translation, page fault, the
 * hypervisor's reaction, the guest's own handler, and the retry.
 */
import { pfnOfAddress } from '../quantities.ts';
import { BOUNDS } from '../bounds.ts';
import type { Machine } from '../machine/machine.ts';
import { holdWhatIsCorrect, judgeAccess } from '../audit/harm.ts';
import { reportViolation } from '../audit/audit.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import type { StageFault } from '../hardware/second-stage.ts';
import type { Translation } from '../hardware/tlb.ts';
import type { Engine, FaultResult } from '../engine.ts';
import { WalkInterrupted } from '../hardware/page-walk.ts';
import { freely, sectionsOf, type Section } from '../machine/sections.ts';
import { mergeBytes } from '../kvm/emulate.ts';
import type { AccessOperation, Handler } from './operation.ts';

/** What the guest can see of an access. */
export interface AccessResult {
  /** What a read got; undefined for writes, fetches, and accesses that never completed. */
  readonly value?: bigint;
  readonly completed: boolean;
  /** Address that the access reached, in the machine's physical space; host physical under a second stage. */
  readonly physical?: bigint;
  /** The fault of the second stage that ended it. */
  readonly hostFault?: StageFault;
  /** Page faults that the guest took, in order. */
  readonly faults: readonly { readonly gva: bigint; readonly errorCode: number }[];
}

export interface Context {
  readonly engine: Engine;
  /** The operations of a handler, with what follows them. */
  readonly handlerSections: (handler: Handler, then: Section['run']) => Section;
}

/** One access on its way. */
interface Attempt {
  readonly m: Machine;
  readonly operation: AccessOperation;
  readonly request: AccessRequest;
  readonly context: Context;
  readonly then: (result: AccessResult) => Section | undefined;
  readonly faults: { readonly gva: bigint; readonly errorCode: number }[];
  faultsInARow: number;
  wordChanges: number;
}

/** The sections of an access; `then` gets what the guest saw of it. */
export function accessSections(
  m: Machine,
  operation: AccessOperation,
  by: { context: Context; then: Attempt['then'] },
): Section {
  const attempt: Attempt = {
    m,
    operation,
    request: { access: operation.access, user: operation.privilege === 'user' },
    ...by,
    faults: [],
    faultsInARow: 0,
    wordChanges: m.wordChanges,
  };
  return toGuest(attempt);
}

/** The guest tries the access; before that its vCPU may have to enter it. */
const toGuest = (attempt: Attempt): Section => ({
  ...freely(() => tryAccess(attempt)),
  takesLock: () => attempt.context.engine.takesLock?.(attempt.m, 'entry') === true,
});

/** TLB and walk; the data where they allow it; otherwise whoever the fault belongs to. */
function tryAccess(attempt: Attempt): Section | undefined {
  const { m, operation, request, context, then, faults } = attempt;
  const { engine } = context;
  engine.enter(m);
  const found = translateOrLeave(attempt);
  if (found === undefined) return toGuest(attempt);
  if (found.kind === 'ok') return then({ ...touchData(m, operation, { request, found, context }), faults });
  if (found.kind === 'not-canonical') {
    m.step('guest-gp', {});
    return then({ completed: false, faults });
  }
  if (found.kind === 'host-fault') {
    const hostFault = found.fault;
    return sectionsOf(engine.hostFault(m, hostFault), (result) => {
      if (result.kind === 'resume') return tryAccess(attempt);
      m.step('guest-skip', { gva: operation.gva, handled: false });
      return then({ completed: false, hostFault, faults });
    });
  }
  attempt.faultsInARow = m.wordChanges === attempt.wordChanges ? attempt.faultsInARow + 1 : 1;
  attempt.wordChanges = m.wordChanges;
  if (attempt.faultsInARow > BOUNDS.faultsInARow) return then(giveUp(m, operation, faults));
  const { gva, value, bytes } = operation;
  const fault = { ...request, gva, errorCode: found.errorCode, store: { value, bytes } };
  return sectionsOf(engine.pageFault(m, fault), (result) => afterFault(attempt, result));
}

/** Another vCPU may interrupt this one in the middle of a walk: then the walk counts for nothing. */
function translateOrLeave({ m, operation, request, context }: Attempt): Translation | undefined {
  const { gva } = operation;
  if (context.engine.judged && m.preemption !== undefined)
    m.amendLastStep(() => {
      holdWhatIsCorrect(m, { ...request, gva });
    });
  try {
    return context.engine.translate(m, { ...request, gva });
  } catch (error) {
    if (!(error instanceof WalkInterrupted)) throw error;
    m.step('walk-abandoned', { gva });
    return undefined;
  }
}

function afterFault(attempt: Attempt, result: FaultResult): Section | undefined {
  const { operation, then, faults } = attempt;
  switch (result.kind) {
    case 'resume':
      return result.waits === undefined ? tryAccess(attempt) : { ...toGuest(attempt), waits: result.waits };
    case 'unmended':
      return then({ completed: false, faults });
    case 'emulated':
      return then(
        operation.access === 'read'
          ? { completed: true, value: result.value, faults }
          : { completed: true, faults },
      );
    case 'inject':
      faults.push({ gva: operation.gva, errorCode: result.errorCode });
      return handleFault(attempt);
  }
}

/** The guest's own handler, and whether it tries the access again. */
function handleFault(attempt: Attempt): Section | undefined {
  const { m, operation, faults, context, then } = attempt;
  const { gva, onFault } = operation;
  const errorCode = faults.at(-1)?.errorCode ?? 0;
  if (onFault === undefined || faults.length > BOUNDS.handlerRetries) {
    m.step('guest-skip', { gva, handled: onFault !== undefined });
    return then({ completed: false, faults });
  }
  const call = m.open('handler', { gva });
  m.step('guest-handler', { errorCode, gva });
  return context.handlerSections(onFault, () => {
    m.close(call);
    if (onFault.then === 'skip') {
      m.step('guest-skip', { gva, handled: true });
      return then({ completed: false, faults });
    }
    m.step('guest-retry', { gva });
    // A fault that the guest took is its own affair: it may go round in circles on real hardware too.
    attempt.faultsInARow = 0;
    return toGuest(attempt);
  });
}

/** INV-14: the guest would fault for ever. */
function giveUp(m: Machine, operation: AccessOperation, faults: AccessResult['faults']): AccessResult {
  m.step('guest-skip', { gva: operation.gva, handled: false });
  const subject = `vcpu:${String(m.vcpu)}`;
  reportViolation(m, { rule: 'INV-14', subject, cause: m.steps - 1 }, 'op');
  return { completed: false, faults };
}

function touchData(
  m: Machine,
  operation: AccessOperation,
  by: { request: AccessRequest; found: Extract<Translation, { kind: 'ok' }>; context: Context },
): Omit<AccessResult, 'faults'> {
  const { gva, bytes, access } = operation;
  const { address, stale } = by.found;
  const word = Number(address >> 3n);
  const offset = Number(address & 7n);
  const mask = (1n << BigInt(bytes * 8)) - 1n;
  const { engine } = by.context;
  const backed = engine.backs(m, address);
  const physical = engine.physical(m, address);
  const held = backed ? (m.word(word) >> BigInt(offset * 8)) & mask : mask;
  if (access === 'execute') m.step('data-execute', { gva }, [word]);
  else if (access === 'read') m.step('data-read', { gva, value: held, bytes }, [word]);
  else m.step('data-write', { gva, value: operation.value & mask, bytes }, [word]);
  const completed = { ...by.request, gva, pfn: pfnOfAddress(address) };
  if (engine.judged) judgeAccess(m, stale === undefined ? completed : { ...completed, stale });
  else engine.judgeAccess?.(m, completed);
  if (access === 'write' && backed)
    m.set('word', word, mergeBytes(m.word(word), { value: operation.value, bytes, offset }));
  return access === 'read' ? { completed: true, value: held, physical } : { completed: true, physical };
}

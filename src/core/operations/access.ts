/**
 * One memory access by the guest, from the first look into the TLB to its completion: translation, page fault, the
 * hypervisor's reaction, the guest's own handler, and the retry.
 */
import { pfnOfAddress } from '../quantities.ts';
import { BOUNDS } from '../bounds.ts';
import type { Machine } from '../machine/machine.ts';
import { judgeAccess } from '../audit/harm.ts';
import { reportViolation } from '../audit/audit.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import type { StageFault } from '../hardware/second-stage.ts';
import type { Translation } from '../hardware/tlb.ts';
import type { Engine } from '../engine.ts';
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
  /** Runs the operations of a handler. */
  readonly runHandler: (handler: Handler) => void;
}

export function runAccess(m: Machine, operation: AccessOperation, context: Context): AccessResult {
  const faults: { gva: bigint; errorCode: number }[] = [];
  const request: AccessRequest = { access: operation.access, user: operation.privilege === 'user' };
  let faultsInARow = 0;
  let wordChanges = m.wordChanges;
  for (;;) {
    const found = context.engine.translate(m, { ...request, gva: operation.gva });
    if (found.kind === 'ok') return { ...touchData(m, operation, { request, found, context }), faults };
    if (found.kind === 'not-canonical') {
      m.step('guest-gp', {});
      return { completed: false, faults };
    }
    if (found.kind === 'host-fault') {
      const hostFault = found.fault;
      if (context.engine.hostFault(m, hostFault).kind === 'resume') continue;
      m.step('guest-skip', { gva: operation.gva, handled: false });
      return { completed: false, hostFault, faults };
    }
    faultsInARow = m.wordChanges === wordChanges ? faultsInARow + 1 : 1;
    wordChanges = m.wordChanges;
    if (faultsInARow > BOUNDS.faultsInARow) return giveUp(m, operation, faults);
    const { gva, value, bytes } = operation;
    const result = context.engine.pageFault(m, {
      ...request,
      gva,
      errorCode: found.errorCode,
      store: { value, bytes },
    });
    if (result.kind === 'resume') continue;
    if (result.kind === 'unmended') return { completed: false, faults };
    if (result.kind === 'emulated') {
      return operation.access === 'read'
        ? { completed: true, value: result.value, faults }
        : { completed: true, faults };
    }
    faults.push({ gva, errorCode: result.errorCode });
    if (!handleFault(m, operation, { faults, context })) return { completed: false, faults };
    // A fault that the guest took is its own affair: it may go round in circles on real hardware too.
    faultsInARow = 0;
  }
}

/** Gives whether the guest tries the access again. */
function handleFault(
  m: Machine,
  operation: AccessOperation,
  by: { faults: readonly { errorCode: number }[]; context: Context },
): boolean {
  const { gva, onFault } = operation;
  const errorCode = by.faults.at(-1)?.errorCode ?? 0;
  if (onFault === undefined || by.faults.length > BOUNDS.handlerRetries) {
    m.step('guest-skip', { gva, handled: onFault !== undefined });
    return false;
  }
  m.call('handler', { gva }, () => {
    m.step('guest-handler', { errorCode, gva });
    by.context.runHandler(onFault);
  });
  if (onFault.then === 'skip') {
    m.step('guest-skip', { gva, handled: true });
    return false;
  }
  m.step('guest-retry', { gva });
  return true;
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
  if (access === 'write' && backed)
    m.set('word', word, mergeBytes(m.word(word), { value: operation.value, bytes, offset }));
  return access === 'read' ? { completed: true, value: held, physical } : { completed: true, physical };
}

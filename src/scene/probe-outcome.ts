/** Where a translation that was tried out ends: in words, with the rights of the page or the fault code taken apart. */
import { errorCodeWords } from '../core/hardware/fault.ts';
import {
  EPT_QUALIFICATION_FIELDS,
  EXITINFO1_FIELDS,
  fieldOf,
  PAGE_FAULT_FIELDS,
  SYNDROME_FIELDS,
  type CodeField,
} from '../core/hardware/fault-bits.ts';
import type { StageFault } from '../core/hardware/second-stage.ts';
import type { TlbEntry } from '../core/machine/tables.ts';
import type { Probe, ProbeOutcome } from '../core/operations/probe-result.ts';
import { hex } from '../core/quantities.ts';
import type { Settings } from '../core/settings.ts';
import { frameName } from './telling.ts';

export interface CodeView {
  readonly title: string;
  readonly value: bigint;
  /** Highest field first. */
  readonly fields: readonly {
    readonly name: string;
    /** `bit 1`, `bits 5–0`. */
    readonly place: string;
    readonly value: string;
    readonly set: boolean;
    readonly meaning: string;
  }[];
}

export interface RightView {
  readonly name: string;
  readonly granted: boolean;
}

export interface OutcomeView {
  readonly kind: 'reached' | 'guest-fault' | 'host-fault' | 'stopped';
  readonly headline: string;
  readonly detail: string;
  readonly rights: readonly RightView[];
  readonly codes: readonly CodeView[];
}

export function outcomeView(probe: Probe, settings: Settings): OutcomeView {
  const { outcome } = probe;
  const nothing = { rights: [], codes: [] };
  switch (outcome.kind) {
    case 'reached':
      return reached(outcome, settings);
    case 'not-canonical':
      return {
        ...nothing,
        kind: 'guest-fault',
        headline: 'General protection fault: the address is not canonical.',
        detail: 'The upper bits are not all equal. No table is read.',
      };
    case 'page-fault':
      return pageFault(probe, outcome.errorCode, settings);
    case 'host-fault':
      return hostFault(outcome.fault);
    case 'stopped':
      return { ...nothing, kind: 'stopped', headline: 'The host stops.', detail: outcome.message };
  }
}

function reached(outcome: Extract<ProbeOutcome, { kind: 'reached' }>, settings: Settings): OutcomeView {
  const { entry, address, physical } = outcome;
  const space = settings.machine === 'native' ? 'physical' : 'host';
  const frame = settings.machine === 'native' ? '' : `, in ${frameName(Number(address >> 12n))}`;
  const size = entry === undefined ? '' : `A page of ${sizeWords(entry.pageBits)}. `;
  const from = outcome.stale
    ? 'The TLB answers, with a translation that a walk would no longer give.'
    : outcome.fromCache
      ? 'The TLB answers: no table is read.'
      : '';
  return {
    kind: 'reached',
    headline: `It reaches ${space} address ${hex(physical)}${frame}.`,
    detail: `${size}${from}`.trim(),
    rights: entry === undefined ? [] : rightsOf(entry, settings),
    codes: [],
  };
}

const SIZES = ['bytes', 'KiB', 'MiB', 'GiB'];

const sizeWords = (bits: number): string =>
  `${String(2 ** (bits % 10))} ${SIZES[Math.floor(bits / 10)] ?? 'TiB'}`;

function rightsOf(entry: TlbEntry, settings: Settings): readonly RightView[] {
  const arm = settings.cpu === 'arm64';
  const own: readonly RightView[] = [
    { name: 'write', granted: entry.writable },
    { name: arm ? 'EL0' : 'user', granted: entry.user },
    { name: arm ? 'EL1 fetch' : 'fetch', granted: entry.executable },
    ...(arm ? [{ name: 'EL0 fetch', granted: entry.userExecutable }] : []),
    { name: 'global', granted: entry.global },
  ];
  if (entry.host === undefined) return own;
  const { read, write, execute } = entry.host;
  return [
    ...own,
    { name: 'host read', granted: read },
    { name: 'host write', granted: write },
    { name: 'host fetch', granted: execute },
  ];
}

function pageFault(probe: Probe, errorCode: number, settings: Settings): OutcomeView {
  if (settings.cpu === 'arm64') {
    const code = codeView('Syndrome (ESR_EL1)', BigInt(errorCode), SYNDROME_FIELDS);
    const status = code.fields.at(-1)?.meaning ?? '';
    return {
      kind: 'guest-fault',
      headline: `Stage 1 abort: ${status}.`,
      detail: "The system's own kernel gets it.",
      rights: [],
      codes: [code],
    };
  }
  const injected = probe.end?.result?.faults.at(-1)?.errorCode;
  const codes = [codeView('Error code', BigInt(errorCode), PAGE_FAULT_FIELDS)];
  if (injected !== undefined && injected !== errorCode)
    codes.push(codeView('Error code that the guest gets', BigInt(injected), PAGE_FAULT_FIELDS));
  return {
    kind: 'guest-fault',
    headline: `Page fault: ${errorCodeWords(errorCode)}.`,
    detail: endWords(probe, settings),
    rights: [],
    codes,
  };
}

/** What becomes of the access where a hypervisor gets the fault first. */
function endWords({ end }: Probe, settings: Settings): string {
  if (!settings.machine.startsWith('kvm-')) return "The system's own kernel gets it.";
  if (end === undefined) return 'The hypervisor gets it.';
  const { result, stopped, exits, emulated } = end;
  if (stopped !== undefined) return stopped;
  const after = `After ${String(exits)} VM ${exits === 1 ? 'exit' : 'exits'}`;
  const fault = result?.faults.at(-1);
  if (fault !== undefined)
    return `The hypervisor gets it, and it is the guest's own: ${errorCodeWords(fault.errorCode)}.`;
  if (result?.completed !== true) return `${after} the access has not completed, and never will.`;
  return emulated
    ? `The hypervisor gets it. ${after} it has run the instruction itself.`
    : `The hypervisor gets it and mends its tables. ${after} the access completes.`;
}

const HOST_CODES: Readonly<
  Record<StageFault['kind'], { title: string; fields: readonly CodeField[] } | undefined>
> = {
  'nested page fault': { title: 'EXITINFO1', fields: EXITINFO1_FIELDS },
  'EPT violation': { title: 'Exit qualification', fields: EPT_QUALIFICATION_FIELDS },
  'EPT misconfiguration': undefined,
  'stage 2 abort': { title: 'Syndrome (ESR_EL2)', fields: SYNDROME_FIELDS },
};

function hostFault(fault: StageFault): OutcomeView {
  const { kind, gpa, code, forTable } = fault;
  const spec = HOST_CODES[kind];
  return {
    kind: 'host-fault',
    headline: `${kind.charAt(0).toUpperCase()}${kind.slice(1)} at guest address ${hex(gpa)}.`,
    detail: forTable
      ? "A table of the guest is out of the walk's reach. The hypervisor gets the fault."
      : "The guest's tables allow it, the second stage does not. The hypervisor gets the fault.",
    rights: [],
    codes: spec === undefined ? [] : [codeView(spec.title, code, spec.fields)],
  };
}

function codeView(title: string, value: bigint, fields: readonly CodeField[]): CodeView {
  const highestFirst = [...fields].sort((a, b) => b.high - a.high);
  return {
    title,
    value,
    fields: highestFirst.map((field) => {
      const held = fieldOf(value, field);
      const { high, low, name } = field;
      return {
        name,
        place: high === low ? `bit ${String(high)}` : `bits ${String(high)}–${String(low)}`,
        value: high === low ? String(held) : hex(held),
        set: held !== 0,
        meaning: field.values[held] ?? 'no meaning here',
      };
    }),
  };
}

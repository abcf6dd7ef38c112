/** How an access ended, in words that are the same whether the model says it or a naive walk. */
import type { StageFault } from '../../core/hardware/second-stage.ts';
import type { WalkOutcome } from '../../core/hardware/walk.ts';
import type { ArmOutcome } from './arm.ts';
import type { EptGuestOutcome } from './ept.ts';
import type { NptOutcome } from './npt.ts';
import type { X86Outcome } from './x86.ts';

type Stopped = Exclude<WalkOutcome<StageFault>, { readonly kind: 'ok' }>;
type Ended = { readonly kind: 'ok'; readonly address: bigint } | Stopped;

const hex = (value: bigint | number): string => value.toString(16);

export function modelText(outcome: Ended): string {
  switch (outcome.kind) {
    case 'ok':
      return `ok ${hex(outcome.address)}`;
    case 'not-canonical':
      return 'gp';
    case 'page-fault':
      return `pf ${hex(outcome.errorCode)}`;
    case 'host-fault':
      return `${outcome.fault.kind} ${hex(outcome.fault.code)} ${hex(outcome.fault.gpa)}`;
  }
}

export function naiveText(outcome: X86Outcome | NptOutcome | EptGuestOutcome): string {
  switch (outcome.t) {
    case 'ok':
      return `ok ${hex('pa' in outcome ? outcome.pa : outcome.hpa)}`;
    case 'gp':
      return 'gp';
    case 'pf':
      return `pf ${hex(outcome.ec)}`;
    case 'npf':
      return `nested page fault ${hex(outcome.info1)} ${hex(outcome.info2)}`;
    case 'ept-violation':
      return `EPT violation ${hex(outcome.qualification)} ${hex(outcome.gpa)}`;
    case 'ept-misconfiguration':
      return `EPT misconfiguration 0 ${hex(outcome.gpa)}`;
  }
}

/** WnR and HPFAR are left out where the architecture or the recordings leave them open. */
export function modelArmText(outcome: Ended): string {
  if (outcome.kind === 'ok') return `ok ${hex(outcome.address)}`;
  if (outcome.kind === 'host-fault') return armFault('s2', outcome.fault.code, outcome.fault.gpa);
  return outcome.kind === 'page-fault' ? armFault('s1', BigInt(outcome.errorCode)) : 'not canonical';
}

const S1PTW = 1n << 7n;
const PERMISSION = 0xcn;

function armFault(stage: string, syndrome: bigint, ipa?: bigint): string {
  const onTable = (syndrome & S1PTW) !== 0n;
  const unknown = (syndrome & 0x3cn) === PERMISSION && !onTable;
  const compared = onTable ? syndrome & ~(1n << 6n) : syndrome;
  return `${stage} ${hex(compared)}${ipa === undefined || unknown ? '' : ` ${hex((ipa >> 12n) << 4n)}`}`;
}

export function naiveArmText(outcome: ArmOutcome): string {
  if (outcome.t === 'ok') return `ok ${hex(outcome.pa)}`;
  const { ec, il, wnr, s1ptw, fsc, hpfar } = outcome;
  const syndrome =
    (BigInt(ec) << 26n) | (BigInt(il) << 25n) | (BigInt(s1ptw) << 7n) | (BigInt(wnr) << 6n) | BigInt(fsc);
  const ipa = outcome.t === 's1' || hpfar === undefined ? undefined : (hpfar >> 4n) << 12n;
  return armFault(outcome.t, syndrome, ipa);
}

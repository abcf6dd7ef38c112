/** Whether a cached table still leads where the tables in memory lead. */
import type { StageFault } from '../hardware/second-stage.ts';
import type { HostOutcome, WalkCaches } from '../hardware/page-walk.ts';
import type { WalkOutcome } from '../hardware/walk.ts';
import type { Machine } from '../machine/machine.ts';

/** Whether a walk from a remembered table ends as one from the root does. Neither leaves a trace. */
export function agrees<Rights>(
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

/** Which operations exist on which machine: what a line asks for and this machine does not have, and what it has instead. */
import { INSTRUCTIONS, instructionOf, type InvalidationName } from '../core/hardware/invalidations.ts';
import { outsideRegisters, type OutsideRegister } from '../core/hardware/outside-registers.ts';
import type { Settings } from '../core/settings.ts';
import type { FlipTarget, GuestAction, Invalidate, LoadRoot } from './ast.ts';
import type { Said } from './machine-check.ts';

const FAMILIES = ['invpcid', 'invvpid', 'invept', 'tlb-control', 'tlbi'];

/** An invalidation as a line says it, without who does it: `invept single`. */
export function invalidationWords(name: InvalidationName): string {
  const family = FAMILIES.find((candidate) => name.startsWith(`${candidate}-`));
  return family === undefined ? name : `${family} ${name.slice(family.length + 1)}`;
}

/** Machines with a hypervisor of KVM's. */
const isKvm = ({ machine }: Settings): boolean => machine.startsWith('kvm-');
/** A KVM for which guest memory is ordinary memory of a process. */
export const isToday = ({ machine }: Settings): boolean => machine === 'kvm-shadow';
const isArm = ({ cpu }: Settings): boolean => cpu === 'arm64';
const USE_TWO_STAGE = 'Use machine two-stage.';
const OLD = 'does not exist on kvm-2007: its processors are older';

/** Why an operation does not exist on this machine; undefined where it does. */
export function missingOn(action: GuestAction, settings: Settings): Said | undefined {
  switch (action.kind) {
    case 'access':
    case 'cpuid':
      return undefined;
    case 'flush-all':
      return settings.machine === 'native' ? noHost(settings) : undefined;
    case 'leave':
    case 'enter':
      return isKvm(settings)
        ? undefined
        : {
            message: `Nobody takes the vCPU out of the guest on machine ${settings.machine}`,
            remedy: 'Remove the line, or use machine kvm-2007.',
          };
    case 'set-pte':
      return pagingOff(settings);
    case 'invalidate':
      return missingInvalidation(action, settings);
    case 'load-root':
      return missingRoot(action, settings);
    case 'set':
      return missingRegister(action.register, settings);
    case 'log':
      return action.does === 'clear' ? missingClear(settings) : isKvm(settings) ? undefined : noLog(settings);
    case 'host-memory':
    case 'slot':
      return isToday(settings) ? undefined : noHostMemory(settings);
    case 'smi':
    case 'rsm':
      return isToday(settings) ? undefined : noSmm(settings);
    case 'set-host-entry':
      return settings.machine === 'two-stage' ? undefined : noHost(settings);
    case 'flip':
      return missingTarget(action.target, settings);
  }
}

function missingTarget(target: FlipTarget, settings: Settings): Said | undefined {
  switch (target.kind) {
    case 'guest':
      return undefined;
    case 'shadow':
      return isKvm(settings) ? undefined : noShadow(settings);
    case 'host':
      return settings.machine === 'two-stage' ? undefined : noHost(settings);
    case 'register':
      return missingOutside(target.register, settings);
  }
}

function missingOutside(register: OutsideRegister, settings: Settings): Said | undefined {
  const known = outsideRegisters(settings);
  if (known.includes(register)) return undefined;
  return {
    message: `This machine keeps no register ${register}`,
    remedy:
      known.length === 0
        ? 'Write a register of it: v0 kernel set cr0.wp = 0.'
        : `Use one of: ${known.join(', ')}.`,
  };
}

export const pagingOff = ({ guest }: Settings): Said | undefined =>
  guest === 'nonpaging'
    ? {
        message: 'Paging is off with guest=nonpaging, so there are no tables',
        remedy: 'Remove the line, or choose another guest.',
      }
    : undefined;

const noHost = ({ machine }: Settings): Said =>
  machine === 'native'
    ? { message: 'There is no hypervisor on machine native', remedy: USE_TWO_STAGE }
    : { message: 'On kvm-2007 the hypervisor acts by itself', remedy: `Remove the line. ${USE_TWO_STAGE}` };

const noLog = ({ machine }: Settings): Said => ({
  message: `There is no dirty log on machine ${machine}`,
  remedy: 'Use machine kvm-2007, or remove the line.',
});

function missingClear(settings: Settings): Said | undefined {
  if (!isToday(settings))
    return {
      message: `The log cannot be cleared apart on machine ${settings.machine}`,
      remedy: isKvm(settings) ? 'Fetching clears it: host fetch-log slot=0.' : USE_TODAY,
    };
  return settings['log-clear'] === 'with-fetch'
    ? {
        message: 'With log-clear=with-fetch the log is cleared when it is fetched',
        remedy: 'Remove the line, or write: machine kvm-shadow log-clear=apart.',
      }
    : undefined;
}

const USE_TODAY = 'Use machine kvm-shadow, or remove the line.';

export const noHostMemory = ({ machine }: Settings): Said => ({
  message: `On machine ${machine} guest memory is fixed: all of it is there from the start`,
  remedy: USE_TODAY,
});

export const noSmm = ({ machine }: Settings): Said => ({
  message: `Machine ${machine} has no System Management Mode`,
  remedy: USE_TODAY,
});

const noShadow = ({ machine }: Settings): Said => ({
  message: `There are no shadow tables on machine ${machine}`,
  remedy: machine === 'native' ? 'Write: flip 0x10000 bit=1.' : 'Write: flip host 0x10000 bit=1.',
});

function missingInvalidation({ name }: Invalidate, settings: Settings): Said | undefined {
  const spec = instructionOf(name);
  const words = invalidationWords(name);
  const byHost = spec?.by === 'hypervisor';
  if (byHost && settings.machine !== 'two-stage') return noHost(settings);
  if (isKvm(settings)) {
    if (name === 'invlpg') return undefined;
    const message =
      settings.machine === 'kvm-2007' ? `${words} ${OLD}` : `${words} is not modelled on ${settings.machine}`;
    return { message, remedy: 'Use invlpg or load-cr3.' };
  }
  if (spec?.cpus.includes(settings.cpu) === true) return undefined;
  const known = INSTRUCTIONS.filter((other) => other.by === spec?.by && other.cpus.includes(settings.cpu));
  const list = known.map((other) => `${byHost ? 'host ' : ''}${invalidationWords(other.name)}`);
  return {
    message: `${words} does not exist with cpu=${settings.cpu}`,
    remedy: `Use one of: ${list.join(', ')}.`,
  };
}

function missingRoot({ word, tag, keep }: LoadRoot, settings: Settings): Said | undefined {
  const right = isArm(settings) ? 'load-ttbr0' : 'load-cr3';
  if (word !== right)
    return { message: `${word} does not exist with cpu=${settings.cpu}`, remedy: `Write ${right}.` };
  if (word === 'load-ttbr0' || (tag === undefined && keep === undefined)) return undefined;
  if (settings.machine === 'kvm-2007')
    return { message: `pcid= ${OLD}`, remedy: 'Leave pcid= and keep out.' };
  if (settings.guest === '4-level' || settings.guest === '5-level') return undefined;
  return {
    message: `Address spaces have no PCID with guest=${settings.guest}`,
    remedy: 'Leave pcid= and keep out, or use guest=4-level.',
  };
}

const EXTRA = ['pkru', 'pkrs', 'ac'];

function missingRegister(register: string, settings: Settings): Said | undefined {
  if (isArm(settings))
    return {
      message: `${register} is a register of x86`,
      remedy: 'Write a bit of one of arm64: flip register sctlr_el1 bit=19.',
    };
  return isKvm(settings) && EXTRA.includes(register)
    ? {
        message:
          settings.machine === 'kvm-2007'
            ? `${register} ${OLD}`
            : `${register} is not modelled on ${settings.machine}`,
        remedy: 'Use machine native or two-stage.',
      }
    : undefined;
}

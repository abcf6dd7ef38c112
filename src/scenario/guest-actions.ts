/** The parts of a line that say what a guest does: accesses, changes of its entries, privileged instructions. */
import { BOUNDS } from '../core/bounds.ts';
import type { EntryFlags } from '../core/hardware/encode.ts';
import { OUTSIDE_REGISTERS, widthOf } from '../core/hardware/outside-registers.ts';
import { REGISTER_BITS, registerMask } from '../core/hardware/registers.ts';
import type { AccessKind, ControlRegister, ExtraRegister, Privilege } from '../core/operations/operation.ts';
import type {
  EntryChange,
  FlipTarget,
  GuestAction,
  Line,
  MapTarget,
  OperationStatement,
  Token,
} from './ast.ts';
import type { Cursor } from './cursor.ts';
import { readInvpcid, readLevel, readTag, readTlbi } from './invalidations.ts';

const MAX_PCID = 0xfff;
const MAX_ASID = 0xffff;
/** Guest frames go up to here, so that host frames behind them stay below the shadow tables'. */
export const MAX_GFN = 0xffff;

const ACCESS: Readonly<Record<'read' | 'write' | 'exec', AccessKind>> = {
  read: 'read',
  write: 'write',
  exec: 'execute',
};
/** What a vCPU does that nobody in its guest asks for; no privilege is named. */
export const BARE_VERBS = ['cpuid', 'halt', 'user-space', 'enter', 'smi', 'rsm'] as const;

const VERBS = [
  'read',
  'write',
  'exec',
  'set-pte',
  'invlpg',
  'invpcid',
  'tlbi',
  'load-cr3',
  'load-ttbr0',
  'set',
  ...BARE_VERBS,
] as const;
/** A whole register, or one named bit. What the machine does not allow, the guest answers with #GP. */
const REGISTER_NAMES = [
  'cr0',
  'cr3',
  'cr4',
  'efer',
  ...REGISTER_BITS.map(({ register, name }) => `${register}.${name}`),
  'pkru',
  'pkrs',
  'ac',
];
/** Widths of registers that are not 64 bits wide. */
const NARROW: Readonly<Partial<Record<string, bigint>>> = { pkru: 32n, pkrs: 32n, ac: 1n };

export function readVcpu(cursor: Cursor): number {
  const token = cursor.next();
  const vcpu = Number(token?.text.slice(1));
  if (!(vcpu < BOUNDS.vcpus)) {
    cursor.fail(token, {
      message: `${token?.text ?? ''} does not exist: a machine has at most ${String(BOUNDS.vcpus)} vCPUs`,
      remedy: `Write v0 to v${String(BOUNDS.vcpus - 1)}.`,
    });
  }
  return vcpu;
}

export function readAction(cursor: Cursor, by: { privilege: Privilege }): GuestAction {
  const place = cursor.peek();
  const verb = cursor.oneOf(VERBS, 'an operation');
  const isAccess = verb === 'read' || verb === 'write' || verb === 'exec';
  if (!isAccess && by.privilege === 'user') {
    cursor.fail(place, { message: `${verb} is for the kernel only`, remedy: `Write: v0 kernel ${verb} ...` });
  }
  switch (verb) {
    case 'read':
    case 'write':
    case 'exec':
      return readAccess(cursor, verb);
    case 'set-pte':
      return { kind: 'set-pte', change: readChange(cursor, { of: 'set-pte' }) };
    case 'invlpg':
      return { kind: 'invalidate', name: 'invlpg', address: cursor.number('an address'), tag: 0 };
    case 'invpcid':
      return readInvpcid(cursor);
    case 'tlbi':
      return readTlbi(cursor, 'guest');
    case 'load-cr3':
    case 'load-ttbr0':
      return readLoadRoot(cursor, verb);
    case 'set':
      return readSet(cursor);
    case 'cpuid':
    case 'smi':
    case 'rsm':
    case 'enter':
      return { kind: verb };
    case 'halt':
    case 'user-space':
      return { kind: 'leave', how: verb };
  }
}

/** `load-cr3 B`, `load-cr3 gfn 0x30 pcid=1 keep`; `load-ttbr0 B asid=1` on arm64. */
function readLoadRoot(cursor: Cursor, word: 'load-cr3' | 'load-ttbr0'): GuestAction {
  const root = cursor.take('gfn')
    ? { gfn: cursor.small('the frame', { min: 0, max: MAX_GFN }) }
    : { space: cursor.word('the name of an address space', `Write: ${word} main.`).text };
  const tag = word === 'load-cr3' ? readTag(cursor, 'pcid', MAX_PCID) : readTag(cursor, 'asid', MAX_ASID);
  const keep = word === 'load-cr3' && cursor.take('keep');
  return {
    kind: 'load-root',
    word,
    root,
    ...(tag === undefined ? {} : { tag }),
    ...(keep ? { keep } : {}),
  };
}

function readAccess(cursor: Cursor, verb: 'read' | 'write' | 'exec'): GuestAction {
  const place = cursor.peek();
  const gva = cursor.number('an address');
  let value = 0n;
  let bytes: 1 | 2 | 4 | 8 = 8;
  if (verb === 'write' && cursor.peek()?.kind === 'equals') {
    cursor.equals();
    value = cursor.number('the value');
  }
  if (cursor.atPair()) {
    cursor.oneOf(['bytes'], 'bytes=1, 2, 4 or 8');
    cursor.equals();
    const size = cursor.oneOf(['1', '2', '4', '8'], 'a size of 1, 2, 4 or 8');
    bytes = Number(size) as 1 | 2 | 4 | 8;
  }
  if (verb === 'exec') bytes = 1;
  if (Number(gva & 7n) + bytes > 8) {
    if (Number(gva & 7n) !== 0 && verb === 'read' && bytes === 8) bytes = 1;
    else {
      cursor.fail(place, {
        message: `An access of ${String(bytes)} bytes here would cross an 8-byte word`,
        remedy: 'Use an address that is a multiple of the size, or a smaller bytes=.',
      });
    }
  }
  return { kind: 'access', access: ACCESS[verb], gva, bytes, value };
}

function readSet(cursor: Cursor): GuestAction {
  const [register = 'cr0', bit] = cursor
    .oneOf(REGISTER_NAMES, 'a control register or a bit of it')
    .split('.');
  const named = register as ControlRegister | ExtraRegister | 'cr3';
  cursor.equals();
  if (bit === undefined) return { kind: 'set', register: named, ...readWhole(cursor, register) };
  const mask = registerMask(register, bit);
  return {
    kind: 'set',
    register: named,
    mask,
    value: cursor.oneOf(['0', '1'], '0 or 1') === '1' ? mask : 0n,
  };
}

const ALL_BITS = (1n << 64n) - 1n;

/** The value of a whole register. */
function readWhole(cursor: Cursor, register: string): { mask: bigint; value: bigint } {
  const place = cursor.peek();
  const value = cursor.number('the value of the register');
  const width = NARROW[register];
  if (width !== undefined && value >> width !== 0n) {
    cursor.fail(place, {
      message: `${register} has ${String(width)} ${width === 1n ? 'bit' : 'bits'}, and 0x${value.toString(16)} does not fit`,
      remedy: width === 1n ? 'Write 0 or 1.' : 'Write at most 8 hex digits.',
    });
  }
  return { mask: width === undefined ? ALL_BITS : (1n << width) - 1n, value };
}

/**
 * `flip 0x10118 bit=1`, `flip shadow V level=1 bit=1`, `flip host 0x21000 bit=1` or `flip register tcr_el1 bit=39`:
 * nobody in the guest or the hypervisor does it.
 */
export function readFlip(cursor: Cursor, line: Line): OperationStatement {
  cursor.take('flip');
  if (cursor.take('register')) {
    const register = cursor.oneOf(OUTSIDE_REGISTERS, 'a register');
    const bit = readBit(cursor, widthOf(register) - 1);
    return flipStatement({ kind: 'register', register }, bit, line);
  }
  const shadow = cursor.take('shadow');
  const host = !shadow && cursor.take('host');
  const place = cursor.peek();
  const address = cursor.number('an address');
  const level = shadow || host ? readLevel(cursor) : undefined;
  const bit = readBit(cursor, 63);
  if (!shadow && !host && address >> 12n > BigInt(MAX_GFN)) {
    cursor.fail(place, {
      message: 'Guest memory ends at 256M on this machine',
      remedy: 'Use a guest physical address.',
    });
  }
  const target = shadow
    ? ({ kind: 'shadow', gva: address, level: level ?? 1 } as const)
    : host
      ? ({ kind: 'host', gpa: address, ...(level === undefined ? {} : { level }) } as const)
      : ({ kind: 'guest', gpa: address - (address % 8n) } as const);
  return flipStatement(target, bit, line);
}

function readBit(cursor: Cursor, max: number): number {
  cursor.oneOf(['bit'], 'bit=');
  cursor.equals();
  const bit = cursor.small('the bit', { min: 0, max });
  cursor.end();
  return bit;
}

const flipStatement = (target: FlipTarget, bit: number, line: Line): OperationStatement => ({
  vcpu: 0,
  privilege: 'kernel',
  action: { kind: 'flip', target, bit },
  line,
});

/** `<gva> [level=N] -> <target> <flags>`, as in `map` and `set-pte`. */
export function readChange(cursor: Cursor, { of }: { of: 'map' | 'set-pte' }): EntryChange {
  const gva = cursor.number('an address');
  let level = readLevel(cursor);
  cursor.arrow();
  const target = readTarget(cursor, { of });
  if (target.kind === 'absent') level = readLevel(cursor) ?? level;
  const { fresh, flags } = target.kind === 'absent' ? NOTHING : readFlags(cursor, { of });
  return {
    gva,
    target,
    flags,
    ...(level === undefined ? {} : { level }),
    ...(fresh ? { fresh: true as const } : {}),
  };
}

function readTarget(cursor: Cursor, { of }: { of: 'map' | 'set-pte' }): MapTarget {
  const words =
    of === 'map'
      ? (['gfn', 'absent', 'table-of'] as const)
      : (['gfn', 'absent', 'table-of', 'table'] as const);
  switch (cursor.oneOf<'gfn' | 'absent' | 'table-of' | 'table'>(words, 'a target')) {
    case 'absent':
      return { kind: 'absent' };
    case 'table':
      return { kind: 'table' };
    case 'gfn':
      return { kind: 'gfn', gfn: cursor.small('the frame', { min: 0, max: 0xfffffff }) };
    case 'table-of': {
      const gva = cursor.number('an address');
      const level = readLevel(cursor);
      const space = cursor.take('in') ? cursor.word('the name of an address space', 'Write: in B.').text : '';
      return { kind: 'table-of', gva, space, ...(level === undefined ? {} : { level }) };
    }
  }
}

interface Words {
  readonly flags: EntryFlags;
  /** The tables on the way are not marked accessed. */
  readonly fresh: boolean;
}

const NOTHING: Words = {
  flags: {
    writable: false,
    user: false,
    accessed: false,
    dirty: false,
    noExecute: false,
    global: false,
    key: 0,
  },
  fresh: false,
};
const FLAGS = ['rw', 'ro', 'user', 'kernel', 'accessed', 'dirty', 'nx', 'global', 'key'] as const;

function readFlags(cursor: Cursor, { of }: { of: 'map' | 'set-pte' }): Words {
  const words = of === 'map' ? ([...FLAGS, 'fresh'] as const) : FLAGS;
  const seen = new Set<string>();
  let last: Token | undefined;
  let key = 0;
  while (cursor.peek() !== undefined) {
    last = cursor.peek();
    const flag = cursor.oneOf<(typeof FLAGS)[number] | 'fresh'>(words, 'a flag');
    if (flag === 'key') {
      cursor.equals();
      key = cursor.small('the key', { min: 0, max: 15 });
    }
    const opposite = { rw: 'ro', ro: 'rw', user: 'kernel', kernel: 'user' }[flag as string];
    if (opposite !== undefined && seen.has(opposite)) {
      cursor.note(last, { message: `${flag} contradicts ${opposite}`, remedy: 'Keep one of the two.' });
    }
    seen.add(flag);
  }
  if (!seen.has('rw') && !seen.has('ro')) {
    cursor.note(undefined, {
      message: 'The entry does not say whether it may be written',
      remedy: 'Add rw or ro.',
    });
  }
  if (!seen.has('user') && !seen.has('kernel')) {
    cursor.note(undefined, {
      message: 'The entry does not say who may use it',
      remedy: 'Add user or kernel.',
    });
  }
  const flags = {
    writable: seen.has('rw'),
    user: seen.has('user'),
    accessed: seen.has('accessed'),
    dirty: seen.has('dirty'),
    noExecute: seen.has('nx'),
    global: seen.has('global'),
    key,
  };
  return { flags, fresh: seen.has('fresh') };
}

/** Between a person's text and a translation that is tried out: an address as typed, and the lines that do the same. */
import { REGISTER_BITS } from '../core/hardware/registers.ts';
import type { AccessOperation, Operation } from '../core/operations/operation.ts';
import { probeAccess } from '../core/operations/probe.ts';
import { preparationsOf } from '../core/operations/probe-flips.ts';
import type { ProbeRequest } from '../core/operations/probe-result.ts';
import type { World } from '../core/machine/world.ts';
import { hex } from '../core/quantities.ts';
import type { Settings } from '../core/settings.ts';
import { numberOf } from '../scenario/cursor.ts';
import { addressText } from './inspected.ts';

type Names = ReadonlyMap<string, bigint>;

export type TypedAddress =
  | { readonly kind: 'address'; readonly gva: bigint }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'problem'; readonly sentence: string };

const HIGHEST = (1n << 64n) - 1n;

/** `0x7f3c5a823010`, `V`, `V+0x10`. */
export function typedAddress(text: string, names: Names): TypedAddress {
  const typed = text.trim();
  if (typed === '') return { kind: 'nothing' };
  let sum = 0n;
  for (const part of typed.split('+').map((piece) => piece.trim())) {
    const value = numberOf(part) ?? names.get(part);
    if (value === undefined) {
      const known = [...names.keys()].slice(0, 6).join(', ');
      const remedy = known === '' ? 'Write a number: 0x400000.' : `Names here: ${known}. Or write 0x400000.`;
      return {
        kind: 'problem',
        sentence:
          part === ''
            ? `Something is missing beside the +. ${remedy}`
            : `"${part}" is no number and no name. ${remedy}`,
      };
    }
    sum += value;
  }
  return sum > HIGHEST
    ? { kind: 'problem', sentence: 'The address has more than 64 bits. Take digits away.' }
    : { kind: 'address', gva: sum };
}

/** The lines of text that make the flips and then the access. */
export const probeLines = (
  of: { world: World; settings: Settings; names: Names },
  request: ProbeRequest,
): readonly string[] =>
  [...preparationsOf(of.world, of.settings, request), probeAccess(request)].flatMap((operation) =>
    lineOf(operation, of.names),
  );

function lineOf(operation: Operation, names: Names): readonly string[] {
  switch (operation.kind) {
    case 'access':
      return [accessLine(operation, names)];
    case 'set-register': {
      const { register, mask, value, vcpu } = operation;
      const bit = REGISTER_BITS.find(
        (candidate) => candidate.register === register && 1n << BigInt(candidate.bit) === mask,
      );
      const what =
        bit === undefined
          ? `${register} = ${hex(value)}`
          : `${register}.${bit.name} = ${value === 0n ? '0' : '1'}`;
      return [`v${String(vcpu)} kernel set ${what}`];
    }
    case 'flip': {
      const bit = `bit=${String(operation.bit)}`;
      if (operation.place === 'guest')
        return [`flip ${hex(BigInt(operation.gfn) * 4096n + BigInt(operation.index * 8))} ${bit}`];
      if (operation.place === 'register') return [`flip register ${operation.register} ${bit}`];
      const level = `level=${String(operation.level)}`;
      return operation.place === 'shadow'
        ? [`flip shadow ${addressText(operation.gva, names)} ${level} ${bit}`]
        : [`flip host ${hex(operation.gpa)} ${level} ${bit}`];
    }
    case 'invlpg':
    case 'load-cr3':
    case 'invalidate':
    case 'set-host-entry':
    case 'log':
    case 'slot':
    case 'host-memory':
    case 'cpuid':
    case 'smi':
    case 'rsm':
    case 'leave':
    case 'enter':
    case 'flush-all':
      return [];
  }
}

const VERBS = { read: 'read', write: 'write', execute: 'exec' } as const;

function accessLine({ vcpu, privilege, access, gva, value, bytes }: AccessOperation, names: Names): string {
  const head = `v${String(vcpu)} ${privilege} ${VERBS[access]} ${addressText(gva, names)}`;
  if (access !== 'write') return head;
  return `${head} = ${String(value)}${bytes === 8 ? '' : ` bytes=${String(bytes)}`}`;
}

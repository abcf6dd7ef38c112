/** The bits that a trial changes before its access, as operations of a scenario: its own, so that its text can do the same. */
import { hostLevels } from '../hardware/encode.ts';
import { OUTSIDE_REGISTERS, type OutsideRegister } from '../hardware/outside-registers.ts';
import { levelOfRole } from '../kvm/role-2007.ts';
import { shadowPageAt } from '../kvm/shadow-page.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN, guestFrameOf, type World } from '../machine/world.ts';
import { frameOfWord, gva as toGva, vcpuId, type VcpuId } from '../quantities.ts';
import type { Settings } from '../settings.ts';
import type { ControlRegister, ExtraRegister, FlipOperation, Operation } from './operation.ts';

/** What the guest's kernel writes, and what only a flip from outside reaches. */
export type ProbeRegister = ControlRegister | ExtraRegister | 'cr3' | OutsideRegister;

/**
 * A bit to change before the access: of a word of memory by nobody in the machine, of a register by the kernel where a
 * line of the scenario can write it, else by nobody too.
 */
export type Flip =
  | { readonly kind: 'entry'; readonly word: number; readonly bit: number }
  | { readonly kind: 'register'; readonly register: ProbeRegister; readonly bit: number };

/**
 * The operations that make the flips: writes of registers first, as they may build tables anew and load root entries,
 * then the registers that nobody in the machine writes, then memory.
 */
export function preparationsOf(
  world: World,
  settings: Settings,
  request: { readonly flips: readonly Flip[]; readonly gva: bigint; readonly vcpu: number },
): readonly Operation[] {
  const vcpu = vcpuId(request.vcpu);
  const registers: Operation[] = [];
  const outside: Operation[] = [];
  for (const register of WHOLE) {
    const mask = request.flips.reduce((bits, flip) => bits | maskIn(flip, register), 0n);
    if (mask === 0n) continue;
    const value = (world.get('reg', `${String(vcpu)}.${register}`) ?? 0n) ^ mask;
    registers.push({ kind: 'set-register', vcpu, register, mask: ALL_BITS, value });
  }
  const entries: Operation[] = [];
  for (const flip of request.flips) {
    if (flip.kind === 'entry') {
      const operation = flipOperation(world, { settings, gva: request.gva, vcpu, flip });
      if (operation !== undefined) entries.push(operation);
    } else if (isOutside(flip.register)) {
      outside.push({ kind: 'flip', vcpu, bit: flip.bit, place: 'register', register: flip.register });
    } else if (!isWhole(flip.register)) {
      const mask = 1n << BigInt(flip.bit);
      const now = world.get('reg', `${String(vcpu)}.${flip.register}`) ?? 0n;
      registers.push({ kind: 'set-register', vcpu, register: flip.register, mask, value: ~now & mask });
    }
  }
  return [...registers, ...outside, ...entries];
}

/** Registers that are written as a whole: their bits have no names. */
const WHOLE = ['cr3', 'pkru', 'pkrs', 'ac'] as const;
const isWhole = (register: ProbeRegister): register is (typeof WHOLE)[number] =>
  (WHOLE as readonly string[]).includes(register);
const isOutside = (register: ProbeRegister): register is OutsideRegister =>
  (OUTSIDE_REGISTERS as readonly string[]).includes(register);
const ALL_BITS = (1n << 64n) - 1n;

const maskIn = (flip: Flip, register: ProbeRegister): bigint =>
  flip.kind === 'register' && flip.register === register ? 1n << BigInt(flip.bit) : 0n;

/** Undefined for a word that no scenario can name: a freed table. */
function flipOperation(
  world: World,
  of: { settings: Settings; gva: bigint; vcpu: VcpuId; flip: Extract<Flip, { kind: 'entry' }> },
): FlipOperation | undefined {
  const { settings, vcpu } = of;
  const { word, bit } = of.flip;
  const frame = frameOfWord(word);
  const index = word % WORDS_PER_FRAME;
  if (frame >= FIRST_GUEST_PFN && frame < FIRST_SHADOW_PFN)
    return { kind: 'flip', vcpu, bit, place: 'guest', gfn: guestFrameOf(frame), index };
  const page = shadowPageAt(world, frame);
  if (page !== undefined)
    return {
      kind: 'flip',
      vcpu,
      bit,
      place: 'shadow',
      gva: toGva(of.gva),
      level: levelOfRole(page.role),
    };
  const found = hostPlace(world, settings, word);
  return found === undefined ? undefined : { kind: 'flip', vcpu, bit, place: 'host', ...found };
}

const WORDS_PER_FRAME = 512;

/** Which entry of the second stage a word is: the first guest physical address that it serves. */
function hostPlace(
  world: World,
  settings: Settings,
  word: number,
): { gpa: bigint; level: number } | undefined {
  if (settings.machine !== 'two-stage') return undefined;
  const levels = hostLevels(settings);
  for (const table of world.tables.hostTable.values()) {
    const at = levels[table.depth];
    const index = word - table.pfn * WORDS_PER_FRAME;
    if (at === undefined || index < 0 || index >= 2 ** at.bits) continue;
    return { gpa: table.gpa + (BigInt(index) << BigInt(at.shift)), level: at.level };
  }
  return undefined;
}

/** Translation of one access on a machine without KVM: what the TLB knows, or a walk, with the second stage if there is one. */
import type { Translated } from '../engine.ts';
import { armRefusal, walkArm, type ArmRequest } from '../hardware/arm-walk.ts';
import { stage1Format, type Stage1Rights } from '../hardware/arm-format.ts';
import { refusal, type PathRights } from '../hardware/fault.ts';
import type { PagingFormat } from '../hardware/format.ts';
import type { HostOutcome, HostUse, WalkCaches } from '../hardware/page-walk.ts';
import { structureCache } from '../hardware/psc.ts';
import type { StageFault } from '../hardware/second-stage.ts';
import { cachedStage } from '../hardware/stage-cache.ts';
import { translate, type Translation } from '../hardware/tlb.ts';
import { walk, type WalkOutcome } from '../hardware/walk.ts';
import { isCanonical } from '../hardware/x86-entry.ts';
import { x86Format } from '../hardware/x86-format.ts';
import type { Machine } from '../machine/machine.ts';
import { agrees } from './agreement.ts';
import { hostRegistersText, isNested, NATIVE_BASE, registersText, stageTag, tagOf } from './ground.ts';
import { stageOf, type How } from './host-stage.ts';
import { armRegisters } from './arm-registers.ts';
import { guestRegisters, isArm } from './registers.ts';

export function translateAccess(m: Machine, request: Translated): Translation {
  const common = {
    va: request.gva,
    request,
    kind: isNested(m) ? 'combined' : 'linear',
    tag: tagOf(m),
    under: registersText(m),
  } as const;
  if (isArm(m.settings)) {
    const arm = armRequest(m, request);
    return translate(m, {
      ...common,
      refuses: (entry) => armRefusal(entry, arm),
      walk: (how) => walkArmGuest(m, request, how),
    });
  }
  const registers = guestRegisters(m, { nested: isNested(m) });
  // Asked first: neither the TLB nor a table is looked at.
  if (!isCanonical(request.gva, registers.mode)) {
    m.step('walk-not-canonical', { gva: request.gva });
    return { kind: 'not-canonical' };
  }
  return translate(m, {
    ...common,
    refuses: (entry) => (registers.mode === 'nonpaging' ? undefined : refusal(entry, request, registers)),
    walk: (how) => walkX86Guest(m, request, how),
  });
}

function walkX86Guest(
  m: Machine,
  request: Translated,
  how: How,
  from?: WalkCaches<PathRights>,
): WalkOutcome<StageFault> {
  const registers = guestRegisters(m, { nested: isNested(m) });
  const caches =
    from ??
    (registers.mode === 'nonpaging'
      ? undefined
      : guestCache(m, how, {
          format: x86Format(registers),
          walkFrom: (known) => walkX86Guest(m, request, 'fresh', known),
        }));
  return walk<StageFault>(m, {
    ...request,
    registers,
    ...hostOf(m, request, how),
    ...(caches === undefined ? {} : { caches }),
  });
}

const armRequest = (m: Machine, { gva, access, user }: Translated): ArmRequest => ({
  va: gva,
  access,
  el: user ? 0 : 1,
  registers: armRegisters(m),
});

function walkArmGuest(
  m: Machine,
  request: Translated,
  how: How,
  from?: WalkCaches<Stage1Rights>,
): WalkOutcome<StageFault> {
  const arm = armRequest(m, request);
  const { stage1 } = arm.registers;
  const caches =
    from ??
    (stage1 === undefined
      ? undefined
      : guestCache(m, how, {
          format: stage1Format(stage1.format),
          walkFrom: (known) => walkArmGuest(m, request, 'fresh', known),
        }));
  return walkArm(m, {
    ...arm,
    ...hostOf(m, request, how),
    ...(caches === undefined ? {} : { caches }),
  });
}

/** The cache of the guest's own tables, where the processor has one and the walk may use it. */
function guestCache<Rights>(
  m: Machine,
  how: How,
  of: {
    readonly format: PagingFormat<Rights>;
    readonly walkFrom: (caches: WalkCaches<Rights> | undefined) => WalkOutcome<StageFault>;
  },
): WalkCaches<Rights> | undefined {
  if (how === 'fresh' || m.settings.psc === 'off') return undefined;
  return structureCache<Rights>(m, {
    stage: 'guest',
    tag: tagOf(m),
    under: registersText(m),
    format: of.format,
    row: 0,
    agrees: (table) => agrees(m, of.walkFrom, table),
  });
}

interface HostHalf {
  readonly host: (gpa: bigint, use: HostUse) => HostOutcome<StageFault>;
  readonly flat?: true;
}

const ANY = { read: true, write: true, execute: true } as const;

/** Where guest physical addresses lie: behind the second stage, or at a plain offset. */
function hostOf(m: Machine, request: Translated, how: How): HostHalf {
  if (!isNested(m)) return plainOffset(NATIVE_BASE);
  const fresh = stageOf(m, request, 'fresh');
  const cached = stageOf(m, request, how);
  // With stage 2 off a guest's address is one of the host's.
  if (fresh === undefined || cached === undefined) return plainOffset(0n);
  if (how === 'fresh') return { host: (gpa, use) => fresh.locate(m, gpa, use) };
  const by = { tag: stageTag(m), under: hostRegistersText(m) };
  return { host: cachedStage(m, { cached, fresh }, by) };
}

const plainOffset = (offset: bigint): HostHalf => ({
  host: (address) => ({
    kind: 'ok',
    address: address + offset,
    pageBits: WIDEST_PAGE,
    rights: ANY,
    dirty: true,
  }),
  flat: true,
});

/** A plain offset never narrows a page. */
const WIDEST_PAGE = 64;

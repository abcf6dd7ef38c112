import { describe, expect, test } from 'vitest';
import { stage1Of, stage2Of } from '../../core/hardware/arm-registers.ts';
import { armStage, walkArm } from '../../core/hardware/arm-walk.ts';
import { readEntry, writeEntry } from '../../core/hardware/format.ts';
import { pdptesAt } from '../../core/hardware/pdptes.ts';
import { pagingRegisters, type AccessKind, type PagingRegisters } from '../../core/hardware/registers.ts';
import { eptStage, nptStage, type StageFault } from '../../core/hardware/second-stage.ts';
import { walk } from '../../core/hardware/walk.ts';
import { Machine } from '../../core/machine/machine.ts';
import { World } from '../../core/machine/world.ts';
import { DEFAULT_SETTINGS } from '../../core/settings.ts';
import {
  answerArm,
  answerEpt,
  answerNpt,
  answerX86,
  ARM_SETS,
  EPT_SETS,
  NPT_SETS,
  X86_SETS,
  type Answer,
  type CaseSet,
} from './enumerate.ts';
import type { ArmCase } from './enumerate-arm.ts';
import type { EptCase } from './enumerate-ept.ts';
import type { NptCase } from './enumerate-npt.ts';
import { pdpteCases, type X86Case } from './enumerate-x86.ts';
import { modelArmText, modelText, naiveArmText, naiveText } from './outcome-text.ts';
import type { Cell } from './paths.ts';
import { loadPdptes, type X86Request } from './x86.ts';

/** Every case. */
const STRIDE = 1;
const SHOWN = 5;

const ACCESS: Readonly<Record<'r' | 'w' | 'x', AccessKind>> = { r: 'read', w: 'write', x: 'execute' };

/** Memory that reads 0 wherever nothing was written, as the naive models have it. */
class BlankWorld extends World {
  override untouched(): bigint {
    return 0n;
  }
}

interface Case {
  readonly id: string;
  readonly memory: readonly Cell[];
}

/**
 * Walks with the model over the case's memory: outcome as text, and the entries afterwards. The last `halves` entries
 * have 4 bytes: those of a guest with 2-level paging.
 */
function run(given: Case, halves: number, go: (m: Machine) => string): string {
  const m = new Machine({ settings: DEFAULT_SETTINGS, world: new BlankWorld() });
  const sizes = given.memory.map((_cell, at): 4 | 8 => (at < given.memory.length - halves ? 8 : 4));
  m.step('setup-memory', { gfn: 0 });
  given.memory.forEach(([address, entry], at) => {
    writeEntry(m, { address, bytes: sizes[at] ?? 8 }, entry);
  });
  const outcome = go(m);
  const after = given.memory.map(([address], at) => readEntry(m, address, sizes[at] ?? 8));
  return textOf(outcome, after);
}

const hex = (value: bigint | number): string => value.toString(16);
const textOf = (outcome: string, after: readonly bigint[]): string =>
  `${outcome} | ${after.map(hex).join(' ')}`;

function registersOf(request: X86Request): PagingRegisters {
  const { cr0, cr3, cr4, efer, pkru, pkrs, ac, maxPhyAddr, pdptes } = request;
  const registers = pagingRegisters({ cr0, cr3, cr4, efer, pkru, pkrs, ac, physicalBits: maxPhyAddr });
  return pdptes === undefined ? registers : { ...registers, pdptrs: pdptes };
}

const requestOf = (
  request: X86Request,
): { gva: bigint; access: AccessKind; user: boolean; registers: PagingRegisters } => ({
  gva: request.va,
  access: ACCESS[request.access],
  user: request.cpl === 3,
  registers: registersOf(request),
});

const isTwoLevel = ({ cr0, cr4 }: X86Request): boolean => (cr0 >> 31n) % 2n === 1n && (cr4 >> 5n) % 2n === 0n;
const halvesOf = (request: X86Request): number => (isTwoLevel(request) ? 2 : 0);

const x86Text = (given: X86Case): string =>
  run(given, halvesOf(given.request), (m) => modelText(walk(m, requestOf(given.request))));

function nptText(given: NptCase): string {
  const { guest, host } = given;
  const request = requestOf(guest);
  const mode = host.levels === 5 ? '5-level' : '4-level';
  const options = { root: host.ncr3, mode, physicalBits: host.maxPhyAddr, nxe: host.nxe } as const;
  const stage = nptStage(options, request.access);
  return run(given, halvesOf(guest), (m) =>
    modelText(walk<StageFault>(m, { ...request, host: (gpa, use) => stage.locate(m, gpa, use) })),
  );
}

function eptText(given: EptCase): string {
  const { guest, ept } = given;
  const request = requestOf(guest);
  const stage = eptStage(
    {
      root: ept.eptp & 0x000f_ffff_ffff_f000n,
      levels: (ept.eptp >> 3n) % 8n === 4n ? 5 : 4,
      physicalBits: ept.maxPhyAddr,
      accessedDirty: (ept.eptp >> 6n) % 2n === 1n,
      executeOnly: ept.executeOnly,
      oneGiB: ept.gigabytePages,
    },
    request.access,
  );
  return run(given, halvesOf(guest), (m) =>
    modelText(walk<StageFault>(m, { ...request, host: (gpa, use) => stage.locate(m, gpa, use) })),
  );
}

function armText(given: ArmCase): string {
  const { request } = given;
  const access = ACCESS[request.access];
  const stage1 = stage1Of(request);
  const stage = armStage(stage2Of(request), { access, el: request.el });
  return run(given, 0, (m) => {
    const outcome = walkArm(m, {
      va: request.va,
      access,
      el: request.el,
      registers: { ...(stage1 === undefined ? {} : { stage1 }), pan: request.pan },
      host:
        (request.hcr & 1n) === 1n
          ? (ipa, use) => stage.locate(m, ipa, use)
          : (ipa) => ({
              kind: 'ok',
              address: ipa,
              pageBits: 64,
              rights: { read: true, write: true, execute: true },
              dirty: true,
            }),
    });
    return modelArmText(outcome);
  });
}

function disagreements<C extends Case, O>(
  set: CaseSet<C>,
  by: { model: (given: C) => string; naive: (given: C) => Answer<O>; text: (outcome: O) => string },
): { compared: number; different: readonly string[] } {
  const different: string[] = [];
  let compared = 0;
  for (const given of set.cases(STRIDE)) {
    compared += 1;
    const { outcome, after } = by.naive(given);
    const expected = textOf(by.text(outcome), after);
    const got = by.model(given);
    if (got !== expected && different.length < SHOWN)
      different.push(`${given.id}\n  naive ${expected}\n  model ${got}`);
  }
  return { compared, different };
}

describe('the model walks as the naive one does', () => {
  test.each(X86_SETS.map((set) => [set.name, set] as const))('x86, %s', (_name, set) => {
    const { compared, different } = disagreements(set, { model: x86Text, naive: answerX86, text: naiveText });
    expect(different).toEqual([]);
    expect(compared).toBeGreaterThanOrEqual(Math.floor(set.size / STRIDE));
  });
  test('the four root entries of PAE, loaded by MOV CR3', () => {
    for (const given of pdpteCases()) {
      const m = new Machine({ settings: DEFAULT_SETTINGS, world: new BlankWorld() });
      m.step('setup-memory', { gfn: 0 });
      for (const [address, entry] of given.memory) writeEntry(m, { address, bytes: 8 }, entry);
      const { cr3, maxPhyAddr } = given;
      const got = pdptesAt(m, { cr3, physicalBits: maxPhyAddr, place: (address) => address });
      const expected = loadPdptes(given, new Map(given.memory));
      expect([given.id, got]).toEqual([given.id, expected === 'gp' ? 'malformed' : expected]);
    }
  });
  test.each(NPT_SETS.map((set) => [set.name, set] as const))('nested paging, %s', (_name, set) => {
    const { compared, different } = disagreements(set, { model: nptText, naive: answerNpt, text: naiveText });
    expect(different).toEqual([]);
    expect(compared).toBeGreaterThanOrEqual(Math.floor(set.size / STRIDE));
  });
  test.each(EPT_SETS.map((set) => [set.name, set] as const))('EPT, %s', (_name, set) => {
    const { compared, different } = disagreements(set, { model: eptText, naive: answerEpt, text: naiveText });
    expect(different).toEqual([]);
    expect(compared).toBeGreaterThanOrEqual(Math.floor(set.size / STRIDE));
  });
  test.each(ARM_SETS.map((set) => [set.name, set] as const))('arm64, %s', (_name, set) => {
    const { compared, different } = disagreements(set, {
      model: armText,
      naive: answerArm,
      text: naiveArmText,
    });
    expect(different).toEqual([]);
    expect(compared).toBeGreaterThanOrEqual(Math.floor(set.size / STRIDE));
  });
});

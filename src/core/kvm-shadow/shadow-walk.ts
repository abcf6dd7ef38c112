/** Walking KVM's own tables for an address. Source: the reference, D.4 and D.12. */
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import { pfn, wordOf, type Pfn } from '../quantities.ts';
import { ENTRIES, entryWord, pageOfFrame } from './page.ts';
import { frameOf, isLarge, isPresent } from './spte.ts';

/** Frames that hold the four PAE root entries of each vCPU. */
const PAE_ROOT_FRAMES = 0xf000;
export const paeRootFrame = (vcpu: number): Pfn => pfn(PAE_ROOT_FRAMES + vcpu);
export const paeRootWord = (vcpu: number, index: number): number => wordOf(paeRootFrame(vcpu), index);

export interface ShadowStep {
  readonly word: number;
  readonly level: number;
}

const indexAt = (gva: bigint, level: number): number => Number(gva >> BigInt(12 + 9 * (level - 1))) % ENTRIES;

/** `shadow_walk_init`: the entry of the root table for an address; none where there is no root for it. `hpa`: another root. */
export function shadowStart(m: Machine, gva: bigint, hpa?: Pfn): ShadowStep | undefined {
  const mmu = m.must('mmu', m.vcpu);
  const root = hpa ?? mmu.root.hpa;
  if (root === undefined) return undefined;
  const level = mmu.rootRole & 0xf;
  const unsigned = BigInt.asUintN(64, gva);
  if (level > 3) {
    const page = pageOfFrame(m.world, root);
    return page === undefined ? undefined : at(page, unsigned, level);
  }
  const entry = m.word(paeRootWord(m.vcpu, Number((unsigned >> 30n) & 3n)));
  const page = entry === 0n ? undefined : pageOfFrame(m.world, frameOf(entry));
  return page === undefined ? undefined : at(page, unsigned, 2);
}

const at = (page: ShadowPage, gva: bigint, level: number): ShadowStep => ({
  word: entryWord(page, indexAt(gva, level)),
  level,
});

/** The entry one level down; none where this one is a leaf or empty. */
export function shadowNext(m: Machine, gva: bigint, from: ShadowStep): ShadowStep | undefined {
  const entry = m.word(from.word);
  if (from.level === 1 || !isPresent(entry) || isLarge(entry)) return undefined;
  const page = pageOfFrame(m.world, frameOf(entry));
  return page === undefined ? undefined : at(page, BigInt.asUintN(64, gva), from.level - 1);
}

/** All entries for an address, from the root down to a leaf or a hole. */
export function shadowPath(m: Machine, gva: bigint, hpa?: Pfn): readonly ShadowStep[] {
  const path: ShadowStep[] = [];
  for (let step = shadowStart(m, gva, hpa); step !== undefined; step = shadowNext(m, gva, step))
    path.push(step);
  return path;
}

/**
 * The three checks that KVM of 2007 had on itself, and ran before and after it handled a page fault: `audit_rmap`,
 * `audit_write_protection` and `audit_mappings`. Source: the mid-2007 mmu.c, as the project's reference describes it.
 *
 * Each sees only part of what our rules ask. `audit_rmap` compares two sums; `audit_write_protection` trusts the
 * reverse map; `audit_mappings` looks at frames, never at rights, and only below the root in use. None knows the TLB.
 */
import { gfn, pfnOfAddress, pfnOfEntry, spte, wordOf, type Gfn, type Pfn } from '../quantities.ts';
import { pagingModeOf } from '../hardware/registers.ts';
import { pfnOfGfn } from '../kvm/memslots.ts';
import { walkAddr } from '../kvm/guest-walk.ts';
import { pointers, RMAP_LIST } from '../kvm/pointer-list.ts';
import { levelOfRole, roleOf } from '../kvm/role-2007.ts';
import { shadowPageAt } from '../kvm/shadow-page.ts';
import { isPresent, isTracked } from '../kvm/spte-2007.ts';
import { Machine } from '../machine/machine.ts';
import { idText, type ShadowPage, type Violation } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import type { Settings } from '../settings.ts';

export const KERNEL_AUDITS = ['audit_rmap', 'audit_write_protection', 'audit_mappings'] as const;
export type KernelAuditName = (typeof KERNEL_AUDITS)[number];

/** The rule of ours that asks what the kernel's check asks, and more. */
export const RULE_OF_KERNEL_AUDIT: Readonly<Record<KernelAuditName, string>> = {
  audit_rmap: 'INV-2',
  audit_write_protection: 'INV-3',
  audit_mappings: 'INV-1',
};

/** A guest table with a shadow of its own, whose frame the reverse map says may be written. */
export interface WritableTable {
  readonly serial: number;
  readonly gfn: Gfn;
  /** The shadow entries that the reverse map lists for the frame. */
  readonly words: readonly number[];
}

/** A shadow leaf that names another host frame than the guest's tables do for its address. */
export interface WrongMapping {
  readonly gva: bigint;
  readonly word: number;
  readonly mapped: Pfn;
  /** Frame behind the one that the guest's tables name; undefined where they map nothing. */
  readonly named: Pfn | undefined;
}

export interface KernelAudits {
  /** Complains where the sums differ. */
  readonly rmap: { readonly listed: number; readonly writable: number };
  readonly writeProtection: { readonly pages: number; readonly found: readonly WritableTable[] };
  readonly mappings: { readonly leaves: number; readonly found: readonly WrongMapping[] };
}

/** Runs all three. Looking changes nothing: what the guest walk marks is taken back. */
export function kernelAudits(world: World, settings: Settings): KernelAudits {
  return {
    rmap: { listed: countListed(world), writable: countWritable(world) },
    writeProtection: auditWriteProtection(world),
    mappings: auditMappings(world, settings),
  };
}

export function complaints({ rmap, writeProtection, mappings }: KernelAudits): readonly KernelAuditName[] {
  const complains: Readonly<Record<KernelAuditName, boolean>> = {
    audit_rmap: rmap.listed !== rmap.writable,
    audit_write_protection: writeProtection.found.length > 0,
    audit_mappings: mappings.found.length > 0,
  };
  return KERNEL_AUDITS.filter((name) => complains[name]);
}

/** The kernel's check that complains of this very violation, in the world that was audited. */
export function kernelAuditOf(
  audits: KernelAudits,
  { rule, subject }: Pick<Violation, 'rule' | 'subject'>,
): KernelAuditName | undefined {
  const isSubject = (word: number): boolean => idText('word', word) === subject;
  const { writeProtection, mappings } = audits;
  const sees: Readonly<Record<KernelAuditName, boolean>> = {
    audit_rmap: complaints(audits).includes('audit_rmap'),
    audit_write_protection: writeProtection.found.some(({ words }) => words.some(isSubject)),
    audit_mappings: mappings.found.some(({ word }) => isSubject(word)),
  };
  return KERNEL_AUDITS.find((name) => RULE_OF_KERNEL_AUDIT[name] === rule && sees[name]);
}

/** Entries of all reverse maps, whatever they point to. */
const countListed = (world: World): number =>
  [...world.tables.rmap.values()].reduce((sum, head) => sum + pointers(world, RMAP_LIST, head).length, 0);

/** Present and writable entries of all shadow page tables, in whichever list they are. */
function countWritable(world: World): number {
  return [...world.tables.sp.values()]
    .filter((page) => levelOfRole(page.role) === 1)
    .flatMap((page) => world.wordsOfShadowFrame(page.pfn))
    .filter((word) => isTracked(spte(world.word(word)))).length;
}

/** A page that shadows a guest table: its frame's reverse map must be empty. The entries themselves are not looked at. */
function auditWriteProtection(world: World): KernelAudits['writeProtection'] {
  const pages = [...world.tables.sp.values()].filter((page) => !roleOf(page.role).metaphysical);
  const found = pages.flatMap(({ serial, gfn }) => {
    const pfn = pfnOfGfn(world, gfn);
    const head = pfn === undefined ? undefined : world.get('rmap', pfn);
    return head === undefined ? [] : [{ serial, gfn, words: pointers(world, RMAP_LIST, head) }];
  });
  return { pages: pages.length, found };
}

/** Every present leaf below the roots in use, against a software walk of the guest's own tables for its address. */
function auditMappings(world: World, settings: Settings): KernelAudits['mappings'] {
  const m = new Machine({ world, settings });
  const seen = new Set<string>();
  const found: WrongMapping[] = [];
  for (const vcpu of world.tables.vcpu.keys()) {
    m.vcpu = vcpu;
    for (const leaf of shadowRoots(world, vcpu).flatMap((root) => leavesBelow(world, root))) {
      const key = `${String(leaf.word)} ${String(leaf.gva)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const named = frameNamed(m, leaf.gva);
      if (named !== leaf.mapped) found.push({ ...leaf, named });
    }
  }
  return { leaves: seen.size, found };
}

interface Branch {
  readonly page: ShadowPage;
  /** First address that the page serves. */
  readonly gva: bigint;
}

/** Number of root entries where the processor walks PAE tables. */
const PAE_ROOTS = 4;

/** What the processor's CR3 names: one root, or a page of four entries that name one each. */
function shadowRoots(world: World, vcpu: number): readonly Branch[] {
  const frame = pfnOfAddress(world.get('reg', `${String(vcpu)}.root_hpa`) ?? 0n);
  const root = shadowPageAt(world, frame);
  if (root !== undefined) return [{ page: root, gva: 0n }];
  return Array.from({ length: PAE_ROOTS }, (_, index) => index).flatMap((index) => {
    const entry = spte(world.word(wordOf(frame, index)));
    const page = isPresent(entry) ? shadowPageAt(world, pfnOfEntry(entry)) : undefined;
    return page === undefined ? [] : [{ page, gva: BigInt(index) << 30n }];
  });
}

function leavesBelow(world: World, { page, gva }: Branch): readonly Omit<WrongMapping, 'named'>[] {
  const level = levelOfRole(page.role);
  return world.wordsOfShadowFrame(page.pfn).flatMap((word) => {
    const entry = spte(world.word(word));
    if (!isPresent(entry)) return [];
    const start = gva + (BigInt(word % 512) << BigInt(3 + 9 * level));
    const mapped = pfnOfEntry(entry);
    if (level === 1) return [{ gva: canonical(start), word, mapped }];
    const child = shadowPageAt(world, mapped);
    // A bit flipped from outside can link a page to itself or upwards: the levels below still end the descent.
    const descends = child !== undefined && levelOfRole(child.role) === level - 1;
    return descends ? leavesBelow(world, { page: child, gva: start }) : [];
  });
}

const canonical = (gva: bigint): bigint => BigInt.asUintN(64, BigInt.asIntN(48, gva));

/** `gva_to_gpa` and the frame behind it: a read by the kernel, which only an absent entry refuses. */
function frameNamed(m: Machine, gva: bigint): Pfn | undefined {
  const registers = { cr0: m.reg('cr0'), cr4: m.reg('cr4'), efer: m.reg('efer') };
  if (pagingModeOf(registers) === 'nonpaging') return pfnOfGfn(m.world, gfn(Number(gva >> 12n)));
  const walked = m.lookAside(() => walkAddr(m, { gva, access: 'read', user: false, errorCode: 0 }));
  return walked.kind === 'fault' ? undefined : pfnOfGfn(m.world, walked.gfn);
}

/**
 * What a correct TLB may still hold: whole translations that the guest's tables gave at some moment since the guest last
 * invalidated them. A shadow page that is out of step may give the same, and no more. For that every change of a guest's
 * table that has a shadow page is remembered until each vCPU has invalidated everything.
 */
import type { Machine, Witness } from '../../machine/machine.ts';
import type { FormerEntry } from '../../machine/tables-today.ts';
import { PTE_A, PTE_D } from '../../hardware/x86-entry.ts';
import type { Pfn } from '../../quantities.ts';
import type { JudgedAccess } from '../judging.ts';
import { shadowedFrames } from './overview.ts';

/** A word of memory was written, inside the step marked last. Marks are none of the guest's business here. */
export const noteFormer: Witness = (m, frame, { word, before }) => {
  if (m.world.tables.owner.has(frame)) return;
  if (((m.word(word) ^ before) & ~(PTE_A | PTE_D)) === 0n) return;
  if (!shadowedFrames(m.world).has(frame)) return;
  const known = m.get('former', word) ?? [];
  m.set('former', word, Object.freeze([...known, Object.freeze({ value: before, until: m.steps })]));
};

/** What each of the guest's tables gave for an access at the moments before each change that it may not know yet. */
export function formerFrames(
  m: Machine,
  { gva }: JudgedAccess,
  walkNow: () => Pfn | undefined,
): readonly Pfn[] {
  const since = Math.max(invalidatedAt(m, String(m.vcpu)), invalidatedAt(m, pageKey(m, gva)));
  const former = [...m.world.tables.former];
  const moments = new Set(former.flatMap(([, entries]) => entries.map(({ until }) => until)));
  return [...moments]
    .filter((moment) => moment > since)
    .flatMap((moment) => {
      const frame = m.lookAside(() => {
        for (const [word, entries] of former) {
          const then = valueAt(entries, moment);
          if (then !== undefined) m.set('word', word, then);
        }
        return walkNow();
      });
      return frame === undefined ? [] : [frame];
    });
}

/** What a word held until a moment; undefined where it has not changed since. */
const valueAt = (entries: readonly FormerEntry[], moment: number): bigint | undefined =>
  entries.find(({ until }) => until >= moment)?.value;

const invalidatedAt = (m: Machine, key: string): number => m.get('invalidated', key) ?? -1;
const pageKey = (m: Machine, gva: bigint): string => `${String(m.vcpu)}:${(gva >> 12n).toString(16)}`;

/** The guest invalidates a page, or everything; inside the step marked last. */
export function forgetFormer(m: Machine, gva?: bigint): void {
  m.set('invalidated', gva === undefined ? String(m.vcpu) : pageKey(m, gva), m.steps);
  if (gva !== undefined) return;
  for (const key of [...m.world.tables.invalidated.keys()])
    if (key.startsWith(`${String(m.vcpu)}:`)) m.set('invalidated', key, undefined);
  const all = [...m.world.tables.vcpu.keys()].map((vcpu) => invalidatedAt(m, String(vcpu)));
  const earliest = Math.min(...all);
  for (const [word, entries] of [...m.world.tables.former]) {
    const left = entries.filter(({ until }) => until > earliest);
    if (left.length < entries.length)
      m.set('former', word, left.length === 0 ? undefined : Object.freeze(left));
  }
}

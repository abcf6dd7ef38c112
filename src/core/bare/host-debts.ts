/**
 * The flushes that a hypervisor owes on a `two-stage` machine: after it has changed an entry of its tables, nothing that was
 * derived from the old entry may be used once it has flushed. What a flush leaves behind is called by name.
 */
import { hasMistake } from '../flush-settings.ts';
import { differsFromTables } from '../hardware/tlb.ts';
import type { Reached } from '../engine.ts';
import type { Machine } from '../machine/machine.ts';
import type { OwedFlush, TlbEntry } from '../machine/tables.ts';

/** Inside the step that changes the word. */
export function oweHostFlush(m: Machine, word: number): void {
  const serial = m.serial('owed');
  const words = Object.freeze([word]);
  m.set('owed', serial, Object.freeze({ serial, vcpu: m.vcpu, words, due: 'entry', cause: m.steps - 1 }));
}

const leftOf = (m: Machine, owed: OwedFlush): readonly TlbEntry[] =>
  [...m.world.tables.tlb.values()].filter(
    (entry) =>
      owed.words.some((word) => entry.filledFrom.includes(word)) && differsFromTables(m.world, entry),
  );

/** Inside the step of an invalidation: what has nothing left that was derived from it is owed no longer. */
export function payHostDebts(m: Machine): void {
  for (const owed of [...m.world.tables.owed.values()]) {
    if (leftOf(m, owed).length > 0) continue;
    m.set('owed', owed.serial, undefined);
    for (const violation of [...m.world.tables.violation.values()])
      if (violation.cause === owed.cause && violation.mended !== true)
        m.set('violation', violation.serial, Object.freeze({ ...violation, mended: true }));
  }
}

/** The hypervisor believes that all is flushed: what is left breaks INV-6. Inside the step of its flush. */
export function callHostDebts(m: Machine): void {
  payHostDebts(m);
  const bug = hasMistake(m, 'B-B3') ? { bug: 'B-B3' } : {};
  for (const owed of [...m.world.tables.owed.values()]) {
    if (owed.overdue === true) continue;
    m.count('flushes_missing');
    m.set('owed', owed.serial, Object.freeze({ ...owed, ...bug, overdue: true }));
    for (const { vcpu, serial: entry } of leftOf(m, owed)) {
      const serial = m.serial('violation');
      const subject = `tlb:${String(vcpu)}:${String(entry)}`;
      const found = { serial, rule: 'INV-6', point: 'entry', subject, cause: owed.cause, ...bug } as const;
      m.set('violation', serial, Object.freeze(found));
    }
  }
}

/**
 * Harm, inside the step of an access: it went through a translation that comes
 * from an entry whose flush is past due.
 */
export function judgeOverdue(m: Machine, access: Reached): void {
  const overdue = [...m.world.tables.owed.values()].filter((debt) => debt.overdue === true);
  if (overdue.length === 0) return;
  const page = Number(access.gva >> 12n);
  const used = [...m.world.tables.tlb.values()].some(
    (entry) =>
      entry.vcpu === m.vcpu &&
      entry.kind === 'combined' &&
      page >= entry.vpn &&
      page < entry.vpn + 2 ** (entry.pageBits - 12) &&
      differsFromTables(m.world, entry) &&
      overdue.some((debt) => debt.words.some((word) => entry.filledFrom.includes(word))),
  );
  if (!used) return;
  const serial = m.serial('harm');
  const kind = access.access === 'write' ? 'stale-write' : 'stale-read';
  m.set('harm', serial, Object.freeze({ serial, kind, gva: access.gva, got: access.pfn }));
}

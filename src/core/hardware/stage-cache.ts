/**
 * The second stage with what the TLB knows of it: guest-physical translations, asked before its tables are walked and filled
 * from what a walk of them read. Rules as in tlb.
 */
import type { Machine } from '../machine/machine.ts';
import type { CacheTag, HostRights, TlbEntry } from '../machine/tables.ts';
import type { HostOutcome, HostUse } from './page-walk.ts';
import type { SecondStage, StageFault } from './second-stage.ts';
import {
  addressIn,
  differsFromTables,
  entriesAt,
  makeRoom,
  nextSerial,
  noteUse,
  put,
  tlbKey,
  type Slot,
} from './tlb.ts';

/**
 * The second stage with the guest-physical translations that the TLB holds: what is known is not walked for, what was
 * walked for is kept. `fresh` walks without paging-structure caches: it tells what the tables in memory say. `under` are
 * the registers that decide how the second stage is walked, as text.
 */
export function cachedStage(
  m: Machine,
  { cached: stage, fresh }: { readonly cached: SecondStage; readonly fresh: SecondStage },
  by: { readonly tag: CacheTag; readonly under: string },
): (gpa: bigint, use: HostUse) => HostOutcome<StageFault> {
  const { tag, under } = by;
  return (gpa, use) => {
    const entry = findGuestPhysical(m, { gpa, tag, asked: stage.asks(use) });
    if (entry !== undefined) return useGuestPhysical(m, entry, { gpa, use, stage, fresh, under });
    const start = use.trail.words.length;
    const found = stage.locate(m, gpa, use);
    if (found.kind === 'fault') return found;
    const slot: Slot = { ...tag, pcid: 0, kind: 'guest-physical', address: gpa, pageBits: found.pageBits };
    makeRoom(m, slot);
    m.step('tlb-fill-gpa', { serial: nextSerial(m), gpa, pfn: Number(found.address >> 12n) });
    put(m, {
      ...slot,
      under,
      target: found.address,
      rights: {
        readable: found.rights.read,
        writable: found.rights.write,
        executable: found.rights.execute,
        userExecutable: found.rights.userExecute ?? found.rights.execute,
        user: true,
        global: false,
        dirty: found.dirty,
        protectionKey: 0,
      },
      host: undefined,
      words: use.trail.words.slice(start),
      values: use.trail.values.slice(start),
    });
    return found;
  };
}

function findGuestPhysical(
  m: Machine,
  by: { gpa: bigint; tag: CacheTag; asked: HostRights },
): TlbEntry | undefined {
  for (const entry of entriesAt(m, by.gpa)) {
    if (entry.kind !== 'guest-physical' || entry.asid !== by.tag.asid || entry.root !== by.tag.root) continue;
    const { read, write, execute, userExecute } = by.asked;
    if ((read && !entry.readable) || (execute && !entry.executable)) continue;
    if (userExecute === true && !entry.userExecutable) continue;
    if (write && !(entry.writable && entry.dirty)) continue;
    return entry;
  }
  return undefined;
}

function useGuestPhysical(
  m: Machine,
  entry: TlbEntry,
  by: { gpa: bigint; use: HostUse; stage: SecondStage; fresh: SecondStage; under: string },
): HostOutcome<StageFault> {
  const { gpa, use, stage, fresh } = by;
  const refs = entry.filledFrom.length;
  const address = addressIn(entry, gpa);
  const stale = isStaleStage(m, entry, { gpa, use, fresh, under: by.under, address });
  m.step('walk-spared', {
    dimension: 'host',
    row: use.row,
    level: 0,
    count: refs,
    refs,
    by: 'guest-physical TLB entry',
    stale,
  });
  m.reads('tlb', tlbKey(entry));
  noteUse(m, entry);
  m.count('spared', refs);
  if (stale) m.count('stale_hits');
  use.trail.words.push(...entry.filledFrom);
  use.trail.values.push(...entry.filledValues);
  const place = {
    kind: 'ok',
    address,
    pageBits: entry.pageBits,
    rights: {
      read: entry.readable,
      write: entry.writable,
      execute: entry.executable,
      userExecute: entry.userExecutable,
    },
    dirty: entry.dirty,
  } as const;
  if (!use.forTable || (entry.writable && entry.dirty)) return place;
  return {
    ...place,
    refuseWrite: () => {
      const afresh = stage.locate(m, gpa, use);
      return afresh.kind === 'fault' ? afresh.fault : afresh.refuseWrite?.();
    },
  };
}

function isStaleStage(
  m: Machine,
  entry: TlbEntry,
  by: { gpa: bigint; use: HostUse; fresh: SecondStage; under: string; address: bigint },
): boolean {
  if (entry.filledUnder === by.under && !differsFromTables(m.world, entry)) return false;
  const use = { ...by.use, trail: { words: [], values: [], counted: true } };
  const found = m.lookAside(() => by.fresh.locate(m, by.gpa, use));
  return found.kind === 'fault' || found.address !== by.address;
}

import { expect, test } from 'vitest';
import { INVALIDATIONS } from '../../core/hardware/invalidate.ts';
import type { CacheTag, TlbEntry } from '../../core/machine/tables.ts';
import { pfn } from '../../core/quantities.ts';
import { survives, type NaiveEntry } from './tlb.ts';

const NOW: CacheTag = { asid: 1, pcid: 2, root: 7 };
const OTHER: CacheTag = { asid: 9, pcid: 3, root: 8 };
const ADDRESS = 0x4000_0000n;
const SIZES = [12, 21, 30] as const;
const BOTH = [true, false] as const;

function* entries(): Generator<NaiveEntry> {
  for (const kind of ['linear', 'combined', 'guest-physical'] as const)
    for (const sameGuest of BOTH)
      for (const sameSpace of BOTH)
        for (const sameRoot of BOTH)
          for (const global of BOTH)
            for (const covers of BOTH) yield { kind, sameGuest, sameSpace, sameRoot, global, covers };
}

/** The entry as the model keeps it. One that does not cover the address begins a page of its size further up. */
function held(of: NaiveEntry, pageBits: number): TlbEntry {
  const page = of.covers ? ADDRESS : ADDRESS + (1n << BigInt(pageBits));
  return {
    vcpu: 0,
    serial: 1,
    kind: of.kind,
    asid: of.sameGuest ? NOW.asid : OTHER.asid,
    pcid: of.sameSpace ? NOW.pcid : OTHER.pcid,
    root: of.sameRoot ? NOW.root : OTHER.root,
    vpn: Number(page >> 12n),
    pageBits,
    pfn: pfn(1),
    readable: true,
    writable: true,
    user: true,
    executable: true,
    userExecutable: true,
    global: of.global,
    dirty: true,
    protectionKey: 0,
    filledFrom: [],
    filledValues: [],
    filledUnder: '',
    used: 0,
  };
}

test.each(INVALIDATIONS.map((operation) => [operation.name, operation] as const))(
  '%s leaves what the naive model leaves: every kind, tag, size, and number named',
  (name, operation) => {
    for (const given of entries())
      for (const pageBits of SIZES)
        for (const named of [NOW, OTHER]) {
          const entry = held(given, pageBits);
          const tag = name.startsWith('invpcid') ? named.pcid : named.asid;
          const aim = { guestNamed: entry.asid === named.asid, spaceNamed: entry.pcid === named.pcid };
          const kept = !operation.drops(entry, NOW, { address: ADDRESS, tag });
          // INVVPID of all numbers spares 0 only, which none of these has.
          expect([given, pageBits, named, kept]).toEqual([
            given,
            pageBits,
            named,
            survives(name, given, aim),
          ]);
        }
  },
);

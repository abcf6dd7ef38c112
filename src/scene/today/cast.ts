/**
 * Who appears in a run under a KVM of today: gathered once for the whole run, as `castOf` does for 2007. A shadow page
 * that is given up and built anew comes back to its place; one that is still in use as a root meanwhile keeps it, and the
 * new one stands elsewhere.
 */
import { BOUNDS } from '../../core/bounds.ts';
import type { PagingMode } from '../../core/hardware/paging-mode.ts';
import { FIRST_SHADOW_PFN, hostFrameOf } from '../../core/machine/world.ts';
import type { AnyValue } from '../../core/machine/journal.ts';
import type { HostPage, MmuContext } from '../../core/machine/tables-today.ts';
import type { ShadowPage, SlotRecord, TableName } from '../../core/machine/tables.ts';
import { isDirect, levelOfRole } from '../../core/kvm-shadow/role.ts';
import { paeRootFrame } from '../../core/kvm-shadow/shadow-walk.ts';
import { framesOf } from '../../core/kvm-shadow/vm.ts';
import {
  frameOfWord,
  gfn as toGfn,
  gfnOfAddress,
  pfnOfAddress,
  type Gfn,
  type Pfn,
} from '../../core/quantities.ts';
import { vcpusOf } from '../../core/settings.ts';
import type { Timeline } from '../../timeline/timeline.ts';
import { cpuRowsOf, guestTableId, paeRootId, type Cast, type CastTable, type CpuRow } from '../cast.ts';
import { foldedAmong } from '../folding.ts';
import { guestDialect, PAE_ROOT } from '../kvm-dialects.ts';
import { gfnOfPfn } from '../../core/kvm/memslots.ts';
import { entriesIn, type Walked } from '../places.ts';
import { levelAt, sptDialect } from './dialect.ts';
import { titleOf, withoutInvalid } from './names.ts';
import { partsOf } from './world.ts';

type Draft = Omit<CastTable, 'id' | 'indices' | 'parent' | 'title' | 'folded'> & {
  readonly indices: Set<number>;
  parent: string | undefined;
};

const MODES: Readonly<Record<number, PagingMode>> = { 2: '2-level', 3: 'pae', 4: '4-level', 5: '5-level' };
const PAE_ROOTS = 4;

const CASTS = new WeakMap<Timeline, Cast>();

export function todaysCast(timeline: Timeline): Cast {
  const known = CASTS.get(timeline) ?? new Casting(timeline).cast();
  CASTS.set(timeline, known);
  return known;
}

/** Which boxes shadow pages have: no two that exist at one time have the same. */
class Places {
  readonly bySerial = new Map<number, string>();
  private readonly taken = new Set<string>();

  take({ serial, gfn, role }: ShadowPage): string {
    const known = this.bySerial.get(serial);
    if (known !== undefined) return known;
    const base = `sp:${gfn.toString(16)}.${withoutInvalid(role).toString(16)}`;
    let id = base;
    for (let at = 2; this.taken.has(id); at += 1) id = `${base}.${String(at)}`;
    this.taken.add(id);
    this.bySerial.set(serial, id);
    return id;
  }

  leave(serial: number): void {
    this.taken.delete(this.bySerial.get(serial) ?? '');
  }
}

class Casting {
  private readonly timeline: Timeline;
  private readonly drafts = new Map<string, Draft>();
  private readonly places = new Places();
  private readonly owners = new Map<Pfn, string>();
  private readonly frames = new Set<Gfn>();
  private readonly lists = new Set<string>();
  private inSmm = false;
  private readonly largePages = new Map<Gfn, number>();
  private readonly largeLeaves = new Set<string>();
  private readonly rows = new Set<CpuRow>(['cr3']);
  private readonly slots = new Map<number, SlotRecord>();
  private readonly backed = new Map<Pfn, Gfn>();
  private logs = false;

  constructor(timeline: Timeline) {
    this.timeline = timeline;
  }

  cast(): Cast {
    const { journal, program } = this.timeline;
    const { guest } = program.settings;
    if (guest !== '4-level') this.rows.add('mode');
    for (const table of program.tables)
      this.addGuest(table.gfn, { level: table.level, mode: guest as PagingMode });
    this.findShadowed();
    for (let change = 0; change < journal.changes; change += 1) this.follow(change);
    return this.result();
  }

  /** A guest that turns paging on later has tables that no line of the text lays out: their shadows tell of them. */
  private findShadowed(): void {
    const { journal } = this.timeline;
    let levels = 0;
    for (let change = 0; change < journal.changes; change += 1) {
      const { table } = journal.changedPlace(change);
      const value = journal.valueAfter(change);
      if (value === undefined) continue;
      if (table === 'mmu') levels = (value as MmuContext).cpuRole.base & 0xf;
      if (table !== 'sp') continue;
      const { gfn, role } = value as ShadowPage;
      const mode = MODES[levels];
      if (!isDirect(role) && mode !== undefined) this.addGuest(gfn, { level: levelOfRole(role), mode });
    }
  }

  private addGuest(gfn: Gfn, { level, mode }: { level: number; mode: PagingMode }): void {
    const { levels, entryBytes } = guestDialect(mode);
    const at = levels.find((candidate) => candidate.level === level);
    const id = guestTableId(gfn);
    if (at === undefined || this.drafts.has(id)) return;
    const walked = { pfn: hostFrameOf(gfn), at, entryBytes };
    this.drafts.set(id, { ...draftOf(walked), zone: 'guest', gfn, mode });
  }

  private follow(change: number): void {
    const { journal } = this.timeline;
    const { table, key } = journal.changedPlace(change);
    const value = journal.valueAfter(change);
    if (table === 'word') this.followWord(change, Number(key));
    else if (table === 'reg') this.followRegister(change, String(key));
    else if (table === 'slot') this.followSlot(Number(key), value as SlotRecord | undefined);
    else if (table === 'sp' && value === undefined) this.places.leave(Number(key));
    else if (value !== undefined) this.followRecord(table, key, value);
  }

  private followRecord(table: TableName, key: number | string, value: AnyValue): void {
    if (table === 'sp') this.addShadow(value as ShadowPage);
    else if (table === 'slotRmap') this.lists.add(String(key));
    else if (table === 'hostPage') this.followHost(Number(key), value as HostPage);
    else if (table === 'mmio') this.rows.add('device');
    else if (table === 'mmu' && (value as MmuContext).prevRoots.some(({ hpa }) => hpa !== undefined))
      this.rows.add('previous');
  }

  private followSlot(id: number, slot: SlotRecord | undefined): void {
    if (slot === undefined) this.slots.delete(id);
    else this.slots.set(id, slot);
    this.logs ||= slot?.logged === true;
    this.inSmm ||= slot?.smm === true;
  }

  private followHost(hva: number, page: HostPage): void {
    if (page.pfn === undefined) return;
    for (const { hva: first, firstGfn, frames } of this.slots.values()) {
      if (first === undefined || hva < first || hva >= first + frames) continue;
      this.backed.set(page.pfn, toGfn(firstGfn + hva - first));
    }
  }

  private followRegister(change: number, name: string): void {
    const { journal } = this.timeline;
    const [value, before] = [journal.valueAfter(change), journal.valueBefore(change)];
    if (value === 0n || value === undefined) return;
    if (name.includes('.pdptr')) this.rows.add('pdpte');
    if (before !== undefined && before !== value && /\.(cr0|cr4|efer)$/.test(name)) this.rows.add('mode');
  }

  private addShadow(page: ShadowPage): void {
    const id = this.places.take(page);
    this.owners.set(page.pfn, id);
    if (this.drafts.has(id)) return;
    const walked = { pfn: page.pfn, at: levelAt(levelOfRole(page.role)), entryBytes: 8 } as const;
    const role = withoutInvalid(page.role);
    this.drafts.set(id, { ...draftOf(walked), zone: 'hypervisor', gfn: page.gfn, role });
  }

  private followWord(change: number, word: number): void {
    const { journal } = this.timeline;
    const frame = frameOfWord(word);
    const value = (journal.valueAfter(change) as bigint | undefined) ?? 0n;
    if (frame >= FIRST_SHADOW_PFN) {
      this.followShadow(this.owners.get(frame), word, value);
      return;
    }
    const vcpu = vcpusOf(this.timeline.program.settings).find((own) => paeRootFrame(own) === frame);
    if (vcpu !== undefined) {
      this.followShadow(this.paeRoot(vcpu), word, value);
      return;
    }
    const gfn = this.backed.get(frame) ?? gfnOfPfn(frame);
    if (gfn === undefined) return;
    const before = (journal.valueBefore(change) as bigint | undefined) ?? 0n;
    this.followGuest(guestTableId(gfn), { word: hostFrameOf(gfn) * 512 + (word % 512), value, before });
  }

  private paeRoot(vcpu: number): string {
    const id = paeRootId(vcpu);
    if (!this.drafts.has(id)) {
      const draft = draftOf({ pfn: paeRootFrame(vcpu), at: PAE_ROOT, entryBytes: 8 });
      for (let index = 0; index < PAE_ROOTS; index += 1) draft.indices.add(index);
      this.drafts.set(id, { ...draft, zone: 'hypervisor', gfn: gfnOfAddress(0n) });
    }
    return id;
  }

  private followGuest(id: string, of: { word: number; value: bigint; before: bigint }): void {
    const draft = this.drafts.get(id);
    if (draft?.mode === undefined) return;
    const { walked } = draft;
    const dialect = guestDialect(draft.mode);
    for (const { index, value } of entriesIn(walked, of)) {
      draft.indices.add(index);
      const kind = dialect.kindOf(value, walked.at);
      if (kind === 'table') {
        this.adopt(guestTableId(gfnOfAddress(dialect.tableAddress(value))), { id, draft });
      } else if (kind === 'leaf') {
        const frame = gfnOfAddress(dialect.pageAddress(value, walked.at));
        const size = 2 ** (walked.at.shift - 12);
        if (size === 1 && this.drafts.has(guestTableId(frame))) continue;
        this.addPage(frame, size);
      }
    }
  }

  private addPage(frame: Gfn, size: number): void {
    this.frames.add(frame);
    if (size > 1) this.largePages.set(frame, Math.max(this.largePages.get(frame) ?? 0, size));
  }

  private followShadow(id: string | undefined, word: number, value: bigint): void {
    const draft = id === undefined ? undefined : this.drafts.get(id);
    if (id === undefined || draft === undefined) return;
    draft.indices.add(word % 512);
    const kind = sptDialect(true).kindOf(value, draft.walked.at);
    if (kind === 'table') this.adopt(this.owners.get(pfnOfAddress(value)), { id, draft });
    if (kind !== 'leaf') return;
    if (draft.level > 1) this.largeLeaves.add(id);
    if (!isDirect(draft.role ?? 0)) return;
    // Without paging no entry of the guest's names the pages.
    const size = framesOf(draft.level);
    const frame = toGfn(draft.gfn + (word % 512) * size);
    if (!this.drafts.has(guestTableId(frame)) && !this.isInLarge(frame)) this.addPage(frame, size);
  }

  private isInLarge(frame: Gfn): boolean {
    for (const [first, count] of this.largePages) if (frame >= first && frame < first + count) return true;
    return false;
  }

  private adopt(child: string | undefined, parent: { id: string; draft: Draft }): void {
    const draft = child === undefined ? undefined : this.drafts.get(child);
    if (draft?.parent === undefined && draft?.level === parent.draft.level - 1) draft.parent = parent.id;
  }

  private result(): Cast {
    const roles = [...this.drafts.values()].flatMap(({ gfn, role }) =>
      role === undefined ? [] : [{ gfn, role }],
    );
    const all = [...this.drafts].map(([id, draft]): CastTable => ({
      ...draft,
      id,
      ...(draft.role === undefined ? {} : { title: titleOf({ gfn: draft.gfn, role: draft.role }, roles) }),
      indices: [...draft.indices].sort((a, b) => a - b),
    }));
    const used = all.filter((table) => table.indices.length > 0 || table.zone === 'hypervisor');
    const { kept, folded } = foldedAmong(used, this.timeline);
    return {
      tables: kept.map((table) =>
        folded.has(table.id) || isUnused(table) ? { ...table, folded: true } : table,
      ),
      frames: [...this.frames].sort((a, b) => a - b).slice(0, BOUNDS.tablesDrawn),
      rmaps: [],
      largePages: this.largePages,
      leftOut: used.length - kept.length,
      kvm: {
        vcpus: vcpusOf(this.timeline.program.settings),
        rows: cpuRowsOf(this.rows),
        logs: this.logs,
        many: folded.size > 0,
        wide: true,
        today: {
          places: this.places.bySerial,
          lists: [...this.lists].sort(byFrame).slice(0, BOUNDS.tablesDrawn),
          largeLeaves: this.largeLeaves,
          inSmm: this.inSmm,
        },
      },
    };
  }
}

/** A quarter or half of a table, or a root of a guest without paging, in which no entry ever is. */
const isUnused = ({ role, indices }: CastTable): boolean =>
  role !== undefined && indices.length === 0 && (partsOf(role) > 1 || isDirect(role));

/** Keys of reverse maps by guest frame, then by level and slot. */
const byFrame = (a: string, b: string): number => frameIn(a) - frameIn(b) || a.localeCompare(b);
const frameIn = (key: string): number => parseInt(key.slice(key.lastIndexOf('.') + 1), 16);

const draftOf = (walked: Walked): Omit<Draft, 'zone' | 'gfn'> & { parent: string | undefined } => ({
  level: walked.at.level,
  storey: walked.at.level,
  walked,
  indices: new Set(),
  parent: undefined,
});

/**
 * Compares the model's state with a recorded one. What may differ is which host frame backs a guest frame and where a
 * table lies: both are renamed, one to one.
 */
import type { Machine } from '../core/machine/machine.ts';
import type { RmapHead, ShadowPage } from '../core/machine/tables.ts';
import { frameOfWord, pfnOfAddress } from '../core/quantities.ts';
import { parentsOf, today } from '../core/kvm-shadow/page.ts';
import { ptesIn } from '../core/kvm-shadow/pte-list.ts';
import { cpuRoleWord } from '../core/kvm-shadow/role.ts';
import { activePages } from '../core/kvm-shadow/shadow-page.ts';
import { paeRootFrame, paeRootWord } from '../core/kvm-shadow/shadow-walk.ts';
import { isLarge, isMmio, isPresent } from '../core/kvm-shadow/spte.ts';
import { levelOfRole } from '../core/kvm-shadow/role.ts';
import { dirtyFrames } from '../core/kvm-shadow/memslots.ts';
import { vmOf } from '../core/kvm-shadow/vm.ts';
import type { RecordedPage, RecordedState } from './recording.ts';

export interface Difference {
  readonly what: string;
  readonly expected: string;
  readonly got: string;
}

const DIRECT_MAP = 0xffff_8880_0000_0000n;
const NONE = 0xffff_ffff_ffff_ffffn;
const FRAME_BITS = 0x000f_ffff_ffff_f000n;
const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** Renaming of frames: from the model's to the recording's. Data frames keep their name for a whole scenario. */
export class Renaming {
  private readonly data = new Map<number, bigint>();
  private tables = new Map<number, bigint>();

  /** Tables are named anew for each state: their frames are reused. */
  beginTables(pages: readonly [ShadowPage, RecordedPage][]): void {
    this.tables = new Map(pages.map(([page, recorded]) => [page.pfn, BigInt(recorded.hpa)]));
  }

  table(frame: number): bigint {
    return this.tables.get(frame) ?? 0n;
  }

  nameTable(frame: number, hpa: bigint): void {
    this.tables.set(frame, hpa);
  }

  /** Whether a frame of data may be the recorded one: the first use decides. */
  isData(frame: number, recorded: bigint): boolean {
    const known = this.data.get(frame);
    if (known !== undefined) return known === recorded;
    this.data.set(frame, recorded);
    return true;
  }
}

class Comparison {
  readonly differences: Difference[] = [];
  readonly m: Machine;
  readonly renaming: Renaming;

  constructor(m: Machine, renaming: Renaming) {
    this.m = m;
    this.renaming = renaming;
  }

  same(what: string, expected: bigint | number | string, got: bigint | number | string): void {
    const texts = [expected, got].map((value) => (typeof value === 'string' ? value : hex(value)));
    if (texts[0] !== texts[1]) this.differences.push({ what, expected: texts[0] ?? '', got: texts[1] ?? '' });
  }
}

export function compareState(m: Machine, recorded: RecordedState, renaming: Renaming): readonly Difference[] {
  const c = new Comparison(m, renaming);
  const pages = activePages(m);
  const vm = vmOf(m);
  c.same('mmu_valid_gen', recorded.mmu_valid_gen, vm.validGen);
  c.same('n_used_mmu_pages', recorded.n_used_mmu_pages, vm.usedPages);
  c.same('memslots_generation', recorded.memslots_generation, vm.generation ?? 0);
  c.same('shadow pages', pageNames(recorded.shadow_pages), pages.map(modelName).join(' '));
  if (c.differences.length > 0) return c.differences;
  const pairs = pages.flatMap((page, at): [ShadowPage, RecordedPage][] => {
    const other = recorded.shadow_pages[at];
    return other === undefined ? [] : [[page, other]];
  });
  renaming.beginTables(pairs);
  for (const [vcpu, of] of recorded.vcpus.entries())
    if (of.pae_root !== undefined)
      renaming.nameTable(paeRootFrame(vcpu), BigInt(of.pae_root.va) - DIRECT_MAP);
  for (const [page, other] of pairs) comparePage(c, page, other);
  recorded.vcpus.forEach((of, vcpu) => {
    compareVcpu(c, vcpu, of);
  });
  for (const slot of recorded.slots) compareSlot(c, slot);
  return c.differences;
}

const pageNames = (pages: readonly RecordedPage[]): string =>
  pages.map(({ gfn, role }) => `${gfn}/${role.word}`).join(' ');
const modelName = ({ gfn, role }: ShadowPage): string => `${hex(gfn)}/${hex(role)}`;

function comparePage(c: Comparison, page: ShadowPage, recorded: RecordedPage): void {
  const name = `page ${modelName(page)}`;
  const state = today(page);
  c.same(`${name} unsync`, recorded.unsync, Number(state.unsync));
  c.same(`${name} unsync_children`, recorded.unsync_children, state.unsyncChildren);
  c.same(`${name} root_count`, recorded.root_count, page.rootCount);
  c.same(`${name} write_flooding_count`, recorded.write_flooding_count, state.floodCount);
  c.same(`${name} valid_gen`, recorded.valid_gen, state.validGen);
  c.same(`${name} parent_ptes`, recorded.parent_ptes.join(' '), entryNames(c, parentsOf(c.m.world, page)));
  const expected = entriesOf(recorded);
  const indices = new Set([
    ...expected.keys(),
    ...c.m.world.wordsOfShadowFrame(page.pfn).map((word) => word % 512),
  ]);
  for (const index of [...indices].sort((a, b) => a - b)) {
    const got = c.m.word(page.pfn * 512 + index);
    compareEntry(c, {
      name: `${name} entry ${String(index)}`,
      level: levelOfRole(page.role),
      expected: expected.get(index) ?? 0n,
      got,
    });
  }
}

/** Unpacks runs: "first-last": ["first entry", "difference"]. */
function entriesOf({ entries }: RecordedPage): Map<number, bigint> {
  const unpacked = new Map<number, bigint>();
  for (const [key, value] of Object.entries(entries)) {
    const [first = 0, last = first] = key.split('-').map(Number);
    const [start, step] = typeof value === 'string' ? [value, '0x0'] : value;
    for (let index = first; index <= last; index += 1)
      unpacked.set(index, BigInt.asUintN(64, BigInt(start) + BigInt(step) * BigInt(index - first)));
  }
  return unpacked;
}

function compareEntry(
  c: Comparison,
  of: { name: string; level: number; expected: bigint; got: bigint },
): void {
  const { name, expected, got } = of;
  const framed = isPresent(got) && isPresent(expected) && !isMmio(got);
  if (!framed) {
    c.same(name, expected, got);
    return;
  }
  c.same(`${name} bits`, expected & ~FRAME_BITS, got & ~FRAME_BITS);
  const frame = pfnOfAddress(got);
  const recorded = expected & FRAME_BITS;
  const link = of.level > 1 && !isLarge(got);
  if (link) c.same(`${name} table`, recorded, c.renaming.table(frame));
  else if (!c.renaming.isData(frame, recorded))
    c.same(`${name} frame`, recorded, `the model's ${hex(frame)}`);
}

/** Where entries lie, as the recording says it. */
const entryNames = (c: Comparison, words: readonly number[]): string =>
  words
    .map((word) => hex(DIRECT_MAP + c.renaming.table(frameOfWord(word)) + BigInt((word % 512) * 8)))
    .join(' ');

function compareVcpu(c: Comparison, vcpu: number, of: RecordedState['vcpus'][number]): void {
  const name = `vcpu ${String(vcpu)}`;
  const mmu = c.m.get('mmu', vcpu);
  if (mmu === undefined) return;
  const root = (hpa: number | undefined): bigint => (hpa === undefined ? NONE : c.renaming.table(hpa));
  c.same(`${name} root`, BigInt(of.root.hpa), root(mmu.root.hpa));
  c.same(`${name} root pgd`, BigInt(of.root.pgd), mmu.root.pgd ?? NONE);
  of.prev_roots.forEach((prev, at) => {
    c.same(`${name} prev_roots[${String(at)}]`, BigInt(prev.hpa), root(mmu.prevRoots[at]?.hpa));
    c.same(`${name} prev_roots[${String(at)}] pgd`, BigInt(prev.pgd), mmu.prevRoots[at]?.pgd ?? NONE);
  });
  c.same(`${name} cpu_role`, BigInt(of.cpu_role), cpuRoleWord(mmu.cpuRole));
  c.same(`${name} root_role`, BigInt(of.root_role.word), mmu.rootRole);
  of.pae_root?.entries.forEach((entry, index) => {
    const got = c.m.word(paeRootWord(vcpu, index));
    const renamed = got === 0n ? 0n : c.renaming.table(pfnOfAddress(got)) | (got & ~FRAME_BITS);
    c.same(`${name} pae_root[${String(index)}]`, BigInt(entry), renamed);
  });
  const mmio = c.m.get('mmio', vcpu);
  c.same(`${name} mmio gva`, BigInt(of.mmio_cache.gva), mmio?.gva ?? 0n);
  c.same(`${name} mmio gfn`, BigInt(of.mmio_cache.gfn), mmio?.gfn ?? 0);
  c.same(`${name} mmio gen`, BigInt(of.mmio_cache.gen), mmio?.generation ?? 0);
}

function compareSlot(c: Comparison, slot: RecordedState['slots'][number]): void {
  const { world } = c.m;
  const prefix = `${String(slot.id)}.`;
  const name = `slot ${String(slot.id)}`;
  const own = <V>(table: ReadonlyMap<string, V>): readonly (readonly [string, V])[] =>
    [...table]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), value] as const);
  const lines = (texts: readonly string[]): string => [...texts].sort().join(', ');
  if (slot.rmap !== null)
    c.same(
      `${name} rmap`,
      lines(slot.rmap.map(({ level, gfn, sptes }) => `${String(level)}.${gfn.slice(2)}: ${sptes.join(' ')}`)),
      lines(
        own<RmapHead>(world.tables.slotRmap).map(
          ([key, head]) => `${key}: ${entryNames(c, ptesIn(world, 'rnode', head))}`,
        ),
      ),
    );
  c.same(
    `${name} disallow_lpage`,
    lines(
      slot.disallow_lpage.map(({ level, gfn, count }) => `${String(level)}.${gfn.slice(2)}=${String(count)}`),
    ),
    lines(own(world.tables.disallowLpage).map(([key, count]) => `${key}=${String(count)}`)),
  );
  c.same(
    `${name} write_track`,
    lines(slot.write_track.map(({ gfn, count }) => `${gfn.slice(2)}=${String(count)}`)),
    lines(own(world.tables.writeTrack).map(([key, count]) => `${key}=${String(count)}`)),
  );
  const record = world.get('slot', slot.id);
  const logged =
    record?.logged === true ? dirtyFrames(c.m, { id: slot.id, slot: record }).map(hex) : undefined;
  const all = slot.dirty_gfns?.[0]?.endsWith(' gfns') === true ? `${String(logged?.length)} gfns` : undefined;
  c.same(
    `${name} dirty`,
    slot.dirty_gfns?.join(' ') ?? 'not logged',
    all ?? logged?.join(' ') ?? 'not logged',
  );
}

/**
 * The world at the cursor, as things to draw: boxes with rows, links that end at entries or frames, and motions. Pure:
 * everything comes out of the world, the step and the cast; nothing is worked out about what the MMU would do.
 */
import { gfnOfEntry, frameOfWord, pfnOfEntry, wordOf, type Pfn } from '../core/quantities.ts';
import { must } from '../core/assert.ts';
import { X86_BITS, TABLE_NAMES_BY_LEVEL, type EntryBit } from '../core/hardware/x86-entry.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { pointers, RMAP_LIST } from '../core/kvm/pointer-list.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { isMmio, isPresent, SPTE_BITS } from '../core/kvm/spte-2007.ts';
import { currentAsidOf } from '../core/kvm/vendor.ts';
import type { TlbEntry } from '../core/machine/tables.ts';
import { FIRST_SHADOW_PFN, hostFrameOf, type World } from '../core/machine/world.ts';
import type { Change, StepView, Timeline } from '../timeline/timeline.ts';
import { guestTableId, shadowId, type Cast, type CastTable } from './cast.ts';
import { isSmall, MAX_ROWS, type Layout, type Box } from './layout.ts';

export interface Flag {
  readonly text: string;
  readonly set: boolean;
  readonly changed: boolean;
  readonly meaning: string;
}

export interface SceneRow {
  readonly id: string;
  readonly index: string;
  readonly text: string;
  readonly flags: readonly Flag[];
  /** Set for the whole step in which the row changes. */
  readonly old?: { readonly text: string; readonly flags: readonly Flag[] };
  readonly state: 'quiet' | 'read' | 'changed';
  /** What it says in full: the raw entry and the meaning of each bit that is set. */
  readonly title?: string;
  /** A warning in words, such as `stale`. */
  readonly mark?: string;
}

export interface SceneBox extends Box {
  readonly id: string;
  readonly zone: 'hardware' | 'guest' | 'hypervisor';
  readonly title: string;
  readonly subtitle: string;
  readonly rows: readonly SceneRow[];
  readonly fold: string;
  readonly state: 'quiet' | 'touched' | 'new' | 'absent';
  readonly badge?: string;
}

export interface SceneLink {
  readonly id: string;
  readonly kind: 'table' | 'page' | 'shadow' | 'rmap' | 'tlb';
  readonly from: { readonly box: string; readonly row?: string };
  readonly to: { readonly box: string; readonly row?: string };
  readonly active: boolean;
  readonly label?: string;
}

export interface Motion {
  readonly kind: 'read' | 'fault' | 'write-protect' | 'flush' | 'exit' | 'update';
  readonly box: string;
  readonly row?: string;
  readonly link?: string;
}

export interface Scene {
  readonly layout: Layout;
  readonly boxes: readonly SceneBox[];
  readonly links: readonly SceneLink[];
  readonly motions: readonly Motion[];
  /** Boxes that the step is about, for the camera. */
  readonly focus: readonly string[];
}

interface Context {
  readonly world: World;
  readonly cast: Cast;
  readonly layout: Layout;
  readonly step: StepView | undefined;
  readonly changes: ReadonlyMap<string, Change>;
  readonly reads: ReadonlySet<string>;
  readonly nameOf: (gva: bigint) => string | undefined;
}

const hex = (value: number | bigint): string => value.toString(16);
export const rowId = (word: number): string => `w:${String(word)}`;

export function sceneAt(
  timeline: Timeline,
  drawn: { cast: Cast; layout: Layout; names: ReadonlyMap<string, bigint> },
): Scene {
  const step = timeline.position > timeline.begin ? timeline.step(timeline.position - 1) : undefined;
  const context: Context = {
    world: timeline.world,
    cast: drawn.cast,
    layout: drawn.layout,
    step,
    changes: new Map(
      step?.changes.map((change) => [`${change.place.table}:${String(change.place.key)}`, change]),
    ),
    reads: new Set(step?.reads.map((place) => `${place.table}:${String(place.key)}`)),
    nameOf: (gva) => [...drawn.names].find(([, value]) => value >> 12n === gva >> 12n)?.[0],
  };
  const boxes = [
    ...hardwareBoxes(context),
    ...tableBoxes(context),
    ...pageBoxes(context),
    ...rmapBoxes(context),
  ];
  const known = new Set(boxes.filter((box) => box.state !== 'absent').map((box) => box.id));
  const links = allLinks(context).filter((link) => known.has(link.from.box) && known.has(link.to.box));
  const focus = boxes.filter((box) => box.state === 'touched' || box.state === 'new').map((box) => box.id);
  return { layout: drawn.layout, boxes, links, motions: motionsOf(context, { boxes, links }), focus };
}

// Tables.

function tableBoxes(context: Context): readonly SceneBox[] {
  const shadows = new Map([...context.world.tables.sp.values()].map((page) => [shadowId(page), page]));
  return context.cast.tables.map((table) => {
    const page = shadows.get(table.id);
    const present = table.zone === 'guest' || page !== undefined;
    const pfn = table.zone === 'guest' ? hostFrameOf(table.gfn) : page?.pfn;
    const rows =
      pfn === undefined
        ? []
        : chosenIndices(context, table, pfn).map((index) => entryRow(context, wordOf(pfn, index), table));
    const fresh =
      page !== undefined &&
      context.changes.has(`sp:${String(page.serial)}`) &&
      context.step?.kind === 'shadow-hash';
    const touched =
      rows.some((row) => row.state !== 'quiet') ||
      (page !== undefined && context.changes.has(`sp:${String(page.serial)}`));
    const hidden = Math.max(0, table.indices.length - MAX_ROWS);
    const level = TABLE_NAMES_BY_LEVEL[table.level] ?? '';
    return {
      ...place(context, table.id),
      id: table.id,
      zone: table.zone,
      title: table.zone === 'guest' ? level : `shadow ${level}`,
      subtitle:
        table.zone === 'guest'
          ? `gfn ${hex(table.gfn)}`
          : page === undefined
            ? ''
            : `sp ${String(page.serial)}`,
      rows,
      fold: foldText({ table, pfn, hidden }),
      state: !present ? 'absent' : fresh ? 'new' : touched ? 'touched' : 'quiet',
      ...tableBadge(context, table),
    } satisfies SceneBox;
  });
}

/** A guest table that is shadowed says so: the guest may not write it by itself. */
function tableBadge(context: Context, table: CastTable): { badge?: string } {
  if (table.zone !== 'guest') return {};
  const pfn = hostFrameOf(table.gfn);
  const writable = pointers(context.world, RMAP_LIST, context.world.get('rmap', pfn)).length;
  const shadowed = [...context.world.tables.sp.values()].some((page) => page.gfn === table.gfn);
  if (writable > 0) return { badge: 'rw' };
  return shadowed ? { badge: 'ro' } : {};
}

/** All entries of the run when they fit; otherwise those of this step first, then from the lowest. */
function chosenIndices(context: Context, table: CastTable, pfn: Pfn): readonly number[] {
  if (table.indices.length <= MAX_ROWS) return table.indices;
  const now = table.indices.filter((index) => isTouched(context, wordOf(pfn, index)));
  const rest = table.indices.filter((index) => !now.includes(index));
  return [...now, ...rest].slice(0, MAX_ROWS).sort((a, b) => a - b);
}

const isTouched = (context: Context, word: number): boolean =>
  context.changes.has(`word:${String(word)}`) || context.reads.has(`word:${String(word)}`);

function foldText(of: { table: CastTable; pfn: number | undefined; hidden: number }): string {
  const ofGuest = of.table.zone === 'hypervisor' ? `of gfn ${hex(of.table.gfn)} · ` : '';
  if (of.pfn === undefined) return `${ofGuest}not built`;
  const empty = `${String(512 - of.table.indices.length)} empty`;
  return `${ofGuest}${of.hidden > 0 ? `+${String(of.hidden)}, ` : ''}${empty}`;
}

function entryRow(context: Context, word: number, table: CastTable): SceneRow {
  const value = context.world.word(word);
  const change = context.changes.get(`word:${String(word)}`);
  const before = change?.before as bigint | undefined;
  const bits = table.zone === 'guest' ? X86_BITS : SPTE_BITS;
  const row = {
    id: rowId(word),
    index: hex(word % 512).padStart(3, '0'),
    text: targetText(context, value, table),
    title: entryTitle(bits, value),
    flags: flagsOf(bits, value, before ?? value),
    state: change !== undefined ? 'changed' : context.reads.has(`word:${String(word)}`) ? 'read' : 'quiet',
  } as const;
  if (change === undefined || before === undefined || before === value) return row;
  return { ...row, old: { text: targetText(context, before, table), flags: flagsOf(bits, before, before) } };
}

/** What an entry names: a shadow page, a frame, or nothing. */
function targetText(context: Context, entry: bigint, table: CastTable): string {
  if (entry === 0n) return 'empty';
  if (table.zone === 'hypervisor' && isMmio(entry)) return 'device';
  if (!isPresent(entry)) return 'absent';
  const frame = pfnOfEntry(entry);
  if (table.zone === 'guest') return hex(frame);
  const page = table.level > 1 ? shadowPageAt(context.world, frame) : undefined;
  return page === undefined ? hex(frame) : `sp ${String(page.serial)}`;
}

const entryTitle = (bits: readonly EntryBit[], value: bigint): string =>
  [
    `0x${hex(value)}`,
    ...bits
      .filter((bit) => ((value >> BigInt(bit.bit)) & 1n) === 1n)
      .map((bit) => `${bit.short}  ${bit.name}: ${bit.meaning}`),
  ].join('\n');

const SHOWN_BITS = ['P', 'RW', 'US', 'A', 'D', 'SHADOW_WRITABLE', 'SHADOW_USER'];

function flagsOf(bits: readonly EntryBit[], value: bigint, before: bigint): readonly Flag[] {
  return bits
    .filter((bit) => SHOWN_BITS.includes(bit.name))
    .map((bit) => {
      const mask = 1n << BigInt(bit.bit);
      const short = bit.name === 'SHADOW_WRITABLE' ? 'w' : bit.name === 'SHADOW_USER' ? 'u' : bit.short;
      const set = (value & mask) !== 0n;
      return {
        text: set ? short : '–',
        set,
        changed: ((value ^ before) & mask) !== 0n,
        meaning: `${bit.name}: ${bit.meaning}`,
      };
    });
}

const place = (context: Context, id: string): Box => must(context.layout.boxes.get(id), `a place for ${id}`);

// Pages and the reverse map.

function pageBoxes(context: Context): readonly SceneBox[] {
  const small = isSmall(context.cast.frames.length);
  return context.cast.frames.map((gfn) => {
    const pfn = hostFrameOf(gfn);
    const touched = [...context.changes.keys(), ...context.reads].find(
      (id) => id.startsWith('word:') && frameOfWord(Number(id.slice(5))) === pfn,
    );
    const word = touched === undefined ? pfn * 512 : Number(touched.slice(5));
    const id = `frame:${hex(gfn)}`;
    const changed = context.changes.has(`word:${String(word)}`);
    return {
      ...place(context, id),
      id,
      zone: 'guest',
      title: small ? `gfn ${hex(gfn)}` : 'page',
      subtitle: small ? '' : `gfn ${hex(gfn)}`,
      rows: small
        ? []
        : [
            {
              id: `page:${hex(gfn)}`,
              index: hex((word % 512) * 8).padStart(3, '0'),
              text: hex(context.world.word(word)),
              flags: [],
              state: changed ? 'changed' : touched === undefined ? 'quiet' : 'read',
            },
          ],
      fold: '',
      state: touched === undefined ? 'quiet' : 'touched',
    } satisfies SceneBox;
  });
}

function rmapBoxes(context: Context): readonly SceneBox[] {
  const small = isSmall(context.cast.rmaps.length);
  return context.cast.rmaps.map((pfn) => {
    const words = pointers(context.world, RMAP_LIST, context.world.get('rmap', pfn));
    const change = context.changes.get(`rmap:${String(pfn)}`);
    const touched = change !== undefined || context.reads.has(`rmap:${String(pfn)}`);
    const names = words.map((word) => entryName(context, word));
    const id = `rmap:${hex(pfn)}`;
    return {
      ...place(context, id),
      id,
      zone: 'hypervisor',
      title: small ? `rmap ${hex(gfnOfPfn(pfn) ?? pfn)}` : 'reverse map',
      subtitle: small ? `${String(words.length)} rw` : `gfn ${hex(gfnOfPfn(pfn) ?? pfn)}`,
      rows: small
        ? []
        : [
            {
              id: `r:${hex(pfn)}`,
              index: '',
              text:
                names.length === 0
                  ? 'nobody writes it'
                  : names.length > 1
                    ? `${names[0] ?? ''} +${String(names.length - 1)}`
                    : (names[0] ?? ''),
              flags: [],
              state: change !== undefined ? 'changed' : touched ? 'read' : 'quiet',
            },
          ],
      fold: '',
      state: touched ? 'touched' : 'quiet',
    } satisfies SceneBox;
  });
}

function entryName(context: Context, word: number): string {
  const page = shadowPageAt(context.world, frameOfWord(word));
  return `${page === undefined ? 'freed' : `sp ${String(page.serial)}`} [${hex(word % 512).padStart(3, '0')}]`;
}

// Hardware.

function hardwareBoxes(context: Context): readonly SceneBox[] {
  const vcpu = context.world.get('vcpu', 0);
  const reg = (name: string): bigint => context.world.get('reg', `0.${name}`) ?? 0n;
  const root = shadowPageAt(context.world, pfnOfEntry(reg('root_hpa')));
  const asid = currentAsidOf(context.world, 0);
  const inGuest = vcpu?.mode === 'guest';
  const modeChanged = context.changes.has('vcpu:0');
  const owed = [...context.world.tables.owed.values()].filter((debt) => debt.vcpu === 0);
  const overdue = owed.some((debt) => debt.overdue === true);
  const cpu: SceneBox = {
    ...place(context, 'vcpu:0'),
    id: 'vcpu:0',
    zone: 'hardware',
    title: 'vCPU 0',
    subtitle: inGuest ? 'in guest' : `in exit ${String(vcpu?.exitSerial ?? 0)}`,
    rows: [
      {
        id: 'reg:cr3',
        index: 'CR3',
        text: `gfn ${hex(gfnOfEntry(reg('cr3')))}${root === undefined ? '' : ` → sp ${String(root.serial)}`}`,
        flags: [],
        state:
          context.changes.has('reg:0.cr3') || context.changes.has('reg:0.root_hpa') ? 'changed' : 'quiet',
      },
    ],
    fold: '',
    state: modeChanged ? 'touched' : 'quiet',
    ...(owed.length === 0 ? {} : { badge: overdue ? 'flush overdue' : 'flush owed before entry' }),
  };
  const entries = [...context.world.tables.tlb.values()].sort((a, b) => a.serial - b.serial);
  const live = entries.filter((entry) => entry.vcpu === 0 && entry.asid === asid);
  const rows = live.slice(-12).map((entry) => tlbRow(context, entry));
  const tlbTouched = [...context.changes.keys(), ...context.reads].some((id) => id.startsWith('tlb:'));
  const flushed = context.step?.op === 'flush' || context.step?.facts['freshAsid'] === true;
  const dead = entries.length - live.length;
  const tlb: SceneBox = {
    ...place(context, 'tlb:0'),
    id: 'tlb:0',
    zone: 'hardware',
    title: 'TLB',
    subtitle: asid === 0 ? '' : `ASID ${String(asid)}`,
    rows,
    fold: [live.length === 0 ? 'empty' : '', dead > 0 ? `${String(dead)} of older ASIDs, unusable` : '']
      .filter((part) => part !== '')
      .join(' · '),
    state: tlbTouched || flushed ? 'touched' : 'quiet',
  };
  return [cpu, tlb];
}

function tlbRow(context: Context, entry: TlbEntry): SceneRow {
  const key = `tlb:0:${String(entry.serial)}`;
  const gva = BigInt(entry.vpn) << 12n;
  const rights = [entry.writable ? 'W' : '–', entry.user ? 'U' : '–', entry.executable ? 'X' : '–'];
  const differs = entry.filledFrom.some(
    (word, index) => context.world.word(word) !== entry.filledValues[index],
  );
  const row: SceneRow = {
    id: key,
    index: '',
    text: `${context.nameOf(gva) ?? `…${hex(gva).slice(-8, -3)}`} → ${hex(gfnOfPfn(entry.pfn) ?? entry.pfn)}`,
    flags: rights.map((text) => ({ text, set: text !== '–', changed: false, meaning: 'cached right' })),
    state: context.changes.has(key) ? 'changed' : context.reads.has(key) ? 'read' : 'quiet',
  };
  return differs ? { ...row, text: `${row.text} ≠ tables`, mark: 'no longer what the tables say' } : row;
}

// Links.

function allLinks(context: Context): readonly SceneLink[] {
  const links: SceneLink[] = [];
  const shadows = new Map([...context.world.tables.sp.values()].map((page) => [shadowId(page), page]));
  for (const table of context.cast.tables) {
    const pfn = table.zone === 'guest' ? hostFrameOf(table.gfn) : shadows.get(table.id)?.pfn;
    if (pfn === undefined) continue;
    for (const index of chosenIndices(context, table, pfn))
      links.push(...entryLinks(context, table, wordOf(pfn, index)));
  }
  for (const pfn of context.cast.rmaps) {
    const active = context.changes.has(`rmap:${String(pfn)}`) || context.reads.has(`rmap:${String(pfn)}`);
    for (const word of pointers(context.world, RMAP_LIST, context.world.get('rmap', pfn))) {
      const page = shadowPageAt(context.world, frameOfWord(word));
      if (page === undefined) continue;
      links.push({
        id: `l:rmap:${hex(pfn)}:${String(word)}`,
        kind: 'rmap',
        from: { box: `rmap:${hex(pfn)}` },
        to: { box: shadowId(page), row: rowId(word) },
        active,
      });
    }
  }
  for (const entry of context.world.tables.tlb.values()) links.push(...tlbLinks(context, entry));
  return links;
}

function entryLinks(context: Context, table: CastTable, word: number): readonly SceneLink[] {
  const entry = context.world.word(word);
  if (!isPresent(entry)) return [];
  const from = { box: table.id, row: rowId(word) };
  const active = isTouched(context, word);
  const target = pfnOfEntry(entry);
  if (table.zone === 'guest') {
    const isTable = context.cast.tables.some((other) => other.id === guestTableId(target));
    const to = isTable ? guestTableId(target) : `frame:${hex(target)}`;
    return [
      { id: `l:${String(word)}`, kind: table.level > 1 ? 'table' : 'page', from, to: { box: to }, active },
    ];
  }
  if (table.level > 1 && target >= FIRST_SHADOW_PFN) {
    const page = shadowPageAt(context.world, target);
    return page === undefined
      ? []
      : [{ id: `l:${String(word)}`, kind: 'table', from, to: { box: shadowId(page) }, active }];
  }
  const gfn = gfnOfPfn(target);
  if (gfn === undefined) return [];
  const isTable = context.cast.tables.some((other) => other.id === guestTableId(gfn));
  return [
    {
      id: `l:${String(word)}`,
      kind: 'shadow',
      from,
      to: { box: isTable ? guestTableId(gfn) : `frame:${hex(gfn)}` },
      active,
    },
  ];
}

function tlbLinks(context: Context, entry: TlbEntry): readonly SceneLink[] {
  const leaf = entry.filledFrom.at(-1);
  const page = leaf === undefined ? undefined : shadowPageAt(context.world, frameOfWord(leaf));
  if (leaf === undefined || page === undefined || entry.asid !== currentAsidOf(context.world, 0)) return [];
  const key = `tlb:0:${String(entry.serial)}`;
  const differs = context.world.word(leaf) !== entry.filledValues.at(-1);
  return [
    {
      id: `l:${key}`,
      kind: 'tlb',
      from: { box: 'tlb:0', row: key },
      to: { box: shadowId(page), row: rowId(leaf) },
      active: context.changes.has(key) || context.reads.has(key) || differs,
      ...(differs ? { label: 'no longer matches' } : {}),
    },
  ];
}

// Motions.

function motionsOf(
  context: Context,
  drawn: { boxes: readonly SceneBox[]; links: readonly SceneLink[] },
): readonly Motion[] {
  const { step } = context;
  if (step === undefined) return [];
  if (step.kind === 'vm-exit' || step.kind === 'vm-entry')
    return [
      { kind: 'exit', box: 'vcpu:0' },
      ...(step.changes.some((c) => c.place.table === 'tlb') || step.facts['freshAsid'] === true
        ? [{ kind: 'flush', box: 'tlb:0' } as const]
        : []),
    ];
  if (step.op === 'flush') return [{ kind: 'flush', box: 'tlb:0' }];
  const kind: Motion['kind'] =
    step.kind === 'write-protect'
      ? 'write-protect'
      : step.op === 'read' || step.op === 'lookup' || step.op === 'hit'
        ? 'read'
        : step.kind === 'walk-fault' || step.kind === 'guest-walk-refuse' || step.kind === 'tlb-refuse'
          ? 'fault'
          : 'update';
  if (kind === 'fault') return faultMotion(drawn.boxes, context);
  return drawn.boxes.flatMap((box) =>
    box.rows
      .filter((row) => row.state !== 'quiet')
      .map((row) => {
        const link = drawn.links.find(
          (candidate) => candidate.to.box === box.id && candidate.kind === 'table',
        );
        return { kind, box: box.id, row: row.id, ...(link === undefined ? {} : { link: link.id }) };
      }),
  );
}

/** A fault shakes what refused: the step itself reads nothing, so the vCPU shakes. */
const faultMotion = (boxes: readonly SceneBox[], context: Context): readonly Motion[] => {
  const box =
    boxes.find((candidate) => candidate.rows.some((row) => row.state !== 'quiet')) ??
    boxes.find((candidate) => candidate.id === 'vcpu:0');
  return box === undefined || context.step === undefined ? [] : [{ kind: 'fault', box: box.id }];
};

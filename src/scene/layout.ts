/**
 * Where everything stands: levels as rows, so that a guest table and its shadow face one another; within a zone a
 * tree by first parent (d3-hierarchy). Laid out for a whole run at once, in the arrangement that fills the given
 * viewport best. Units are CSS pixels at scale 1; text is 13 pixels.
 */
import type { Cast, CastTable } from './cast.ts';
import { CHIP, gridOf, treeOf, type Places } from './layout-zones.ts';

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** No zone for a hypervisor where there is none. */
  readonly zones: Readonly<Record<'hardware' | 'guest', Box>> & { readonly hypervisor?: Box };
  readonly boxes: ReadonlyMap<string, Box>;
}

export const HEAD = 22;
export const ROW = 19;
export const FOLD = 16;
/** Rows of entries that a table shows at most. */
export const MAX_ROWS = 6;
/** Room below each table, taken by the line that shows an entry's old value. */
const GAP_Y = 30;
export const GAP_X = 16;
const PAD = 10;
const TITLE = 15;
const WIDTH = { guest: 138, hypervisor: 156 } as const;
/** Without KVM: names of host tables are longer, and entries may say a page's size. */
const BARE_WIDTH = { guest: 182, hypervisor: 186 } as const;
/** Where an entry has two numbers, or a page says what it splits; and where an entry says how large its page is. */
const WIDER = { guest: 182, hypervisor: 184 } as const;
/** Entries of today have more letters, and pages say how they stand to the guest's table. */
const TODAY_WIDTH = { guest: 176, hypervisor: 212 } as const;
const widthOf = (cast: Cast, zone: CastTable['zone']): number => {
  if (cast.kvm === undefined) return BARE_WIDTH[zone];
  if (cast.kvm.today !== undefined) return TODAY_WIDTH[zone];
  return ((zone === 'guest' ? cast.largePages.size > 0 || cast.kvm.logs : cast.kvm.wide) ? WIDER : WIDTH)[
    zone
  ];
};

/** Frame numbers up to here leave room beside a title. */
const SHORT_NUMBERS = 0xff;

/** Of pages and reverse maps that show their contents. */
const widthBelow = (cast: Cast, zone: CastTable['zone']): number =>
  cast.kvm === undefined
    ? BARE_WIDTH[zone]
    : cast.kvm.logs || (zone === 'hypervisor' && cast.frames.some((gfn) => gfn > SHORT_NUMBERS))
      ? WIDER[zone]
      : WIDTH[zone];

export const tableHeight = (rows: number): number => HEAD + Math.min(rows, MAX_ROWS) * ROW + FOLD;

/** Up to so many pages or reverse maps stand with their contents; more are drawn small. */
const SPACIOUS = 3;
const SMALL = { guest: 78, hypervisor: 118 } as const;
/** Small pages that say their size, or whether they are in the dirty log. */
const SMALL_PAGE = 112;
/** Of a reverse map of today, which says how many of its entries are writable. */
const SMALL_LIST = 142;
const OF_SMM = 36;
const smallWidth = (cast: Cast, zone: CastTable['zone']): number => {
  const today = cast.kvm?.today;
  return zone === 'guest' || today === undefined
    ? smallWidthOf(cast, zone)
    : SMALL_LIST + (today.inSmm ? OF_SMM : 0);
};
const smallWidthOf = (cast: Cast, zone: CastTable['zone']): number =>
  zone === 'guest' && (cast.kvm?.logs === true || cast.largePages.size > 0) ? SMALL_PAGE : SMALL[zone];

/** Boxes at the foot of a zone: the guest's pages, or reverse maps. */
const belowOf = ({ frames, rmaps, kvm }: Cast, zone: CastTable['zone']): readonly string[] =>
  zone === 'guest'
    ? frames.map((gfn) => `frame:${gfn.toString(16)}`)
    : (kvm?.today?.lists ?? rmaps.map((pfn) => pfn.toString(16))).map((key) => `rmap:${key}`);

/** Whether the pages (or reverse maps) of a run are drawn small, without a row of contents. */
export const isSmall = (count: number): boolean => count > SPACIOUS;

/** As many levels of tables as there are at most. */
const STOREYS = 5;

type Arrangement = 'top' | 'left' | 'stacked';

/** The arrangement that allows the largest scale in the viewport. */
export function layOut(cast: Cast, viewport: { width: number; height: number }): Layout {
  const arrangements: readonly Arrangement[] = viewport.width < 640 ? ['stacked'] : ['top', 'left'];
  const candidates = arrangements.map((arrangement) => arrange(cast, arrangement));
  return candidates.reduce((best, layout) =>
    scaleOf(layout, viewport) > scaleOf(best, viewport) ? layout : best,
  );
}

export const scaleOf = (layout: Layout, viewport: { width: number; height: number }): number =>
  Math.min(viewport.width / layout.width, viewport.height / layout.height);

interface ZonePlan {
  readonly width: number;
  /** Within the zone; y within the storey. */
  readonly places: Places;
}

function arrange(cast: Cast, arrangement: Arrangement): Layout {
  const boxes = new Map<string, Box>();
  const left = arrangement === 'left';
  const shared = arrangement !== 'stacked';
  const alone = cast.bare?.nested === false;
  const plan = planZone(cast, 'guest');
  const hypervisor = alone ? undefined : planZone(cast, 'hypervisor');
  const across = shared
    ? sumOf([plan.width, hypervisor?.width])
    : Math.max(plan.width, hypervisor?.width ?? 0);
  const size = hardwareSize(cast, { left, stacked: !shared, width: across });
  // A lone zone below a wider row of hardware fills the width.
  const guest = alone && !left ? widened(plan, size.width) : plan;
  const zonesY = left ? 0 : size.height + 22;
  const guestX = left ? size.width + GAP_X : 0;
  const heights = storeyHeights(cast, shared ? [plan, hypervisor] : [plan]);
  const guestBox = placeZone(cast, { zone: 'guest', plan: guest, x: guestX, y: zonesY, heights, boxes });
  const hypervisorBox =
    hypervisor === undefined
      ? undefined
      : placeZone(cast, {
          zone: 'hypervisor',
          plan: hypervisor,
          heights: shared ? heights : storeyHeights(cast, [hypervisor]),
          boxes,
          x: shared ? guestX + guest.width + GAP_X : 0,
          y: shared ? zonesY : guestBox.y + guestBox.height + 22,
        });
  const last = hypervisorBox ?? guestBox;
  const height = Math.max(guestBox.y + guestBox.height, last.y + last.height, left ? size.height : 0);
  const width = Math.max(last.x + last.width, guestBox.x + guestBox.width, left ? 0 : size.width);
  const hardware: Box = { x: 0, y: 0, width: size.width, height: left ? height : size.height };
  placeHardware(cast, { zone: hardware, column: left || size.column, boxes });
  const reach = (box: Box): Box => (shared && left ? { ...box, height: height - box.y } : box);
  return {
    width,
    height,
    zones: {
      hardware,
      guest: reach(guestBox),
      ...(hypervisorBox === undefined ? {} : { hypervisor: reach(hypervisorBox) }),
    },
    boxes,
  };
}

const sumOf = (widths: readonly (number | undefined)[]): number =>
  widths.reduce<number>((sum, width) => (width === undefined ? sum : sum + width + GAP_X), -GAP_X);

const widened = (plan: ZonePlan, width: number): ZonePlan =>
  plan.width >= width
    ? plan
    : {
        width,
        places: new Map(
          [...plan.places].map(([id, box]) => [id, { ...box, x: box.x + (width - plan.width) / 2 }]),
        ),
      };

interface HardwareSize {
  readonly width: number;
  readonly height: number;
  /** Whether the boxes stand one below the other although the zone is on top. */
  readonly column: boolean;
}

const KVM_LEFT = 232;
/** Below the rows of a vCPU: room for a flush that is owed. */
const BADGE = 22;
const WIDEST_CPU = 236;
/** Two columns of rows, for the root entries of PAE. */
const CPU_IN_COLUMNS = 296;

const cpuRowCount = (cast: Cast): number => Math.max(1, cast.kvm?.rows.length ?? 1);

/** How many columns of rows stand side by side in the box of a vCPU under KVM. */
export const cpuColumns = (cast: Cast, width: number): number =>
  cast.kvm?.rows.includes('pdpte') === true && width >= CPU_IN_COLUMNS ? 2 : 1;

const cpuWidth = (cast: Cast, zone: number): number =>
  Math.min(
    cast.kvm?.rows.includes('pdpte') === true ? CPU_IN_COLUMNS : WIDEST_CPU,
    Math.max(cpuRowCount(cast) > 1 ? 186 : 150, zone * 0.4),
  );

const cpuHeight = (cast: Cast, width: number): number =>
  HEAD + Math.ceil(cpuRowCount(cast) / cpuColumns(cast, width)) * ROW + BADGE;

/** Narrowest column of rows in which a translation can be read, without and with the number of an address space. */
const COLUMN = 286;
const COLUMN_WITH_SPACE = 346;
const columnOf = ({ bare }: Cast): number => (bare?.spaces === true ? COLUMN_WITH_SPACE : COLUMN);
const BARE_CPU = 196;
const HARDWARE_GAP = 14;

/** The vCPU folds nothing. */
const bareHeight = ({ id, rows }: { readonly id: string; readonly rows: number }): number =>
  HEAD + rows * ROW + (id === 'vcpu:0' ? 6 : FOLD);

/** Boxes of the hardware with the rows that they need at most. */
function hardwareOf(cast: Cast): readonly { readonly id: string; readonly rows: number }[] {
  const { cpu = 3, tlb = 1, psc = 0 } = cast.bare?.rows ?? {};
  const all = [
    { id: 'vcpu:0', rows: cpu },
    { id: 'tlb:0', rows: Math.max(1, tlb) },
  ];
  return psc === 0 ? all : [...all, { id: 'psc:0', rows: psc }];
}

function hardwareSize(
  cast: Cast,
  { left, stacked, width }: { left: boolean; stacked: boolean; width: number },
): HardwareSize {
  if (cast.bare === undefined)
    return left
      ? { width: KVM_LEFT, height: kvmColumnHeight(cast), column: true }
      : {
          width: kvmWidth(cast, width),
          height: TITLE + kvmHardwareHeight(cast, kvmWidth(cast, width)) + 8,
          column: false,
        };
  const parts = hardwareOf(cast);
  if (left || stacked) {
    const height = parts.reduce((sum, part) => sum + bareHeight(part) + HARDWARE_GAP, TITLE);
    const least = columnOf(cast) + 24;
    return { width: left ? least : Math.max(width, least), height, column: true };
  }
  const least = 24 + BARE_CPU + (parts.length - 1) * (columnOf(cast) + HARDWARE_GAP + 20);
  const whole = Math.max(width, least);
  const rows = Math.max(
    ...parts.map((part) => Math.ceil(part.rows / columnsIn(cast, partWidth(whole, parts, part)))),
  );
  return { width: whole, height: TITLE + bareHeight({ id: '', rows }) + 10, column: false };
}

/** In a row of boxes the vCPU has its width and the caches share the rest. */
const partWidth = (whole: number, parts: readonly unknown[], part: { readonly id: string }): number =>
  part.id === 'vcpu:0'
    ? BARE_CPU
    : (whole - 24 - BARE_CPU - (parts.length - 1) * HARDWARE_GAP) / (parts.length - 1);

/** How many columns of rows stand side by side in a box of a machine without KVM. */
export const columnsIn = (cast: Cast, width: number): number =>
  Math.max(1, Math.floor((width - 16) / columnOf(cast)));

function placeHardware(
  cast: Cast,
  { zone, column, boxes }: { zone: Box; column: boolean; boxes: Map<string, Box> },
): void {
  if (cast.bare === undefined) {
    placeKvmHardware(cast, { zone, left: column, boxes });
    return;
  }
  const parts = hardwareOf(cast);
  let [x, y] = [zone.x + 12, zone.y + TITLE];
  for (const part of parts) {
    const width = column ? zone.width - 24 : partWidth(zone.width, parts, part);
    const height = column ? bareHeight(part) : zone.height - TITLE - 10;
    boxes.set(part.id, { x, y, width, height });
    if (column) y += height + HARDWARE_GAP;
    else x += width + HARDWARE_GAP;
  }
}

/** Translations that the TLB of one of several vCPUs shows. */
export const ROWS_OF_EACH_TLB = 3;
const GAP = 12;
const EACH_TLB = HEAD + ROWS_OF_EACH_TLB * ROW + FOLD;

const vcpusIn = (cast: Cast): readonly number[] => cast.kvm?.vcpus ?? [0];

/** Several vCPUs stand side by side, each with its TLB below it; a single one has its TLB beside it. */
function kvmHardwareHeight(cast: Cast, width: number): number {
  const count = vcpusIn(cast).length;
  if (count === 1) return cpuHeight(cast, cpuWidth(cast, width));
  return cpuHeight(cast, slotWidth(width, count)) + GAP + EACH_TLB;
}

/** The least that a column of vCPUs needs, each with room for one translation below it. */
function kvmColumnHeight(cast: Cast): number {
  const each = cpuHeight(cast, KVM_LEFT - 24) + BELOW_CPU + LEAST_TLB + GAP;
  return TITLE + 14 + vcpusIn(cast).length * each;
}

const BELOW_CPU = 20;
const LEAST_TLB = HEAD + ROW + FOLD;

/** Narrowest box in which a vCPU and its translations can be read, where there are several. */
const LEAST_SLOT = 204;

const kvmWidth = (cast: Cast, width: number): number => {
  const count = vcpusIn(cast).length;
  return count === 1 ? width : Math.max(width, 24 + count * LEAST_SLOT + (count - 1) * GAP);
};

const slotWidth = (zone: number, count: number): number => (zone - 24 - (count - 1) * GAP) / count;

function placeKvmHardware(
  cast: Cast,
  { zone, left, boxes }: { zone: Box; left: boolean; boxes: Map<string, Box> },
): void {
  const top = zone.y + TITLE;
  const first = zone.x + 12;
  const vcpus = vcpusIn(cast);
  if (vcpus.length === 1 && !left) {
    const width = cpuWidth(cast, zone.width);
    const height = zone.height - TITLE - 8;
    boxes.set('vcpu:0', { x: first, y: top, width, height });
    boxes.set('tlb:0', { x: first + width + GAP, y: top, width: zone.width - width - 36, height });
    return;
  }
  const width = left ? zone.width - 24 : slotWidth(zone.width, vcpus.length);
  const height = cpuHeight(cast, width);
  const room = left ? (zone.height - TITLE - 14) / vcpus.length : 0;
  vcpus.forEach((vcpu, at) => {
    const x = left ? first : first + at * (width + GAP);
    const y = left ? top + at * room : top;
    const below = y + height + (left ? BELOW_CPU : GAP);
    const tlb = left ? room - height - BELOW_CPU - (at < vcpus.length - 1 ? GAP : 0) : EACH_TLB;
    boxes.set(`vcpu:${String(vcpu)}`, { x, y, width, height });
    boxes.set(`tlb:${String(vcpu)}`, { x, y: below, width, height: Math.max(tlb, LEAST_TLB) });
  });
}

/** Height of each storey, the same in both zones so that levels face one another. Storey 0 are the pages. */
function storeyHeights(cast: Cast, plans: readonly (ZonePlan | undefined)[]): readonly number[] {
  const heights = [HEAD + ROW, 0, 0, 0, 0, 0];
  for (const table of cast.tables) {
    for (const plan of plans) {
      const place = plan?.places.get(table.id);
      if (place !== undefined)
        heights[table.storey] = Math.max(heights[table.storey] ?? 0, place.y + place.height);
    }
  }
  return heights;
}

/** A zone is at least so much wider than one table. */
const LEAST_SHARE = 1.4;

function planZone(cast: Cast, zone: CastTable['zone']): ZonePlan {
  const tables = cast.tables.filter((table) => table.zone === zone);
  const own = widthOf(cast, zone);
  const sized = tables.map((table) => ({
    ...table,
    height: table.folded === true ? CHIP.height : tableHeight(Math.max(1, table.indices.length)),
  }));
  const laid = cast.kvm?.many === true ? gridOf(sized, { width: own, gap: GAP_Y }) : treeOf(sized, own);
  const least = Math.min(0, ...[...laid.values()].map(({ x }) => x));
  const most = Math.max(own, ...[...laid.values()].map(({ x, width }) => x + width));
  const below = belowOf(cast, zone).length;
  const belowWidth = below > SPACIOUS ? 0 : below * (widthBelow(cast, zone) + GAP_X) - GAP_X;
  const width = Math.max(most - least, belowWidth, own * LEAST_SHARE) + 2 * PAD;
  const shift = PAD - least + (width - 2 * PAD - (most - least)) / 2;
  return { width, places: new Map([...laid].map(([id, box]) => [id, { ...box, x: box.x + shift }])) };
}

/** A folded table that a step touches opens over its neighbours, inside the picture. */
export function openBox({ width, height }: Layout, box: Box, rows: number): Box {
  const own = { width: Math.max(box.width, WIDER.hypervisor), height: tableHeight(rows) };
  return {
    ...own,
    x: Math.max(0, Math.min(box.x, width - own.width - PAD)),
    y: Math.max(0, Math.min(box.y, height - own.height - PAD)),
  };
}

function placeZone(
  cast: Cast,
  at: {
    zone: CastTable['zone'];
    plan: ZonePlan;
    x: number;
    y: number;
    heights: readonly number[];
    boxes: Map<string, Box>;
  },
): Box {
  const { zone, plan, heights, boxes } = at;
  const tops: number[] = [];
  let y = at.y + TITLE;
  for (let storey = STOREYS; storey >= 1; storey -= 1) {
    tops[storey] = y;
    if ((heights[storey] ?? 0) > 0) y += (heights[storey] ?? 0) + GAP_Y;
  }
  for (const table of cast.tables) {
    const place = table.zone === zone ? plan.places.get(table.id) : undefined;
    if (place === undefined) continue;
    boxes.set(table.id, { ...place, x: at.x + place.x, y: (tops[table.storey] ?? y) + place.y });
  }
  const below = belowOf(cast, zone);
  const small = isSmall(below.length);
  const width = small ? smallWidth(cast, zone) : widthBelow(cast, zone);
  const height = small ? HEAD + 2 : HEAD + ROW;
  const gap = small ? 8 : GAP_X;
  const perRow = Math.max(1, Math.floor((plan.width - 2 * PAD + gap) / (width + gap)));
  below.forEach((id, index) => {
    const x = at.x + PAD + (index % perRow) * (width + gap);
    boxes.set(id, { x, y: y + Math.floor(index / perRow) * (height + 8), width, height });
  });
  const rows = Math.max(1, Math.ceil(below.length / perRow));
  const zoneHeight = y - at.y + rows * (height + 8) + 4;
  return { x: at.x, y: at.y, width: plan.width, height: zoneHeight };
}

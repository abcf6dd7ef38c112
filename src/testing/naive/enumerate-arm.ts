/**
 * Exhaustive small sets of AArch64 walks for all three granules: every single bit of every descriptor of a good path
 * in stage 1 and in stage 2, all start levels and sizes of concatenated start tables, all rights.
 */
import { shiftOf, type ArmRequest, type Granule } from './arm.ts';
import { ACCESSES, BOTH, everyNth, flipsOf, type Cell, type Path } from './paths.ts';

export interface ArmCase {
  readonly id: string;
  readonly request: ArmRequest;
  /** Descriptors of both stages by physical address. */
  readonly memory: readonly Cell[];
}

export const GRANULES: readonly Granule[] = ['4K', '16K', '64K'];

interface Geometry {
  readonly granule: Granule;
  readonly inputBits: number;
  readonly start: number;
  /** 3 = page, less = block. */
  readonly leafLevel: number;
}

interface Hardware {
  readonly name: string;
  readonly ha: boolean;
  readonly hd: boolean;
}

const HARDWARE: readonly Hardware[] = [
  { name: '', ha: false, hd: false },
  { name: ' ha', ha: true, hd: false },
  { name: ' hd', ha: false, hd: true },
  { name: ' ha hd', ha: true, hd: true },
];

const ELS = [0, 1] as const;
const TG0: Readonly<Record<Granule, bigint>> = { '4K': 0n, '64K': 1n << 14n, '16K': 2n << 14n };
const TABLE = 0x3n;
const OUTPUT = 0x2_0000_0000n;
const STAGE1_TABLES = 0x1000_0000n;
const STAGE2_TABLES = 0x3000_0000n;
const AF = 1n << 10n;
const DBM = 1n << 51n;
const EL0_READ_WRITE = AF | (3n << 8n) | (1n << 6n);
const S2_READ_WRITE = AF | (3n << 8n) | (3n << 6n) | (0xfn << 2n);

/** Start level and input sizes of stage 2: from one table that is not full to sixteen concatenated ones. */
const STAGE2_STARTS: Readonly<Record<Granule, readonly (readonly [number, readonly number[]])[]>> = {
  '4K': [
    [0, [40, 44, 48]],
    [1, [31, 39, 40, 43]],
    [2, [25, 30, 31, 34]],
  ],
  '16K': [
    [1, [37, 47, 48]],
    [2, [30, 36, 37, 40]],
    [3, [25, 26, 29]],
  ],
  '64K': [
    [1, [43, 48]],
    [2, [35, 42, 43, 46]],
    [3, [25, 29, 30, 33]],
  ],
};

const STAGE1_INPUTS: Readonly<Record<Granule, readonly (readonly [number, number])[]>> = {
  '4K': [
    [0, 48],
    [1, 39],
    [2, 30],
  ],
  '16K': [
    [0, 48],
    [1, 47],
    [2, 36],
    [3, 25],
  ],
  '64K': [
    [1, 48],
    [2, 42],
    [3, 29],
  ],
};

const leavesFrom = (granule: Granule, start: number): readonly number[] =>
  (granule === '4K' ? [1, 2, 3] : [2, 3]).filter((level) => level >= start);

const stage2Geometries = (granule: Granule): readonly Geometry[] =>
  STAGE2_STARTS[granule].flatMap(([start, sizes]) =>
    sizes.flatMap((inputBits) =>
      leavesFrom(granule, start).map((leafLevel) => ({ granule, inputBits, start, leafLevel })),
    ),
  );

const stage1Geometries = (granule: Granule): readonly Geometry[] =>
  STAGE1_INPUTS[granule].flatMap(([start, inputBits]) =>
    leavesFrom(granule, start).map((leafLevel) => ({ granule, inputBits, start, leafLevel })),
  );

const geometryName = (g: Geometry): string =>
  `${g.granule} start ${String(g.start)} of ${String(g.inputBits)} bits, leaf ${String(g.leafLevel)}`;

/** An address of that many bits, the highest set. */
const addressOf = (inputBits: number): bigint =>
  (1n << BigInt(inputBits - 1)) | (0x1234_5678_9ab8n & ((1n << BigInt(inputBits - 1)) - 1n));

/** The good path of `address`; tables from `first` on, 1 MiB each, shared by paths that are given the same `tables`. */
function pathOf(
  g: Geometry,
  how: { address: bigint; first: bigint; leaf: bigint; tables?: Map<string, bigint> },
): Path {
  const tables = how.tables ?? new Map<string, bigint>();
  const tableFor = (name: string): bigint => {
    const found = tables.get(name) ?? how.first + BigInt(tables.size + 1) * 0x10_0000n;
    tables.set(name, found);
    return found;
  };
  const cells: Cell[] = [];
  let table = how.first;
  for (let level = g.start; level <= g.leafLevel; level += 1) {
    const shift = BigInt(shiftOf(g.granule, level));
    const top = level === g.start ? g.inputBits : shiftOf(g.granule, level - 1);
    const index = (how.address & ((1n << BigInt(top)) - 1n)) >> shift;
    const isLeaf = level === g.leafLevel;
    const kind = level === 3 ? 0x3n : 0x1n;
    const next = isLeaf ? 0n : tableFor(`${String(level)} ${String(how.address >> shift)}`);
    cells.push([table + index * 8n, isLeaf ? how.leaf | kind : next | TABLE]);
    table = next;
  }
  return { name: geometryName(g), cells, entryBits: 64 };
}

/** Smallest code of IPS or PS for that many bits, at least 36. */
const sizeCode = (bits: number): bigint => BigInt([36, 40, 42, 44, 48].findIndex((size) => size >= bits) + 1);

function vtcrOf(g: Geometry, hardware: Hardware): bigint {
  const sl0 = BigInt((g.granule === '4K' ? 2 : 3) - g.start);
  return (
    (1n << 31n) |
    (hardware.hd ? 1n << 22n : 0n) |
    (hardware.ha ? 1n << 21n : 0n) |
    (sizeCode(g.inputBits) << 16n) |
    TG0[g.granule] |
    (sl0 << 6n) |
    BigInt(64 - g.inputBits)
  );
}

/** TCR_EL1 with EPD1 set and IPS = 40 bits. */
function tcrOf(g: Geometry, how: { hardware: Hardware; hpd: boolean }): bigint {
  return (
    (how.hpd ? 1n << 41n : 0n) |
    (how.hardware.hd ? 1n << 40n : 0n) |
    (how.hardware.ha ? 1n << 39n : 0n) |
    (2n << 32n) |
    (1n << 23n) |
    TG0[g.granule] |
    BigInt(64 - g.inputBits)
  );
}

const OFF: Omit<ArmRequest, 'access' | 'el' | 'va'> = {
  vtcr: 1n << 31n,
  vttbr: STAGE2_TABLES,
  hcr: 1n << 31n,
  sctlr: 0x30d0_0800n,
  tcr: 0n,
  ttbr0: STAGE1_TABLES,
  pan: false,
  paBits: 48,
};

/**
 * Stage 2 alone, each bit of each descriptor: 96,768 cases at 4K, 46,080 at 16K, 39,936 at 64K.
 */
export function* armStage2FlipCases(granule: Granule, stride = 1): Generator<ArmCase> {
  const pick = everyNth(stride);
  for (const g of stage2Geometries(granule)) {
    const va = addressOf(g.inputBits);
    const path = pathOf(g, { address: va, first: STAGE2_TABLES, leaf: OUTPUT | S2_READ_WRITE });
    for (const { index, bit, cells } of flipsOf(path))
      for (const hardware of HARDWARE)
        for (const el of ELS)
          for (const access of ACCESSES) {
            if (!pick()) continue;
            const id = `s2 ${path.name} entry ${String(index)} bit ${String(bit)}${hardware.name} el${String(el)} ${access}`;
            const vtcr = vtcrOf(g, hardware);
            const request = { ...OFF, hcr: OFF.hcr | 1n, vtcr, el, access, va };
            yield { id, request, memory: cells };
          }
  }
}

/** Stage 2 rights: S2AP, XN[1:0], DBM, AF, hardware, EL, access: 1,536 cases for each granule. */
export function* armStage2RightsCases(granule: Granule, stride = 1): Generator<ArmCase> {
  const pick = everyNth(stride);
  const g: Geometry = { granule, inputBits: 40, start: granule === '4K' ? 1 : 2, leafLevel: 3 };
  const va = addressOf(40);
  for (const { name, bits } of stage2Rights())
    for (const hardware of HARDWARE)
      for (const el of ELS)
        for (const access of ACCESSES) {
          if (!pick()) continue;
          const path = pathOf(g, { address: va, first: STAGE2_TABLES, leaf: OUTPUT | bits });
          const vtcr = vtcrOf(g, hardware);
          yield {
            id: `s2 ${granule} ${name}${hardware.name} el${String(el)} ${access}`,
            request: { ...OFF, hcr: OFF.hcr | 1n, vtcr, el, access, va },
            memory: path.cells,
          };
        }
}

function* stage2Rights(): Generator<{ name: string; bits: bigint }> {
  for (let s2ap = 0n; s2ap < 4n; s2ap += 1n)
    for (let xn = 0n; xn < 4n; xn += 1n)
      for (const dbm of BOTH)
        for (const af of BOTH)
          yield {
            name: `s2ap ${String(s2ap)} xn ${String(xn)}${dbm ? ' dbm' : ''}${af ? ' af' : ''}`,
            bits: (s2ap << 6n) | (xn << 53n) | (dbm ? DBM : 0n) | (af ? AF : 0n) | (0xfn << 2n),
          };
}

/**
 * Stage 1 alone, each bit of each descriptor, with and without WXN and PAN: 110,592 cases at 4K, 98,304 at 16K,
 * 55,296 at 64K.
 */
export function* armStage1FlipCases(granule: Granule, stride = 1): Generator<ArmCase> {
  const pick = everyNth(stride);
  for (const g of stage1Geometries(granule)) {
    const va = addressOf(g.inputBits);
    const path = pathOf(g, { address: va, first: STAGE1_TABLES, leaf: OUTPUT | EL0_READ_WRITE });
    for (const { index, bit, cells } of flipsOf(path))
      for (const hardware of HARDWARE)
        for (const control of controls())
          for (const access of ACCESSES) {
            if (!pick()) continue;
            const id = `s1 ${path.name} entry ${String(index)} bit ${String(bit)}${hardware.name}${control.name} ${access}`;
            const tcr = tcrOf(g, { hardware, hpd: false });
            yield { id, request: { ...OFF, ...control.set, tcr, access, va }, memory: cells };
          }
  }
}

/** EL, WXN and PAN. */
function* controls(): Generator<{ name: string; set: Pick<ArmRequest, 'el' | 'sctlr' | 'pan'> }> {
  for (const el of ELS)
    for (const wxn of BOTH)
      for (const pan of BOTH)
        yield {
          name: ` el${String(el)}${wxn ? ' wxn' : ''}${pan ? ' pan' : ''}`,
          set: { el, pan, sctlr: OFF.sctlr | 1n | (wxn ? 1n << 19n : 0n) },
        };
}

/**
 * Stage 1 rights: AP, UXN, PXN, DBM of the leaf, APTable, UXNTable, PXNTable of the table above, HPD0, WXN, PAN, EL,
 * access, with AF set and no hardware, HA, or HA and HD: 73,728 cases for each granule.
 */
export function* armStage1RightsCases(granule: Granule, stride = 1): Generator<ArmCase> {
  const pick = everyNth(stride);
  const g: Geometry = {
    granule,
    inputBits: granule === '64K' ? 42 : 36,
    start: granule === '4K' ? 1 : 2,
    leafLevel: 3,
  };
  const va = addressOf(g.inputBits);
  for (let leaf = 0n; leaf < 32n; leaf += 1n)
    for (let table = 0n; table < 16n; table += 1n) {
      const bits = ((leaf & 3n) << 6n) | (((leaf >> 2n) & 3n) << 53n) | ((leaf >> 4n) << 51n);
      const path = pathOf(g, { address: va, first: STAGE1_TABLES, leaf: OUTPUT | AF | bits });
      const [at, entry] = path.cells[0] ?? [0n, 0n];
      const memory = path.cells.with(0, [at, entry | (table << 59n)]);
      for (const hardware of HARDWARE.filter((h) => h.ha || !h.hd))
        for (const hpd of BOTH)
          for (const control of controls())
            for (const access of ACCESSES) {
              if (!pick()) continue;
              const rights = `leaf ${leaf.toString(2)} table ${table.toString(2)}`;
              const id = `s1 ${granule} ${rights}${hpd ? ' hpd' : ''}${hardware.name}${control.name} ${access}`;
              const tcr = tcrOf(g, { hardware, hpd });
              yield { id, request: { ...OFF, ...control.set, tcr, access, va }, memory };
            }
    }
}

/**
 * Both stages: the stage-2 leaf that maps the last stage-1 table with all rights, under every way in which stage 1
 * updates its descriptor. 24,576 cases for each granule.
 */
export function* armWalkCases(granule: Granule, stride = 1): Generator<ArmCase> {
  const pick = everyNth(stride);
  const s1: Geometry = {
    granule,
    inputBits: granule === '64K' ? 42 : 36,
    start: granule === '4K' ? 1 : 2,
    leafLevel: 3,
  };
  const s2: Geometry = { granule, inputBits: 40, start: granule === '4K' ? 1 : 2, leafLevel: 3 };
  const va = addressOf(s1.inputBits);
  for (const { name, bits } of stage2Rights())
    for (const descriptor of [AF | 0xc0n, 0xc0n | DBM, AF | 0xc0n | DBM, 0x40n]) {
      const stage1 = pathOf(s1, { address: va, first: STAGE1_TABLES, leaf: OUTPUT | descriptor });
      const memory = [...stage1.cells, ...stage2Under(s2, stage1, { va, bits })];
      for (const hardware1 of HARDWARE)
        for (const hardware2 of HARDWARE)
          for (const el of ELS)
            for (const access of ACCESSES) {
              if (!pick()) continue;
              const id = `s1+s2 ${granule} ${name} leaf 0x${descriptor.toString(16)} s1${hardware1.name} s2${hardware2.name} el${String(el)} ${access}`;
              const tcr = tcrOf(s1, { hardware: hardware1, hpd: false });
              const vtcr = vtcrOf(s2, hardware2);
              const sctlr = OFF.sctlr | 1n;
              const request = { ...OFF, hcr: OFF.hcr | 1n, sctlr, tcr, vtcr, el, access, va };
              yield { id, request, memory };
            }
    }
}

/** Stage 2 that maps the pages of a stage-1 path and its output to themselves; the last table's page has `bits`. */
function stage2Under(s2: Geometry, stage1: Path, how: { va: bigint; bits: bigint }): readonly Cell[] {
  const page = (address: bigint): bigint => {
    const shift = BigInt(shiftOf(s2.granule, 3));
    return (address >> shift) << shift;
  };
  const offset = how.va & ((1n << BigInt(shiftOf(s2.granule, 3))) - 1n);
  const pages = [...stage1.cells.map(([at]) => page(at)), page(OUTPUT + offset)];
  const last = stage1.cells.length - 1;
  const cells = new Map<bigint, bigint>();
  const tables = new Map<string, bigint>();
  for (const [index, address] of pages.entries()) {
    const leaf = address | (index === last ? how.bits : S2_READ_WRITE);
    for (const [at, entry] of pathOf(s2, { address, first: STAGE2_TABLES, leaf, tables }).cells)
      cells.set(at, entry);
  }
  return [...cells];
}

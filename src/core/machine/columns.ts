/**
 * Growable columns of typed arrays. They grow by blocks, not by doubling, so that a journal never holds twice what
 * it needs; a value is found by a shift and a mask.
 */
const BLOCK_SHIFT = 12;
const BLOCK = 1 << BLOCK_SHIFT;
const MASK = BLOCK - 1;

type Kind = 'u8' | 'u16' | 'u32';
const MAKE = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array } as const;

export class IntColumn {
  length = 0;
  private readonly blocks: (Uint8Array | Uint16Array | Uint32Array)[] = [];
  private readonly kind: Kind;
  constructor(kind: Kind) {
    this.kind = kind;
  }
  push(value: number): void {
    const at = this.length & MASK;
    if (at === 0) this.blocks.push(new MAKE[this.kind](BLOCK));
    (this.blocks[this.length >>> BLOCK_SHIFT] as Uint32Array)[at] = value;
    this.length += 1;
  }
  get(index: number): number {
    return (this.blocks[index >>> BLOCK_SHIFT] as Uint32Array)[index & MASK] as number;
  }
  set(index: number, value: number): void {
    (this.blocks[index >>> BLOCK_SHIFT] as Uint32Array)[index & MASK] = value;
  }
  bytes(): number {
    return this.blocks.reduce((sum, block) => sum + block.byteLength, 0);
  }
}

/** Eight bytes a cell, read and written as a number or as a 64-bit word: the schema of the row says which. */
export class CellColumn {
  length = 0;
  private readonly numbers: Float64Array[] = [];
  private readonly words: BigUint64Array[] = [];
  private make(): void {
    const buffer = new ArrayBuffer(BLOCK * 8);
    this.numbers.push(new Float64Array(buffer));
    this.words.push(new BigUint64Array(buffer));
  }
  pushNumber(value: number): void {
    const at = this.length & MASK;
    if (at === 0) this.make();
    (this.numbers[this.length >>> BLOCK_SHIFT] as Float64Array)[at] = value;
    this.length += 1;
  }
  pushWord(value: bigint): void {
    const at = this.length & MASK;
    if (at === 0) this.make();
    (this.words[this.length >>> BLOCK_SHIFT] as BigUint64Array)[at] = value;
    this.length += 1;
  }
  number(index: number): number {
    return (this.numbers[index >>> BLOCK_SHIFT] as Float64Array)[index & MASK] as number;
  }
  word(index: number): bigint {
    return (this.words[index >>> BLOCK_SHIFT] as BigUint64Array)[index & MASK] as bigint;
  }
  bytes(): number {
    return this.numbers.length * BLOCK * 8;
  }
}

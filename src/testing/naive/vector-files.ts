/** The recorded vectors as the naive models' own tests read them. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** Every line of `src/testing/vectors/<name>.jsonl.gz`. */
export function vectorsOf(name: string): readonly unknown[] {
  const text = gunzipSync(readFileSync(`src/testing/vectors/${name}.jsonl.gz`)).toString('utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}

/** Memory in which reading an entry that a vector does not list is a mistake of the walk. */
export class ListedMemory extends Map<bigint, bigint> {
  override get(address: bigint): bigint {
    const entry = super.get(address);
    if (entry === undefined) throw new Error(`read of 0x${address.toString(16)}, which is not listed`);
    return entry;
  }
}

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** What a walk gave and what a vector says, one line each, for the vectors where they differ. */
export interface Difference {
  readonly id: string;
  readonly expected: string;
  readonly got: string;
}

/** Runs `check` on each vector; gives how many agree and the first few that do not. */
export function compareAll<V extends { readonly id: string }>(
  vectors: readonly V[],
  check: (vector: V) => { readonly expected: string; readonly got: string },
): { readonly passed: number; readonly differences: readonly Difference[] } {
  const differences: Difference[] = [];
  let passed = 0;
  for (const vector of vectors) {
    const { expected, got } = check(vector);
    if (expected === got) passed += 1;
    else differences.push({ id: vector.id, expected, got });
  }
  return { passed, differences: differences.slice(0, 5) };
}

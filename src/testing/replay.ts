/** Replays vector files in the order given, up to the first walk that goes otherwise: prints it and ends with code 10. */
import { basename } from 'node:path';
import { readVectors } from '../cli/walk.ts';
import { replayVector, type WalkVector } from '../core/hardware/vectors.ts';
import { Machine } from '../core/machine/machine.ts';
import { DEFAULT_SETTINGS } from '../core/settings.ts';

const NOTICED = 10;

function goesOtherwise(vector: WalkVector): boolean {
  try {
    return replayVector(new Machine({ settings: DEFAULT_SETTINGS }), vector).length > 0;
  } catch {
    return true;
  }
}

for (const path of process.argv.slice(2)) {
  const found = readVectors(path).find(goesOtherwise);
  if (found === undefined) continue;
  console.log(`${basename(path, '.jsonl.gz')} ${found.id}`);
  process.exitCode = NOTICED;
  break;
}

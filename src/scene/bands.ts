/** Stretches of a run in which the host changes memory under the guest: from the notifier's beginning to its end. */
import type { Timeline } from '../timeline/timeline.ts';

export interface Band {
  /** Positions: the band covers steps first .. end-1. */
  readonly first: number;
  readonly end: number;
  readonly meaning: string;
}

const MEANING = 'the host changes pages: from invalidate_range_start to _end, nothing found before counts';

/** Windows may nest; the outermost is drawn. */
export function bandsOf({ journal, begin, length }: Timeline): readonly Band[] {
  const bands: Band[] = [];
  let [open, first] = [0, begin];
  for (let step = begin; step < length; step += 1) {
    const kind = journal.kind(step);
    if (kind === 'notifier-start') {
      if (open === 0) first = step;
      open += 1;
    } else if (kind === 'notifier-end') {
      open = Math.max(0, open - 1);
      if (open === 0) bands.push({ first, end: step + 1, meaning: MEANING });
    }
  }
  return open === 0 ? bands : [...bands, { first, end: length, meaning: MEANING }];
}

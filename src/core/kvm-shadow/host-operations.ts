/** What the host does to the memory of the process that runs the guest. Source: the reference, I.4 and I.5. */
import type { Machine } from '../machine/machine.ts';
import { takeFrames } from './host-memory.ts';
import { withNotifier, type HvaRange } from './notifier.ts';

const pagesOf = ({ hva, pages }: HvaRange): readonly number[] =>
  Array.from({ length: pages }, (_, at) => hva + at);

/** `madvise(MADV_DONTNEED)`: the pages are gone; they come back as zeros. */
export function dropPages(m: Machine, range: HvaRange): void {
  withNotifier(m, range, () => {
    m.step('host-map', { hva: range.hva, how: 'away' });
    for (const hva of pagesOf(range)) {
      const page = m.get('hostPage', hva);
      if (page === undefined) continue;
      const { pfn: _pfn, ...rest } = page;
      m.set('hostPage', hva, Object.freeze({ ...rest, writable: false }));
    }
  });
}

/** `mprotect`: whether the process, and so the guest, may write. */
export function protectPages(m: Machine, range: HvaRange, mayWrite: boolean): void {
  withNotifier(m, range, () => {
    m.step('host-map', { hva: range.hva, how: mayWrite ? 'writable' : 'read-only' });
    for (const hva of pagesOf(range)) {
      const page = m.get('hostPage', hva);
      if (page === undefined) continue;
      m.set(
        'hostPage',
        hva,
        Object.freeze({ ...page, mayWrite, writable: mayWrite && page.pfn !== undefined }),
      );
    }
  });
}

const LARGE = 512;

/** `madvise(MADV_COLLAPSE)`: each whole 2 MiB gets one large page; what it held is copied. */
export function collapsePages(m: Machine, range: HvaRange): void {
  const first = Math.ceil(range.hva / LARGE) * LARGE;
  for (let hva = first; hva + LARGE <= range.hva + range.pages; hva += LARGE) collapseOne(m, hva);
}

function collapseOne(m: Machine, first: number): void {
  const range = { hva: first, pages: LARGE };
  withNotifier(m, range, () => {
    m.step('host-map', { hva: first, how: 'collapsed' });
    const frame = takeFrames(m, LARGE, LARGE);
    for (let at = 0; at < LARGE; at += 1) {
      const page = m.get('hostPage', first + at);
      if (page === undefined) continue;
      if (page.pfn !== undefined)
        for (let word = 0; word < LARGE; word += 1) {
          const value = m.word(page.pfn * LARGE + word);
          if (value !== 0n) m.set('word', (frame + at) * LARGE + word, value);
        }
      const pfn = (frame + at) as typeof frame;
      m.set('hostPage', first + at, Object.freeze({ ...page, pfn, writable: true, pageBits: 21 }));
    }
  });
}

/** What the host does to the memory of the process that runs the guest. Source: the reference, I.4 and I.5. */
import { HOST_THREAD, type Machine } from '../machine/machine.ts';
import type { HostMemoryOperation } from '../operations/operation.ts';
import { copyFrame, takeFrames } from './host-memory.ts';
import { withNotifier, type HvaRange } from './notifier.ts';

const byHost = (m: Machine, range: HvaRange, change: () => void): void => {
  withNotifier(m, range, { holder: HOST_THREAD, change });
};

const pagesOf = ({ hva, pages }: HvaRange): readonly number[] =>
  Array.from({ length: pages }, (_, at) => hva + at);

/** `madvise(MADV_DONTNEED)`: the pages are gone; they come back as zeros. */
export function dropPages(m: Machine, range: HvaRange): void {
  byHost(m, range, () => {
    m.step('host-map', { hva: range.hva, how: 'away' });
    for (const hva of pagesOf(range)) {
      const page = m.get('hostPage', hva);
      if (page === undefined) continue;
      const { pfn: _pfn, swapped: _swapped, ...rest } = page;
      m.set('hostPage', hva, Object.freeze({ ...rest, writable: false }));
    }
  });
}

/** Pages go to the swap: their frames are free for others, and what was in them comes back when it is wanted. */
export function swapOut(m: Machine, range: HvaRange): void {
  byHost(m, range, () => {
    m.step('host-map', { hva: range.hva, how: 'swapped out' });
    for (const hva of pagesOf(range)) {
      const page = m.get('hostPage', hva);
      if (page?.pfn === undefined) continue;
      const { pfn: old, ...rest } = page;
      const swapped = takeFrames(m, 1, 1);
      copyFrame(m, old, swapped);
      m.set('hostPage', hva, Object.freeze({ ...rest, swapped, writable: false, pageBits: 12 }));
    }
  });
}

/** What a scenario has the host do. */
export function changePages(m: Machine, { does, hva, pages }: HostMemoryOperation): void {
  const range = { hva, pages };
  switch (does) {
    case 'unmap':
      dropPages(m, range);
      break;
    case 'swap-out':
      swapOut(m, range);
      break;
    case 'write-protect':
      protectPages(m, range, false);
      break;
    case 'make-writable':
      protectPages(m, range, true);
      break;
    case 'collapse':
      collapsePages(m, range);
      break;
  }
}

/** `mprotect`: whether the process, and so the guest, may write. */
export function protectPages(m: Machine, range: HvaRange, mayWrite: boolean): void {
  byHost(m, range, () => {
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

/** `madvise(MADV_COLLAPSE)`: each whole 2 MiB gets one large page; what it held is copied, out of the swap too. */
export function collapsePages(m: Machine, range: HvaRange): void {
  const first = Math.ceil(range.hva / LARGE) * LARGE;
  for (let hva = first; hva + LARGE <= range.hva + range.pages; hva += LARGE) collapseOne(m, hva);
}

function collapseOne(m: Machine, first: number): void {
  const range = { hva: first, pages: LARGE };
  byHost(m, range, () => {
    m.step('host-map', { hva: first, how: 'collapsed' });
    const frame = takeFrames(m, LARGE, LARGE);
    for (let at = 0; at < LARGE; at += 1) {
      const page = m.get('hostPage', first + at);
      if (page === undefined) continue;
      const pfn = (frame + at) as typeof frame;
      const { swapped, ...rest } = page;
      const held = page.pfn ?? swapped;
      if (held !== undefined) copyFrame(m, held, pfn);
      if (swapped !== undefined) m.count('swap_ins');
      m.set('hostPage', first + at, Object.freeze({ ...rest, pfn, writable: page.mayWrite, pageBits: 21 }));
    }
  });
}

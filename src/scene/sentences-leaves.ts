/** The sentences of a KVM of today about leaves, their reverse maps, and tables that are out of step. */
import type { STEPS_TODAY } from '../core/machine/steps-today.ts';
import { HOST_WRITABLE, isAccessed, isMmio, isWritable, SPTE_NX, SPTE_U } from '../core/kvm-shadow/spte.ts';
import { entryText, hex, indexText, sp, table, type Teller } from './telling.ts';

type TodaysKind = keyof typeof STEPS_TODAY;

/** What a leaf gives. */
const leafText = (entry: bigint): string =>
  [
    isWritable(entry) ? 'writable' : 'read-only',
    ...((entry & SPTE_NX) === 0n ? ['executable'] : []),
    (entry & SPTE_U) === 0n ? 'for the kernel' : 'for user mode too',
  ].join(', ');

const SIZES = ['4 KiB', '2 MiB', '1 GiB'] as const;
const sizeText = (level: number): string => SIZES[level - 1] ?? table(level);

const UNSYNC_REFUSED: Readonly<Record<string, string>> = {
  tracked: 'It is write-tracked: only a table of the last level may go out of step.',
  syncing: 'An entry is being brought into step, and that may put nothing else out of step.',
  prefetch: 'The entry is built ahead of its use, and nothing goes out of step for that.',
};

const NOT_AHEAD: Readonly<Record<string, string>> = {
  entry: 'It is not present, has not been used yet, or has reserved bits.',
  'no memory': 'No memory slot backs the frame that it names.',
  log: 'Writes to that frame are logged, and a writable entry would count as a write.',
  host: 'The host has no page ready there, and nobody waits for one that may not be needed.',
};

const FAST: Readonly<Record<string, string>> = {
  fixed:
    'Only the dirty log had taken the right away, as the MMU-writable bit says. One exchange gives it back.',
  spurious: 'Somebody else has mended it, or the TLB had an older entry.',
  invalid:
    'The hypervisor itself may have a reason to forbid writing. The long way, with the lock, finds out.',
};

export const OF_SYNC = {
  'unsync-refuse': ({ gfn, why }) => ({
    what: `Guest frame ${hex(gfn)} stays write-protected.`,
    why: UNSYNC_REFUSED[why] ?? why,
  }),
  'unsync-page': ({ serial, gfn }) => ({
    what: `${sp(serial)} goes out of step: the guest may write its table in guest frame ${hex(gfn)}.`,
    why: 'A shadow may be out of date as a TLB may (unsync). The guest has to flush anyway before changes count.',
  }),
  'unsync-mark': ({ serial, index, children }) => ({
    what: `${sp(serial)} notes: something below its entry ${indexText(index)} is out of step (${String(children)} such).`,
    why: 'When the guest flushes, these marks lead from the root to the pages that must be read anew.',
  }),
  'unsync-clear': ({ serial, index, children }) => ({
    what: `${sp(serial)} clears its mark for entry ${indexText(index)} (${String(children)} left).`,
    why: 'Nothing below this entry is out of step any more.',
  }),
  'sync-page': ({ serial }) => ({
    what: `${sp(serial)} is out of step no longer.`,
    why: 'Either its table is write-protected again and its entries are read anew, or the page is being given up.',
  }),
  'sync-entry': ({ index, entry }) => ({
    what: `The guest's entry ${indexText(index)} is read anew: ${entryText(entry)}.`,
    why: 'The guest may have changed it unseen. What is false goes; nothing that is missing is added.',
  }),
} as const satisfies { readonly [K in TodaysKind]?: Teller<K> };

export const OF_LEAVES = {
  'map-requested': ({ gfn, pfn, level }) => ({
    what:
      pfn === 0
        ? `Guest frame ${hex(gfn)} is to get an entry that marks a device.`
        : `Guest frame ${hex(gfn)} is to be mapped to host frame ${hex(pfn)}, ${sizeText(level)}.`,
    why:
      pfn === 0
        ? 'No memory backs it, but the next access shall be known for what it is.'
        : 'It is the largest size that guest, host and write protection all allow.',
  }),
  'leaf-set': ({ gfn, entry }) => ({
    what: `The shadow entry for guest frame ${hex(gfn)} is set: ${leafText(entry)}.`,
    why:
      (entry & HOST_WRITABLE) === 0n
        ? 'The host lets nobody write this page, whatever the guest says.'
        : isWritable(entry)
          ? 'Guest, host and hypervisor all allow writing.'
          : isAccessed(entry)
            ? "The guest's entry does not let it be written yet, or the frame is a table in use."
            : 'It is built ahead of its use, so it is not marked accessed.',
  }),
  'leaf-same': ({ gfn }) => ({
    what: `The shadow entry for guest frame ${hex(gfn)} is already as it should be.`,
    why: 'To build it again would change nothing, so nobody has to flush for it.',
  }),
  'leaf-drop': ({ level, entry }) => ({
    what:
      entry === 0n
        ? `The shadow ${table(level)} entry stays empty.`
        : `The shadow ${table(level)} entry is cleared.`,
    why:
      entry === 0n
        ? "Nothing can be built from the guest's entry as it is."
        : isMmio(entry)
          ? 'It marked a device, and the guest no longer maps that there.'
          : 'What it gave must not be used any more.',
  }),
  'leaf-change': ({ entry }) => ({
    what: `The shadow entry is rebuilt: ${leafText(entry)}.`,
    why: "It has to give what the guest's entry gives now.",
  }),
  'leaf-protect': ({ gfn, forTable }) => ({
    what: `One mapping of guest frame ${hex(gfn)} becomes read-only.`,
    why: forTable
      ? 'The frame is a table that is shadowed. The MMU-writable bit goes too, so nobody gives the right back quickly.'
      : 'The dirty log has to see the next write. The MMU-writable bit stays: the right may come back quickly.',
  }),
  'rmap-add-today': ({ gfn, level, count }) => ({
    what: `The reverse map of guest frame ${hex(gfn)} (${sizeText(level)}) notes this entry, ${String(count)} in all.`,
    why: 'Every leaf is listed, writable or not: when the host takes the page away, each must be found.',
  }),
  'rmap-remove-today': ({ gfn, level, count }) => ({
    what: `The reverse map of guest frame ${hex(gfn)} (${sizeText(level)}) forgets this entry, ${String(count)} left.`,
    why: 'The entry maps the frame no longer.',
  }),
  'prefetch-refuse': ({ index, why }) => ({
    what: `The guest's entry ${indexText(index)} is not built ahead of its use.`,
    why: NOT_AHEAD[why] ?? why,
  }),
  'fast-fix': ({ gfn, result }) => ({
    what:
      result === 'fixed'
        ? `The entry for guest frame ${hex(gfn)} becomes writable again, without the lock.`
        : result === 'spurious'
          ? `The entry for guest frame ${hex(gfn)} allows it already.`
          : `The entry for guest frame ${hex(gfn)} cannot be mended without the lock.`,
    why: FAST[result] ?? result,
  }),
} as const satisfies { readonly [K in TodaysKind]?: Teller<K> };

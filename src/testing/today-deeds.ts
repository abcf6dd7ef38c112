/**
 * Deeds of guests near what a KVM of today does otherwise than that of 2007: several entries for one large page, and a page
 * directory that two upper entries share, one of them made while tables below are out of step. They owe the invalidations
 * that any guest owes, and no more.
 */
import fc from 'fast-check';
import {
  PLAIN,
  changeText,
  choice,
  everywhere,
  invalidations,
  list,
  use,
  type Deed,
  type Guest,
} from './guest-deeds.ts';
import { flags, flagText, LARGE, largeFrame, SMALL, smallFrame, type Flags } from './guest-programs.ts';

/** Where the page directory of the first pages may be hooked in a second time. Nothing else lies there. */
export const HOOK = 0xc0000000;
/** Where the kernel sees the table that this entry stands in. */
export const HOOK_WINDOW = '0x80005000';

const by = (vcpu: number, { vcpus }: Guest): string => `v${String(vcpu % vcpus)}`;
const ANY = { kept: [true, true, true], before: [] };

/** Few rights, so that those of several entries are often the same. */
const fewRights: fc.Arbitrary<Flags> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(PLAIN) },
  { weight: 2, arbitrary: fc.constant({ ...PLAIN, rw: false }) },
  { weight: 1, arbitrary: flags },
);

/** Rights as they come, only with what a change of an entry does not do. */
const rights = (f: Flags, guest: Guest): string => flagText({ ...f, accessed: true }, guest.mode);

/** Two entries for one large page, made before either is used; then both are, in any order. */
const twinsWith = (theirs: fc.Arbitrary<Flags>): fc.Arbitrary<Deed> =>
  fc
    .record({
      vcpu: fc.nat(2),
      frame: largeFrame,
      flags: list(theirs, LARGE.length),
      uses: fc.array(fc.tuple(choice(LARGE), choice(['+0x8', '+0x3000']), use), {
        minLength: 2,
        maxLength: 5,
      }),
      invalidations,
    })
    .map((a) => (guest) => {
      const own = by(a.vcpu, guest);
      return [
        ...LARGE.flatMap((address, at) => {
          const f = a.flags[at];
          return f === undefined
            ? []
            : [`${own} kernel set-pte ${address} level=2 -> gfn ${a.frame} ${rights(f, guest)}`];
        }),
        ...everywhere(guest, a.invalidations, 'load-cr3 main'),
        ...a.uses.map(([address, offset, does]) => `${own} ${does(`${address}${offset}`)}`),
      ];
    });

/** The pages below the shared directory. */
const SHARED = SMALL.filter((address) => Number(address) < 0x4000_0000);
const again = (address: string): string => `0x${(Number(address) + HOOK).toString(16)}`;
const place = fc.tuple(choice(SHARED), use);

interface Hooking {
  /** Rights of an entry of the directory, of a page below it that changes, and of the entry that hooks it in. */
  readonly upper: fc.Arbitrary<Flags>;
  readonly change: fc.Arbitrary<Flags>;
  readonly hook: fc.Arbitrary<Flags>;
}

/**
 * A directory is hooked in where nothing was, and its pages are used there. What changed below it before, and is not
 * invalidated yet, nobody uses under its old address.
 */
const hookedWith = ({ upper, change, hook }: Hooking): fc.Arbitrary<Deed> =>
  fc
    .record({
      vcpu: fc.nat(2),
      upper: fc.option(fc.tuple(choice(['0x400000', '0x800000']), upper)),
      before: fc.array(place, { maxLength: 4 }),
      change: fc.option(
        fc.record({
          address: choice(SHARED),
          frame: smallFrame,
          absent: choice([false, false, true]),
          flags: change,
        }),
      ),
      hook,
      after: fc.array(fc.tuple(place, choice([true, true, true, false])), { minLength: 1, maxLength: 4 }),
      invalidations,
    })
    .map((a) => (guest) => {
      if (guest.mode !== '4-level') return [];
      const own = by(a.vcpu, guest);
      const [upper, below] = [a.upper, a.change];
      const settled = everywhere(guest, { ...ANY, ...a.invalidations, before: [] }, 'load-cr3 main');
      const made = below === null ? undefined : { ...below, kind: 'small' as const, global: false };
      return [
        ...(upper === null
          ? []
          : [`${own} kernel set-pte ${upper[0]} level=2 -> table ${rights(upper[1], guest)}`, ...settled]),
        ...a.before.map(([address, does]) => `${own} ${does(`${address}+0x8`)}`),
        ...(made === undefined ? [] : [`${own} ${changeText(made, guest)}`]),
        `${own} kernel set-pte 0x${HOOK.toString(16)} level=3 -> table-of 0x400000 level=2 ${rights(a.hook, guest)}`,
        ...a.after.flatMap(([[address, does], isHooked]) => {
          if (!isHooked && address === below?.address) return [];
          return [`${own} ${does(`${isHooked ? again(address) : address}+0x8`)}`];
        }),
        `${own} kernel set-pte 0x${HOOK.toString(16)} level=3 -> absent`,
        ...settled,
      ];
    });

export const todayDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 1, arbitrary: twinsWith(flags) },
  { weight: 2, arbitrary: hookedWith({ upper: fewRights, change: flags, hook: fewRights }) },
);

/** Of these rights two entries for one page, or two on one way, can differ in just what counts. */
const READ_ONLY: Flags = { ...PLAIN, rw: false };
const WRITABLE_OR_NOT = fc.constantFrom(PLAIN, READ_ONLY);

/** Two entries for one large page of which one may write, and neither has been written through yet. */
export const cleanTwins = twinsWith(WRITABLE_OR_NOT.map((f) => ({ ...f, dirty: false })));

/** A directory is hooked in with the rights that it has where it is, so that it has one shadow. */
export const hookedAlike = hookedWith({
  upper: fc.constant(PLAIN),
  change: fc.constant(PLAIN),
  hook: fc.constant(PLAIN),
});

/** Only some of the ways to a page may write. */
export const hookedUnalike = hookedWith({
  upper: WRITABLE_OR_NOT,
  change: fc.constant(PLAIN),
  hook: WRITABLE_OR_NOT,
});

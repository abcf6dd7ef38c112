/** What a vCPU does in the middle of what somebody else does. */
import fc from 'fast-check';
import {
  change,
  changeText,
  choice,
  everywhere,
  intoTable,
  invalidations,
  remedyOf,
  touch,
  touchText,
  USER_WINDOWS,
  WINDOWS,
  type Guest,
} from './guest-deeds.ts';

/** What another vCPU does in the middle of something, with what the guest owes for it afterwards. */
export interface Nested {
  readonly deed: (guest: Guest) => string;
  readonly owed: (guest: Guest) => readonly string[];
}
const plainly = (deed: string): Nested => ({ deed: () => deed, owed: () => [] });
export const harmless: fc.Arbitrary<Nested> = fc.oneof(
  {
    weight: 4,
    arbitrary: touch.map((made) =>
      plainly(touchText({ ...made, verb: intoTable(made) ? 'read' : made.verb })),
    ),
  },
  {
    weight: 2,
    arbitrary: choice(['kernel load-cr3 main', 'kernel invlpg 0x400000', 'cpuid', 'halt', 'enter']).map(
      plainly,
    ),
  },
);
export const storesIntoTable: fc.Arbitrary<Nested> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(change, invalidations).map(([made, dropped]) => ({
      deed: (guest: Guest) => changeText(made, guest),
      owed: (guest: Guest) => everywhere(guest, dropped, remedyOf(made)),
    })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(choice([...WINDOWS, ...USER_WINDOWS]), invalidations).map(([window, dropped]) => ({
      deed: () => `kernel write ${window}+0x10 = 0`,
      owed: (guest: Guest) => everywhere(guest, dropped, 'load-cr3 main'),
    })),
  },
);

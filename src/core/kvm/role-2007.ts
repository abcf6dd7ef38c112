/** The role word of a 2007 shadow page: together with the gfn it is the page's key in the hash. */
export interface Role {
  /** Levels of the guest's tables: 4, 3, 2; 0 without paging. */
  readonly guestLevels: number;
  /** Level of this shadow page, 1 = PT. */
  readonly level: number;
  readonly quadrant: number;
  /** The gfn is no guest table: a guest large page, or no paging. */
  readonly metaphysical: boolean;
  /** Rights kept in the key: bit 0 write, bit 1 user, bit 2 no-execute. */
  readonly access: number;
}

export const roleWord = (role: Role): number =>
  role.guestLevels |
  (role.level << 4) |
  (role.quadrant << 8) |
  (Number(role.metaphysical) << 16) |
  (role.access << 17);

export const roleOf = (word: number): Role => ({
  guestLevels: word & 0xf,
  level: (word >>> 4) & 0xf,
  quadrant: (word >>> 8) & 3,
  metaphysical: ((word >>> 16) & 1) === 1,
  access: (word >>> 17) & 7,
});

export const levelOfRole = (word: number): number => (word >>> 4) & 0xf;
